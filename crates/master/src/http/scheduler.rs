//! `POST /api/v1/scheduler`: the checks before a call is understood, in Mesos's order. What the call means is the
//! core's to judge.

use master_core::{Event, Reply};
use proto::v1::scheduler::{Call, call};
use stdx::RequestId;
use transport::{Method, Request, Response, negotiate, refuse};

use super::{Endpoints, answer, ending};

/// How many events a scheduler may leave unread before it is cut off.
const OUTBOX_CAPACITY: usize = 65_536;

impl Endpoints {
    pub(super) async fn scheduler(&self, request: &Request, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        let call = match read_call(request) {
            Ok(call) => Box::new(call),
            Err(refusal) => return refusal,
        };
        let stream_id = request.header(negotiate::STREAM_ID).map(str::to_owned);
        if call.r#type() == call::Type::Subscribe {
            return self.subscribe(request, principal, stream_id, call).await;
        }
        let event = |req: RequestId| Event::FromScheduler { req, conn: None, principal, stream_id, call };
        self.inbox.call(event, None).await.map_or_else(ending, answer)
    }

    async fn subscribe(
        &self,
        request: &Request,
        principal: Option<String>,
        stream_id: Option<String>,
        call: Box<Call>,
    ) -> Response {
        let accept = match negotiate::accept(&request.headers) {
            Ok(accept) => accept,
            Err(mismatch) => return mismatch.into(),
        };
        let (conn, outbox, events) = self.inbox.open_stream(OUTBOX_CAPACITY, accept);
        let event = |req: RequestId| Event::FromScheduler { req, conn: Some(conn), principal, stream_id, call };
        match self.inbox.call(event, Some((conn, outbox))).await {
            Some(Reply::Stream { stream_id }) => {
                Response::events(negotiate::mime(accept), events).stream_id(&stream_id)
            }
            reply => reply.map_or_else(ending, answer),
        }
    }
}

fn read_call(request: &Request) -> Result<Call, Response> {
    if request.method != Method::POST {
        return Err(refuse::method_not_allowed(&["POST"], &request.method));
    }
    let content_type = negotiate::content_type(&request.headers)?;
    let call = content_type.decode_body(&request.body).map_err(refuse::bad_request)?;
    model::parse::scheduler_call(&call)
        .map_err(|why| refuse::bad_request(format!("Failed to validate scheduler::Call: {why}")))?;
    Ok(call)
}
