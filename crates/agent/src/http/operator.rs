//! `POST /api/v1`: reads are answered here from a view of what the agent knows; calls on containers, and those that
//! change something, go to the core.

use agent_core::{Event, Reply, State};
use proto::{
    content::ContentType,
    v1::agent::{Call, call::Type},
};
use transport::{Method, Request, Response, StatusCode, negotiate, refuse};

use super::{
    Endpoints, Read, answer, ending,
    received::{self, AnswerType, Received},
};
use crate::reads::{Usages, v1 as reads};

impl Endpoints {
    pub(super) async fn operator(&self, request: &Request) -> Response {
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let Received { call, answer } = match received::read(request) {
            Ok(received) => received,
            Err(refusal) => return refusal,
        };
        let accept = answer.content;
        if matches!(call.r#type(), Type::ListFiles | Type::ReadFile) {
            self.attach_frameworks().await;
        }
        if let Some(answer) = self.common.answer_call(&call, accept, async |all| self.add_metrics(all).await).await {
            return answer;
        }
        match call.r#type() {
            Type::Unknown => refuse::not_implemented("501 Not Implemented."),
            Type::GetState
            | Type::GetFrameworks
            | Type::GetTasks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetAgent
            | Type::GetResourceProviders
            | Type::GetContainers => self.read_state(&call, accept).await,
            _ => self.change(call, answer).await,
        }
    }

    async fn read_state(&self, call: &Call, accept: ContentType) -> Response {
        let body = match call.r#type() {
            Type::GetContainers => {
                let shown = reads::Shown::new(call);
                let render =
                    move |state: &State, usage: &Usages| accept.encode(&reads::containers(state, shown, usage));
                self.read(Read::OperatorContainers(accept, shown), true, render).await
            }
            kind => {
                let render = move |state: &State, _: &Usages| accept.encode(&reads::answer(state, kind));
                self.read(Read::Operator(kind, accept), false, render).await
            }
        };
        match body {
            Some(body) => Response::typed(StatusCode::OK, negotiate::mime(accept), body),
            None => ending(),
        }
    }

    /// The core may take its time (WAIT_CONTAINER answers when the container ends), so it is told when the caller leaves.
    async fn change(&self, call: Call, answer_type: AnswerType) -> Response {
        let conn = self.inbox.next_id();
        let leaving = Leaving { endpoints: self, conn, armed: true };
        let event = |req| Event::FromOperator { req, conn, principal: None, call: Box::new(call) };
        let reply = self.inbox.call(event, None).await;
        leaving.disarm();
        match reply {
            Some(Reply::Ok(Some(answer))) => Response::message(answer_type.content, &*answer),
            Some(Reply::Output { container }) => self.session(conn, &container, answer_type),
            reply => reply.map_or_else(ending, answer),
        }
    }
}

/// Tells the core that a caller has left when the request's future is dropped before its reply.
struct Leaving<'a> {
    endpoints: &'a Endpoints,
    conn: u64,
    armed: bool,
}

impl Leaving<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.endpoints.inbox.closed(self.conn);
        }
    }
}
