//! Every answer that says no: the HTTP status and the text, as Mesos words them. Texts about the meaning of a call come
//! from who judged it; here is only their envelope.

use bytes::Bytes;
use hyper::{Method, StatusCode, header};

use crate::response::Response;

/// 404 for a path or object nobody knows.
pub fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 Not Found.")
}

/// 405, naming the methods that would do.
pub fn method_not_allowed(allowed: &[&str], received: &Method) -> Response {
    let quoted: Vec<String> = allowed.iter().map(|method| format!("'{method}'")).collect();
    let body =
        format!("405 Method Not Allowed. Expecting one of {{ {} }}, but received '{received}'.", quoted.join(", "));
    Response::text(StatusCode::METHOD_NOT_ALLOWED, body).header(header::ALLOW, &allowed.join(", "))
}

/// 400 for a call without Content-Type.
pub fn content_type_missing() -> Response {
    text(StatusCode::BAD_REQUEST, "Expecting 'Content-Type' to be present")
}

/// 415 for a Content-Type that is neither of the two.
pub fn unsupported_media_type() -> Response {
    text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Expecting 'Content-Type' of application/json or application/x-protobuf")
}

/// 406 for an Accept that allows neither of the two.
pub fn not_acceptable() -> Response {
    text(StatusCode::NOT_ACCEPTABLE, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")
}

/// 401 with a challenge for `realm`.
pub fn unauthorized(realm: &str) -> Response {
    text(StatusCode::UNAUTHORIZED, "401 Unauthorized.")
        .header(header::WWW_AUTHENTICATE, &format!("Basic realm=\"{realm}\""))
}

/// 401 with a challenge to show a token, and what was wrong with the one shown.
pub fn token_wanted(realm: &str, wrong: Option<&str>) -> Response {
    let why = wrong.map(|why| format!(", error=\"invalid_token\", error_description=\"Invalid JWT: {why}\""));
    text(StatusCode::UNAUTHORIZED, "401 Unauthorized.")
        .header(header::WWW_AUTHENTICATE, &format!("Bearer realm=\"{realm}\"{}", why.unwrap_or_default()))
}

/// 400 with the reason.
pub fn bad_request(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::BAD_REQUEST, why)
}

/// 403 with the reason.
pub fn forbidden(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::FORBIDDEN, why)
}

/// 404 with the reason.
pub fn missing(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::NOT_FOUND, why)
}

/// 409 with the reason.
pub fn conflict(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::CONFLICT, why)
}

/// 413: the body is over the limit. The rest of it is not read, so the connection ends.
pub fn too_large(limit: usize) -> Response {
    Response::text(StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {limit} bytes"))
        .header(header::CONNECTION, "close")
}

/// 500 with the reason.
pub fn internal(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// 501 with the reason.
pub fn not_implemented(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::NOT_IMPLEMENTED, why)
}

/// 503 with the reason: not ready, or too much in flight.
pub fn unavailable(why: impl Into<Bytes>) -> Response {
    Response::text(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn text(status: StatusCode, body: &'static str) -> Response {
    Response::text(status, Bytes::from_static(body.as_bytes()))
}
