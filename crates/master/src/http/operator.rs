//! `POST /api/v1`: reads are answered here from a view of what the master knows; calls that change something go to the
//! core.

use endpoints::FileProblem;
use master_core::{Event, Reply, State};
use proto::{
    content::ContentType,
    v1::master::{Call, Response as Answer, call::Type, response},
};
use transport::{Method, Request, Response, StatusCode, negotiate, refuse};

use super::{Endpoints, Read, answer, ending};
use crate::reads::v1 as reads;

/// An answer, or the refusal that takes its place.
type Answered = Result<Answer, Response>;

impl Endpoints {
    pub(super) async fn operator(&self, request: &Request) -> Response {
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
        let answered = match call.r#type() {
            Type::GetHealth | Type::GetFlags | Type::GetVersion | Type::GetLoggingLevel | Type::GetMetrics => {
                self.about_process(&call).await
            }
            Type::ListFiles | Type::ReadFile => self.files(&call),
            Type::Unknown => return Response::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented."),
            Type::GetState
            | Type::GetAgents
            | Type::GetFrameworks
            | Type::GetTasks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetRoles
            | Type::GetWeights
            | Type::GetMaster => return self.read_state(call.r#type(), accept).await,
            _ => return self.change(call, accept).await,
        };
        match answered {
            Ok(answer) => encoded(&answer, accept),
            Err(refusal) => refusal,
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

    async fn about_process(&self, call: &Call) -> Answered {
        let mut answer = Answer { r#type: Some(response_type(call.r#type()) as i32), ..Default::default() };
        match call.r#type() {
            Type::GetHealth => answer.get_health = Some(response::GetHealth { healthy: true }),
            // Beyond the level of --logging_level nothing is logged that could be asked for.
            Type::GetLoggingLevel => answer.get_logging_level = Some(response::GetLoggingLevel { level: 0 }),
            Type::GetFlags => answer.get_flags = Some(response::GetFlags { flags: self.common.flags() }),
            Type::GetVersion => {
                answer.get_version = Some(response::GetVersion { version_info: self.common.version() });
            }
            _ => {
                let metrics = self.common.metrics(async |snapshot| self.add_metrics(snapshot).await).await;
                answer.get_metrics = Some(response::GetMetrics { metrics });
            }
        }
        Ok(answer)
    }

    fn files(&self, call: &Call) -> Answered {
        let mut answer = Answer { r#type: Some(response_type(call.r#type()) as i32), ..Default::default() };
        if let Some(list) = &call.list_files {
            let file_infos = self.common.list_files(&list.path).map_err(file_refusal)?;
            answer.list_files = Some(response::ListFiles { file_infos });
        } else if let Some(read) = &call.read_file {
            let (size, data) = self.common.read_file(&read.path, read.offset, read.length).map_err(file_refusal)?;
            answer.read_file = Some(response::ReadFile { size, data });
        }
        Ok(answer)
    }

    async fn change(&self, call: Call, accept: ContentType) -> Response {
        let event = |req| Event::FromOperator { req, principal: None, call: Box::new(call) };
        match self.inbox.call(event, None).await {
            Some(Reply::Ok(Some(answer))) => encoded(&answer, accept),
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

/// Calls and their answers share names and, but for a few, numbers.
fn response_type(call: Type) -> response::Type {
    response::Type::from_str_name(call.as_str_name()).unwrap_or_default()
}

fn encoded(answer: &Answer, accept: ContentType) -> Response {
    Response::typed(StatusCode::OK, negotiate::mime(accept), accept.encode(answer))
}

fn file_refusal(problem: FileProblem) -> Response {
    match problem {
        FileProblem::NotFound => refuse::missing(""),
        FileProblem::Wrong(why) => refuse::bad_request(why),
        FileProblem::Failed(why) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}
