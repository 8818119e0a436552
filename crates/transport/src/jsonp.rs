//! JSON answers for pages of another origin: `?jsonp=cb` turns `{..}` into `cb({..})`, without a semicolon.

use bytes::Bytes;

use crate::{refuse, request::Request, response::Response};

/// 200 with a JSON body, wrapped if the request asks for it.
pub fn json(request: &Request, body: impl Into<Bytes>) -> Response {
    if request.query().is_empty() {
        return Response::json(body);
    }
    match request.query_value("jsonp") {
        Some(callback) => wrap(&callback, &body.into()),
        None => Response::json(body),
    }
}

fn wrap(callback: &str, body: &[u8]) -> Response {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '[' | ']' | '-');
    if !callback.chars().all(harmless) {
        return refuse::bad_request("The value of 'jsonp' is not the name of a function");
    }
    let mut wrapped = Vec::with_capacity(callback.len() + body.len() + 2);
    wrapped.extend_from_slice(callback.as_bytes());
    wrapped.push(b'(');
    wrapped.extend_from_slice(body);
    wrapped.push(b')');
    Response::typed(hyper::StatusCode::OK, "text/javascript", wrapped)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Method, StatusCode};

    use super::*;
    use crate::response::Body;

    fn answer(uri: &str) -> (StatusCode, String, String) {
        let request = Request {
            method: Method::GET,
            uri: uri.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Default::default(),
        };
        let response = json(&request, "{\"a\":1}");
        let Body::Full(body) = response.body else { panic!("a whole body") };
        let content_type = response.headers["content-type"].to_str().unwrap().to_owned();
        (response.status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn the_callback_wraps_the_body() {
        assert_eq!(answer("/x"), (StatusCode::OK, "application/json".into(), "{\"a\":1}".into()));
        assert_eq!(answer("/x?jsonp="), (StatusCode::OK, "text/javascript".into(), "({\"a\":1})".into()));
        assert_eq!(answer("/x?jsonp=a.b_1"), (StatusCode::OK, "text/javascript".into(), "a.b_1({\"a\":1})".into()));
        assert_eq!(answer("/x?jsonp=alert(1)//").0, StatusCode::BAD_REQUEST);
    }
}
