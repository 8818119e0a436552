//! An answer as a handler gives it. `refuse` has the answers that say no, `stream` the long ones; how an answer reaches
//! the socket is in `server/body.rs`.

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode, header};
use proto::{Message, content::ContentType};

use crate::stream::{EventStream, Flow};

/// Status, headers and body of an answer.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    Full(Bytes),
    /// RecordIO, one record per HTTP chunk, until the stream's owner ends it or the peer leaves.
    Events(EventStream),
    /// Raw bytes that are produced as fast as the peer takes them.
    Flow(Flow),
}

impl Response {
    /// An answer without body.
    pub fn new(status: StatusCode) -> Response {
        Response { status, headers: HeaderMap::new(), body: Body::Full(Bytes::new()) }
    }

    pub fn ok() -> Response {
        Response::new(StatusCode::OK)
    }

    /// 202, the answer to every call that is handled later.
    pub fn accepted() -> Response {
        Response::new(StatusCode::ACCEPTED)
    }

    pub fn json(body: impl Into<Bytes>) -> Response {
        Response::typed(StatusCode::OK, "application/json", body)
    }

    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
        Response::typed(status, "text/plain; charset=utf-8", body)
    }

    pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
        let mut response = Response { status, headers: HeaderMap::new(), body: Body::Full(body.into()) };
        response.headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        response
    }

    /// 200 with a message.
    pub fn message(content_type: ContentType, message: &impl Message) -> Response {
        Response::typed(StatusCode::OK, content_type.mime(), content_type.encode(message))
    }

    /// 200 with an event stream in `content_type`.
    pub fn events(content_type: &'static str, stream: EventStream) -> Response {
        let mut response = Response::typed(StatusCode::OK, content_type, Bytes::new());
        response.body = Body::Events(stream);
        response
    }

    /// 200 with bytes that are not all there yet.
    pub fn flow(content_type: &'static str, flow: Flow) -> Response {
        let mut response = Response::typed(StatusCode::OK, content_type, Bytes::new());
        response.body = Body::Flow(flow);
        response
    }

    /// 307 to the same scheme at `authority` (`host:port`): the location has no scheme.
    pub fn redirect(authority: &str, path_and_query: &str) -> Response {
        Response::new(StatusCode::TEMPORARY_REDIRECT)
            .header(header::LOCATION, &format!("//{authority}{path_and_query}"))
    }

    /// Sets a header; a value that no header can hold is left out.
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Response {
        match header::HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => tracing::debug!(%name, "left out a header whose value cannot be sent"),
        }
        self
    }

    /// The stream id that a scheduler quotes in its later calls.
    pub fn stream_id(self, id: &str) -> Response {
        self.header(crate::negotiate::STREAM_ID, id)
    }
}
