//! `POST /api/v1`: reads are answered here from a view of what the agent knows; calls on containers, and those that
//! change something, go to the core.

use std::sync::Arc;

use agent_core::{Caller, ConnectionId, Event, Reply, State};
use endpoints::Door;
use proto::{
    content::ContentType,
    v1::agent::{Call, call::Type},
};
use transport::{Method, Request, Response, StatusCode, negotiate, refuse};

use super::{
    Endpoints, Read, answer, ending,
    received::{self, AnswerType, Received},
};
use crate::{
    access::Proof,
    reads::{Usages, v1 as reads},
};

impl Endpoints {
    pub(super) async fn operator(&self, request: &Request, proof: &Proof) -> Response {
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let Received { call, answer } = match received::read(request) {
            Ok(received) => received,
            Err(refusal) => return refusal,
        };
        let accept = answer.content;
        let caller = match self.check_right(right(call.r#type()), proof, request).await {
            Ok(caller) => caller,
            Err(refusal) => return refusal,
        };
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
            _ => self.change(call, caller, answer).await,
        }
    }

    /// Who calls, where that matters: reads are for everybody whom the door lets in.
    async fn check_right(&self, right: Right, proof: &Proof, request: &Request) -> Result<Caller, Response> {
        let locked = self.access.is_locked(Door::Readwrite);
        match right {
            Right::Read => match proof {
                Proof::Operator => Ok(Caller::Operator),
                Proof::Token(_) | Proof::Container(_) if locked => Err(operators_only()),
                Proof::Token(_) | Proof::Container(_) | Proof::None => Ok(Caller::Network),
            },
            Right::Containers => Ok(self.access.caller(proof, &request.caller).await),
            Right::Operate => self.check_operator(proof, request).await,
        }
    }

    /// What changes the agent itself is not for tasks, whatever way they find to it.
    pub(super) async fn check_operator(&self, proof: &Proof, request: &Request) -> Result<Caller, Response> {
        match self.access.caller(proof, &request.caller).await {
            caller @ (Caller::Operator | Caller::Network) => Ok(caller),
            Caller::Container(_) | Caller::User(_) | Caller::Stranger(_) => Err(operators_only()),
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
                let about = Arc::clone(&self.about);
                let render =
                    move |state: &State, _: &Usages| accept.encode(&reads::answer(state, kind, &about.isolators));
                self.read(Read::Operator(kind, accept), false, render).await
            }
        };
        match body {
            Some(body) => Response::typed(StatusCode::OK, negotiate::mime(accept), body),
            None => ending(),
        }
    }

    /// The core may take its time (WAIT_CONTAINER answers when the container ends), so it is told when the caller
    /// leaves.
    async fn change(&self, call: Call, caller: Caller, answer_type: AnswerType) -> Response {
        let conn = self.inbox.next_connection();
        let leaving = Leaving { endpoints: self, conn, armed: true };
        let event = |req| Event::FromOperator { req, conn, caller, call: Box::new(call) };
        let reply = self.inbox.call(event, None).await;
        leaving.disarm();
        match reply {
            Some(Reply::Ok(Some(answer))) => Response::message(answer_type.content, &*answer),
            Some(Reply::Output { container }) => self.session(conn, &container, answer_type),
            reply => reply.map_or_else(ending, answer),
        }
    }
}

fn operators_only() -> Response {
    refuse::forbidden("This is an operator's to change; it needs a credential")
}

/// What a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Only shows something.
    Read,
    /// Is about a container; the core judges who may.
    Containers,
    /// Changes the agent itself.
    Operate,
}

pub(super) fn right(kind: Type) -> Right {
    match kind {
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetMetrics
        | Type::GetLoggingLevel
        | Type::ListFiles
        | Type::ReadFile
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders => Right::Read,
        Type::LaunchContainer
        | Type::WaitContainer
        | Type::KillContainer
        | Type::RemoveContainer
        | Type::LaunchNestedContainer
        | Type::WaitNestedContainer
        | Type::KillNestedContainer
        | Type::RemoveNestedContainer
        | Type::LaunchNestedContainerSession
        | Type::AttachContainerInput
        | Type::AttachContainerOutput => Right::Containers,
        Type::SetLoggingLevel
        | Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone
        | Type::PruneImages => Right::Operate,
    }
}

/// Tells the core that a caller has left when the request's future is dropped before its reply.
struct Leaving<'a> {
    endpoints: &'a Endpoints,
    conn: ConnectionId,
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
