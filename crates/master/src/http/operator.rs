//! `POST /api/v1`: reads are answered here from a view of what the master knows; calls that change something go to the
//! core.

use master_core::{Reply, State};
use proto::{
    content::ContentType,
    v1::master::{Call, call::Type},
};
use transport::{Method, Request, Response, StatusCode, negotiate, refuse};

use super::{Endpoints, Read, answer, ending};
use crate::reads::v1 as reads;

impl Endpoints {
    pub(super) async fn operator(&self, request: &Request, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let (call, accept) = match read_call(request) {
            Ok(read) => read,
            Err(refusal) => return refusal,
        };
        if let Some(answer) = self.common.answer_call(&call, accept, async |all| self.add_metrics(all).await).await {
            return answer;
        }
        match call.r#type() {
            Type::Unknown => refuse::not_implemented("501 Not Implemented."),
            Type::GetState
            | Type::GetAgents
            | Type::GetFrameworks
            | Type::GetTasks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetRoles
            | Type::GetWeights
            | Type::GetQuota
            | Type::GetMaintenanceSchedule
            | Type::GetMaintenanceStatus
            | Type::GetMaster => self.read_state(call.r#type(), accept).await,
            _ => self.change(call, principal, accept).await,
        }
    }

    async fn read_state(&self, call: Type, accept: ContentType) -> Response {
        let started = self.about.started;
        let render = move |state: &State| accept.encode(&reads::answer(state, started, call));
        match self.read(Read::Operator(call, accept), render).await {
            Some(body) => Response::typed(StatusCode::OK, negotiate::mime(accept), body),
            None => ending(),
        }
    }

    async fn change(&self, call: Call, principal: Option<String>, accept: ContentType) -> Response {
        match self.ask(call, principal).await {
            Some(Reply::Ok(Some(answer))) => Response::message(accept, &*answer),
            reply => reply.map_or_else(ending, answer),
        }
    }
}

fn read_call(request: &Request) -> Result<(Call, ContentType), Response> {
    let content_type = negotiate::content_type(&request.headers)?;
    let call: Call = content_type.decode_body(&request.body).map_err(refuse::bad_request)?;
    model::parse::operator_call(&call)
        .map_err(|why| refuse::bad_request(format!("Failed to validate master::Call: {why}")))?;
    Ok((call, negotiate::accept(&request.headers)?))
}
