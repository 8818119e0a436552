//! Which requests are messages, and what stands in them.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    header::{HeaderName, USER_AGENT},
};
use proto::upid::Upid;

use super::{
    Message,
    senders::{self, Key},
};
use crate::{caller::Caller, request::percent_decode};

const LIBPROCESS_FROM: HeaderName = HeaderName::from_static("libprocess-from");
const SENDER_KEY: HeaderName = HeaderName::from_static(senders::HEADER);
const AGENT_PREFIX: &str = "libprocess/";

/// Whether a POST with these headers is a message and not a call.
pub(crate) fn is_message(headers: &HeaderMap) -> bool {
    headers.contains_key(LIBPROCESS_FROM) || is_from_libprocess(headers)
}

/// Whether the sender is a libprocess, which throws answers away unread.
pub(crate) fn is_from_libprocess(headers: &HeaderMap) -> bool {
    user_agent(headers).is_some()
}

/// The message on a connection made at `connected`; `None` if it has no proper sender, name or key.
pub(crate) fn parse(
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
    connected: Instant,
    caller: Arc<Caller>,
) -> Option<Message> {
    let claimed = headers.get(LIBPROCESS_FROM).and_then(|value| value.to_str().ok());
    let from: Upid = claimed.or_else(|| user_agent(headers))?.parse().ok()?;
    let (actor, name) = path.strip_prefix('/')?.split_once('/')?;
    let to = percent_decode(actor).into_owned();
    let key = match headers.get(SENDER_KEY) {
        Some(key) => Some(Key::parse(key.to_str().ok()?)?),
        None => None,
    };
    let name = name.to_owned();
    (!to.is_empty() && !name.is_empty()).then_some(Message { from, to, name, body, connected, key, caller })
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(USER_AGENT)?.to_str().ok()?.strip_prefix(AGENT_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn message(path: &str, headers: &HeaderMap, body: Bytes) -> Option<Message> {
        super::parse(path, headers, body, Instant::now(), Arc::default())
    }

    #[test]
    fn either_header_makes_a_message() {
        let from = headers(&[("libprocess-from", "master@10.0.0.1:5050")]);
        let agent = headers(&[("user-agent", "libprocess/master@10.0.0.1:5050")]);
        for headers in [&from, &agent] {
            assert!(is_message(headers));
            let message = message("/slave%281%29/mesos.internal.PingSlaveMessage", headers, Bytes::new()).unwrap();
            assert_eq!(message.from.to_string(), "master@10.0.0.1:5050");
            assert_eq!((message.to.as_str(), message.name.as_str()), ("slave(1)", "mesos.internal.PingSlaveMessage"));
        }
        assert!(!is_message(&headers(&[("user-agent", "curl/8")])));
    }

    #[test]
    fn nobody_and_nothing_are_no_message() {
        let good = headers(&[("libprocess-from", "a@10.0.0.1:1")]);
        for path in ["/slave(1)", "/slave(1)/", "//x", "/", "", "*"] {
            assert!(message(path, &good, Bytes::new()).is_none(), "{path}");
        }
        for from in ["junk", "a@host:1", "@1.1.1.1:1", "a@1.1.1.1:99999"] {
            assert!(message("/a/b", &headers(&[("libprocess-from", from)]), Bytes::new()).is_none(), "{from}");
        }
    }
}
