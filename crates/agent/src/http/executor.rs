//! `POST /api/v1/executor`: the checks before a call is understood, in Mesos's order. What the call means is the core's
//! to judge.

use agent_core::{Caller, Event, Reply};
use proto::v1::executor::{Call, call};
use transport::{Method, Request, Response, auth::jwt::Claims, negotiate, refuse};

use super::{Endpoints, answer, ending};
use crate::access::Proof;

/// How many events an executor may leave unread before it is cut off.
const OUTBOX_CAPACITY: usize = 4_096;

impl Endpoints {
    pub(super) async fn executor(&self, request: &Request, proof: &Proof) -> Response {
        let call = match read_call(request) {
            Ok(call) => Box::new(call),
            Err(refusal) => return refusal,
        };
        // Heartbeats only keep a connection busy, whoever sends them.
        let caller = if call.r#type() == call::Type::Heartbeat {
            Caller::Network
        } else {
            if let Proof::Token(claims) = proof
                && let Err(why) = check_claims(claims, &call)
            {
                return refuse::forbidden(why);
            }
            self.access.caller(proof, &request.caller).await
        };
        if call.r#type() == call::Type::Subscribe {
            return self.subscribe(request, caller, call).await;
        }
        let event = |req| Event::FromExecutor { req, conn: None, caller, call };
        self.inbox.call(event, None).await.map_or_else(ending, answer)
    }

    async fn subscribe(&self, request: &Request, caller: Caller, call: Box<Call>) -> Response {
        let accept = match negotiate::accept(&request.headers) {
            Ok(accept) => accept,
            Err(mismatch) => return mismatch.into(),
        };
        let (conn, outbox, events) = self.inbox.open_stream(OUTBOX_CAPACITY, accept);
        let event = |req| Event::FromExecutor { req, conn: Some(conn), caller, call };
        match self.inbox.call(event, Some((conn, outbox))).await {
            Some(Reply::Stream) => Response::events(negotiate::mime(accept), events),
            reply => reply.map_or_else(ending, answer),
        }
    }
}

/// A token speaks for the executor it was made for. Which container that has is for the core to compare.
fn check_claims(claims: &Claims, call: &Call) -> Result<(), String> {
    let ids = [("fid", "framework", &call.framework_id.value), ("eid", "executor", &call.executor_id.value)];
    for (claim, what, id) in ids {
        if claims.get(claim) != Some(id) {
            return Err(format!(
                "The token does not contain an '{claim}' claim with the {what} ID {id}, which is set in the call"
            ));
        }
    }
    Ok(())
}

fn read_call(request: &Request) -> Result<Call, Response> {
    if request.method != Method::POST {
        return Err(refuse::method_not_allowed(&["POST"], &request.method));
    }
    let content_type = negotiate::content_type(&request.headers)?;
    let call = content_type.decode_body(&request.body).map_err(refuse::bad_request)?;
    model::parse::executor_call(&call)
        .map_err(|why| refuse::bad_request(format!("Failed to validate Executor::Call: {why}")))?;
    Ok(call)
}
