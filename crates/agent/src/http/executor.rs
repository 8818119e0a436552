//! `POST /api/v1/executor`: the checks before a call is understood, in Mesos's order. What the call means is the core's to
//! judge.

use agent_core::{ConnId, Event, Reply};
use proto::{
    content::ContentType,
    v1::executor::{Call, call},
};
use transport::{EventStream, Method, Request, Response, negotiate, refuse, stream};

use super::{Endpoints, answer, ending};
use crate::runtime::Outbox;

/// How many events an executor may leave unread before it is cut off.
const OUTBOX_CAPACITY: usize = 4_096;

impl Endpoints {
    pub(super) async fn executor(&self, request: &Request) -> Response {
        let call = match read_call(request) {
            Ok(call) => Box::new(call),
            Err(refusal) => return refusal,
        };
        if call.r#type() == call::Type::Subscribe {
            return self.subscribe(request, call).await;
        }
        let event = |req| Event::FromExecutor { req, conn: 0, call };
        self.inbox.call(event, None).await.map_or_else(ending, answer)
    }

    async fn subscribe(&self, request: &Request, call: Box<Call>) -> Response {
        let accept = match negotiate::accept(&request.headers) {
            Ok(accept) => accept,
            Err(mismatch) => return mismatch.into(),
        };
        let conn = self.inbox.next_id();
        let (outbox, events) = self.open_stream(conn, accept);
        let event = |req| Event::FromExecutor { req, conn, call };
        match self.inbox.call(event, Some((conn, outbox))).await {
            Some(Reply::Stream) => Response::events(negotiate::mime(accept), events),
            reply => reply.map_or_else(ending, answer),
        }
    }

    fn open_stream(&self, conn: ConnId, accept: ContentType) -> (Outbox, EventStream) {
        let (outbox, events) = stream::messages(OUTBOX_CAPACITY, accept);
        let inbox = self.inbox.clone();
        (outbox, events.on_close(move || inbox.closed(conn)))
    }
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
