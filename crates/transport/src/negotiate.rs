//! Content-Type and Accept, by the rules that clients of Mesos rely on: Content-Type is compared literally, the last
//! Accept line counts, no Accept means JSON, and JSON wins when both would do.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName},
};
use proto::content::ContentType;

use crate::{refuse, response::Response};

/// Ties the calls of a scheduler to its subscription.
pub const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/x-protobuf";
pub const RECORDIO: &str = "application/recordio";

/// Why no content type could be agreed on. `into` makes it an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("no Content-Type")]
    Missing,
    #[error("unsupported Content-Type")]
    Unsupported,
    #[error("nothing acceptable")]
    NotAcceptable,
}

impl From<Mismatch> for Response {
    fn from(mismatch: Mismatch) -> Response {
        match mismatch {
            Mismatch::Missing => refuse::content_type_missing(),
            Mismatch::Unsupported => refuse::unsupported_media_type(),
            Mismatch::NotAcceptable => refuse::not_acceptable(),
        }
    }
}

/// The name of a content type.
pub fn mime(content_type: ContentType) -> &'static str {
    content_type.mime()
}

/// What the body of a call is written in.
pub fn content_type(headers: &HeaderMap) -> Result<ContentType, Mismatch> {
    let value = headers.get_all(CONTENT_TYPE).iter().next_back().ok_or(Mismatch::Missing)?;
    match value.as_bytes() {
        b"application/json" => Ok(ContentType::Json),
        b"application/x-protobuf" => Ok(ContentType::Protobuf),
        _ => Err(Mismatch::Unsupported),
    }
}

/// What the answer is to be written in.
pub fn accept(headers: &HeaderMap) -> Result<ContentType, Mismatch> {
    let Some(value) = headers.get_all(ACCEPT).iter().next_back() else { return Ok(ContentType::Json) };
    let value = value.to_str().map_err(|_| Mismatch::NotAcceptable)?;
    if value == JSON || accepts_type(value, JSON) {
        Ok(ContentType::Json)
    } else if accepts_type(value, PROTOBUF) {
        Ok(ContentType::Protobuf)
    } else {
        Err(Mismatch::NotAcceptable)
    }
}

/// Whether the peer takes a gzip body.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get_all(ACCEPT_ENCODING).iter().next_back() else { return false };
    let Ok(value) = value.to_str() else { return false };
    best_match(value, |coding| match coding {
        "*" => Some(1),
        _ if coding.eq_ignore_ascii_case("gzip") => Some(2),
        _ => None,
    })
}

fn accepts_type(accept: &str, wanted: &str) -> bool {
    best_match(accept, |range| {
        if range.eq_ignore_ascii_case(wanted) {
            return Some(3);
        }
        let (kind, sub) = range.split_once('/')?;
        match (kind, sub) {
            ("*", "*") => Some(1),
            (_, "*") if wanted.split('/').next().is_some_and(|k| k.eq_ignore_ascii_case(kind)) => Some(2),
            _ => None,
        }
    })
}

/// Whether the most specific item that `rank` recognises has a quality above zero.
fn best_match(list: &str, rank: impl Fn(&str) -> Option<u8>) -> bool {
    let mut best = (0, false);
    for item in list.split(',') {
        let mut parts = item.split(';');
        let Some(rank) = parts.next().and_then(|name| rank(name.trim())) else { continue };
        let refused = parts.any(|parameter| {
            parameter.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        if rank > best.0 {
            best = (rank, !refused);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn accept_is_read_as_mesos_reads_it() {
        use ContentType::{Json, Protobuf};
        let no = Err(Mismatch::NotAcceptable);
        for (lines, expected) in [
            (&[][..], Ok(Json)),
            (&["application/json"], Ok(Json)),
            (&["Application/JSON"], Ok(Json)),
            (&["*/*"], Ok(Json)),
            (&["application/*"], Ok(Json)),
            (&["application/x-protobuf"], Ok(Protobuf)),
            (&["application/json;q=0.1, application/x-protobuf;q=0.9"], Ok(Json)),
            (&["application/json;q=0, application/x-protobuf"], Ok(Protobuf)),
            (&["application/json; q=0.0, */*"], Ok(Protobuf)),
            (&["text/html"], no),
            (&["application/recordio"], no),
            (&[""], no),
            (&["text/html", "application/x-protobuf"], Ok(Protobuf)),
            (&["application/x-protobuf", "text/html"], no),
            (&["application/json", "application/json"], Ok(Json)),
        ] {
            assert_eq!(accept(&headers(ACCEPT, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn content_type_is_compared_literally() {
        for (lines, expected) in [
            (&[][..], Err(Mismatch::Missing)),
            (&["application/json"], Ok(ContentType::Json)),
            (&["application/x-protobuf"], Ok(ContentType::Protobuf)),
            (&["application/json; charset=utf-8"], Err(Mismatch::Unsupported)),
            (&["Application/Json"], Err(Mismatch::Unsupported)),
            (&["text/plain"], Err(Mismatch::Unsupported)),
        ] {
            assert_eq!(content_type(&headers(CONTENT_TYPE, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn gzip_is_used_when_asked_for() {
        for (line, expected) in [
            ("gzip", true),
            ("gzip, deflate", true),
            ("gzip;q=0", false),
            ("*", true),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&headers(ACCEPT_ENCODING, &[line])), expected, "{line}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
