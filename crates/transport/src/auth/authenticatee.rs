//! The client's part of authentication over libprocess, for one actor of ours: asks the server, takes CRAM-MD5, answers
//! its challenge, and tells how it went. When to try, and again, is the program's business.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use proto::{
    internal,
    link::{ToAuthenticatee, ToAuthenticator},
    upid::Upid,
};

use super::{cram_md5, credentials::Credential};
use crate::libprocess::{Message, Node};

const ACTOR: &str = "crammd5-authenticatee";

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Proved,
    /// The server knows no such principal, or another secret: trying again is no use.
    Refused,
    /// Something else is wrong, perhaps not for long.
    Error(String),
}

/// Is told of the end of an attempt with this server.
pub type OnOutcome = Box<dyn Fn(Upid, Outcome) + Send + Sync>;

/// One after the other, the attempts of one actor. Cheap to clone.
#[derive(Clone)]
pub struct Authenticatee {
    inner: Arc<Inner>,
}

struct Inner {
    credential: Credential,
    node: Node,
    tell: OnOutcome,
    attempt: Mutex<(u64, Option<Upid>)>,
}

impl fmt::Debug for Authenticatee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticatee").field("credential", &self.inner.credential).finish_non_exhaustive()
    }
}

impl Authenticatee {
    pub fn new(credential: Credential, node: Node, tell: OnOutcome) -> Authenticatee {
        Authenticatee { inner: Arc::new(Inner { credential, node, tell, attempt: Mutex::new((0, None)) }) }
    }

    /// Begins to prove to `server` who our actor `whose` is; gives up an older attempt.
    pub fn begin(&self, server: &Upid, whose: &str) {
        let inner = &self.inner;
        let number = inner.with(|(count, under_way)| {
            *count += 1;
            *under_way = Some(server.clone());
            *count
        });
        let pid = inner.node.upid(whose).to_string();
        inner.send(number, server, internal::AuthenticateMessage { pid });
    }

    /// Takes a message that is for an authenticatee; `false` for others.
    pub fn deliver(&self, message: &Message) -> bool {
        let Some(number) = number_of(&message.to) else { return false };
        let from_server = |(count, server): &mut (u64, Option<Upid>)| {
            let server = server.as_ref().filter(|_| *count == number)?;
            // Whoever else asks would learn what our secret makes of a challenge.
            ((&server.host, server.port) == (&message.from.host, message.from.port)).then(|| server.clone())
        };
        let inner = &self.inner;
        let Some(server) = inner.with(from_server) else { return true };
        let ends = |outcome| {
            inner.with(|(_, server)| *server = None);
            (inner.tell)(server.clone(), outcome);
        };
        match ToAuthenticatee::decode(&message.name, &message.body) {
            Ok(ToAuthenticatee::Mechanisms(offered)) => {
                if offered.mechanisms.iter().any(|name| name == cram_md5::NAME) {
                    let start = internal::AuthenticationStartMessage { mechanism: cram_md5::NAME.into(), data: None };
                    inner.send(number, &message.from, start);
                } else {
                    ends(Outcome::Error(format!("the server does not offer {}", cram_md5::NAME)));
                }
            }
            Ok(ToAuthenticatee::Step(step)) => match cram_md5::respond(&inner.credential, &step.data) {
                Some(data) => {
                    inner.send(number, &message.from, internal::AuthenticationStepMessage { data: data.into() });
                }
                None => ends(Outcome::Error("the secret cannot be used".to_owned())),
            },
            Ok(ToAuthenticatee::Completed(_)) => ends(Outcome::Proved),
            Ok(ToAuthenticatee::Failed(_)) => ends(Outcome::Refused),
            Ok(ToAuthenticatee::Error(error)) => ends(Outcome::Error(error.error.unwrap_or_default())),
            Err(error) => tracing::warn!(from = %message.from, %error, "dropped a message"),
        }
        true
    }
}

impl Inner {
    fn with<R>(&self, f: impl FnOnce(&mut (u64, Option<Upid>)) -> R) -> R {
        f(&mut self.attempt.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn send(&self, number: u64, to: &Upid, message: impl Into<ToAuthenticator>) {
        let message = message.into();
        self.node.send(&format!("{ACTOR}({number})"), to, message.name(), &message.encode());
    }
}

fn number_of(actor: &str) -> Option<u64> {
    actor.strip_prefix(ACTOR)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
}
