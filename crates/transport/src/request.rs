//! A request as a handler sees it: the head, and the body collected within the server's limit. How it is read off the
//! socket is in `server/connection.rs`.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri, header::AsHeaderName};

use crate::caller::Caller;

/// One HTTP request with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The address the connection comes from.
    pub peer: SocketAddr,
    /// Who sent it, as far as the kernel tells.
    pub caller: Arc<Caller>,
}

impl Request {
    /// The path as sent, still percent-encoded.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The raw query, without the question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// The decoded value of a query parameter, the last one if it is repeated. `?x` has the empty value.
    pub fn query_value(&self, name: &str) -> Option<String> {
        pairs(self.query()).filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
    }

    /// All query parameters, decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        pairs(self.query())
    }

    /// The decoded value of a field of an `application/x-www-form-urlencoded` body.
    pub fn form_value(&self, name: &str) -> Option<String> {
        let body = std::str::from_utf8(&self.body).ok()?;
        pairs(body).filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
    }

    /// The last value of a header, if it is visible ASCII. Mesos lets the last of several lines win.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok())
    }
}

/// The pairs of a query or form, decoded.
fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split(['&', ';']).filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key), decode_form(value))
    })
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        Cow::Owned(percent_decode(&text.replace('+', " ")).into_owned())
    } else {
        percent_decode(text)
    }
}

/// Replaces `%xx`; what is no such escape or would not be UTF-8 stays as it is.
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request {
        Request {
            method: Method::GET,
            uri: uri.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"slaveId=a%2Fb&resources=%5B%5D"),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Arc::default(),
        }
    }

    #[test]
    fn query_values_are_decoded() {
        let r = request("/files/read?path=%2Ftmp%2Fa+b&offset=3&x&path=/second");
        assert_eq!(r.query_value("path").as_deref(), Some("/second"));
        assert_eq!(r.query_value("offset").as_deref(), Some("3"));
        assert_eq!(r.query_value("x").as_deref(), Some(""));
        assert_eq!(r.query_value("y"), None);
        assert_eq!(r.query_pairs().next(), Some(("path".into(), "/tmp/a b".into())));
        assert_eq!(r.form_value("slaveId").as_deref(), Some("a/b"));
    }

    #[test]
    fn broken_escapes_stay() {
        for text in ["%", "%z", "%zz", "a%f", "%ff"] {
            assert_eq!(percent_decode(text), text);
        }
        assert_eq!(percent_decode("slave%281%29"), "slave(1)");
    }
}
