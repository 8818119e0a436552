//! The server's part of authentication over libprocess: an `AuthenticateMessage` to the master begins it, an actor of
//! its own (`crammd5-authenticator(N)`) goes on with mechanisms, challenge and verdict. What the proof is good for is
//! the program's business, which is told how each attempt ends.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use proto::{
    internal,
    link::{ToAuthenticatee, ToAuthenticator},
    upid::Upid,
};

use super::{Principal, cram_md5, credentials::Credential};
use crate::libprocess::{Message, Node};

/// How many attempts may be under way.
const ATTEMPTS_MAX: usize = 20_000;
const ACTOR: &str = "crammd5-authenticator";

/// What became of an attempt. Each `Begun` is followed by one of the others, or by another of the same peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Begun(Upid),
    Proved(Upid, Principal),
    /// The peer could not prove anything, or took too long.
    Failed(Upid),
}

/// Is told of every step, in order; `false` if it could not take it in.
pub type OnProgress = Box<dyn Fn(Progress) -> bool + Send + Sync>;

/// All attempts of one server. Cheap to clone.
#[derive(Clone)]
pub struct PeerAuthenticator {
    inner: Arc<Inner>,
}

struct Inner {
    /// Without credentials nobody can prove anything, and is told so.
    credentials: Option<Vec<Credential>>,
    timeout: Duration,
    hostname: String,
    node: Node,
    tell: OnProgress,
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    count: u64,
    by_number: HashMap<u64, Attempt>,
    by_peer: BTreeMap<Upid, u64>,
}

struct Attempt {
    /// Who is to be authenticated.
    peer: Upid,
    /// The actor that speaks for it.
    client: Upid,
    /// Shown once the client has chosen the mechanism.
    challenge: Option<Vec<u8>>,
}

impl fmt::Debug for PeerAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAuthenticator").finish_non_exhaustive()
    }
}

impl PeerAuthenticator {
    /// `timeout` is for the whole of an attempt. Must be called inside a runtime.
    pub fn new(
        credentials: Option<Vec<Credential>>,
        timeout: Duration,
        hostname: String,
        node: Node,
        tell: OnProgress,
    ) -> PeerAuthenticator {
        let attempts = Mutex::default();
        PeerAuthenticator { inner: Arc::new(Inner { credentials, timeout, hostname, node, tell, attempts }) }
    }

    /// Takes a message that is for an authenticator; `false` for others.
    pub fn deliver(&self, message: &Message) -> bool {
        let number = number_of(&message.to);
        let Ok(decoded) = ToAuthenticator::decode(&message.name, &message.body) else { return number.is_some() };
        match (number, decoded) {
            (None, ToAuthenticator::Authenticate(authenticate)) => self.begin(&message.from, &authenticate.pid),
            (Some(number), ToAuthenticator::Start(start)) => {
                self.inner.start(number, &message.from, &start.mechanism);
            }
            (Some(number), ToAuthenticator::Step(step)) => self.inner.step(number, &message.from, &step.data),
            _ => return number.is_some(),
        }
        true
    }

    fn begin(&self, client: &Upid, peer: &str) {
        let inner = &self.inner;
        let refuse = |why: &str| {
            tracing::warn!(%client, peer, why, "refusing an authentication");
            inner.send("master", client, error(why));
        };
        let Ok(peer) = peer.parse::<Upid>() else { return refuse("Malformed 'pid'") };
        // A driver may speak through another process of its host, and has another port there. Who it says it is proves
        // nothing either way; the secret does, and `match_peer_address` holds senders to their hosts.
        if peer.host != client.host {
            return refuse("'pid' is an actor on another host");
        }
        if inner.credentials.is_none() {
            let _ = (inner.tell)(Progress::Begun(peer.clone())) && (inner.tell)(Progress::Failed(peer));
            return refuse("No authenticator loaded");
        }
        let number = inner.with(|attempts| {
            if let Some(older) = attempts.by_peer.remove(&peer) {
                attempts.by_number.remove(&older);
            }
            if attempts.by_number.len() >= ATTEMPTS_MAX {
                return None;
            }
            attempts.count += 1;
            let attempt = Attempt { peer: peer.clone(), client: client.clone(), challenge: None };
            attempts.by_number.insert(attempts.count, attempt);
            attempts.by_peer.insert(peer.clone(), attempts.count);
            Some(attempts.count)
        });
        let Some(number) = number.filter(|_| (inner.tell)(Progress::Begun(peer))) else {
            return refuse("Too many authentications under way");
        };
        let mechanisms = vec![cram_md5::NAME.to_owned()];
        inner.send(&actor(number), client, internal::AuthenticationMechanismsMessage { mechanisms });
        tokio::spawn(give_up_later(Arc::downgrade(inner), number, inner.timeout));
    }
}

impl Inner {
    fn with<R>(&self, f: impl FnOnce(&mut Attempts) -> R) -> R {
        f(&mut self.attempts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn send(&self, from_actor: &str, to: &Upid, message: impl Into<ToAuthenticatee>) {
        let message = message.into();
        self.node.send(from_actor, to, message.name(), &message.encode());
    }

    fn start(&self, number: u64, from: &Upid, mechanism: &str) {
        let challenge = cram_md5::challenge(stdx::clock::wall().as_secs_f64() as u64, &self.hostname);
        let shown = self.with(|attempts| {
            let attempt = attempts.by_number.get_mut(&number).filter(|attempt| attempt.client == *from)?;
            if attempt.challenge.is_some() {
                return Some(Err("Unexpected authentication 'start' received"));
            }
            if mechanism != cram_md5::NAME {
                return Some(Err("Unsupported authentication mechanism"));
            }
            attempt.challenge = Some(challenge.clone());
            Some(Ok(()))
        });
        match shown {
            None => {}
            Some(Ok(())) => {
                self.send(&actor(number), from, internal::AuthenticationStepMessage { data: challenge.into() });
            }
            Some(Err(why)) => self.fail(number, error(why)),
        }
    }

    fn step(&self, number: u64, from: &Upid, response: &[u8]) {
        let challenge = self.with(|attempts| {
            let attempt = attempts.by_number.get(&number).filter(|attempt| attempt.client == *from)?;
            Some(attempt.challenge.clone())
        });
        let Some(challenge) = challenge else { return };
        let Some(challenge) = challenge else {
            return self.fail(number, error("Unexpected authentication 'step' received"));
        };
        let known = self.credentials.as_deref().unwrap_or_default();
        let Some(principal) = cram_md5::check(known, &challenge, response) else {
            tracing::warn!(%from, "an authentication failed: the principal is unknown or the secret is wrong");
            return self.fail(number, internal::AuthenticationFailedMessage {});
        };
        let Some(attempt) = self.take(number) else { return };
        // The program knows before the peer does, which registers at once.
        if (self.tell)(Progress::Proved(attempt.peer, principal)) {
            self.send(&actor(number), from, internal::AuthenticationCompletedMessage {});
        } else {
            self.send(&actor(number), from, error("The master is too busy"));
        }
    }

    fn fail(&self, number: u64, message: impl Into<ToAuthenticatee>) {
        let Some(attempt) = self.take(number) else { return };
        (self.tell)(Progress::Failed(attempt.peer));
        self.send(&actor(number), &attempt.client, message);
    }

    fn take(&self, number: u64) -> Option<Attempt> {
        self.with(|attempts| {
            let attempt = attempts.by_number.remove(&number)?;
            attempts.by_peer.remove(&attempt.peer);
            Some(attempt)
        })
    }
}

async fn give_up_later(inner: Weak<Inner>, number: u64, timeout: Duration) {
    tokio::time::sleep(timeout).await;
    if let Some(inner) = inner.upgrade()
        && let Some(attempt) = inner.take(number)
    {
        tracing::warn!(peer = %attempt.peer, "an authentication took too long");
        (inner.tell)(Progress::Failed(attempt.peer));
    }
}

fn error(why: &str) -> internal::AuthenticationErrorMessage {
    internal::AuthenticationErrorMessage { error: Some(why.to_owned()) }
}

fn actor(number: u64) -> String {
    format!("{ACTOR}({number})")
}

fn number_of(actor: &str) -> Option<u64> {
    actor.strip_prefix(ACTOR)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
}
