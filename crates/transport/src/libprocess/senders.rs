//! Whether a message comes from the process that it names. libprocess believes what a message says of its sender, and
//! who shares a machine with an agent (each of its tasks does) can say that it is the agent.
//!
//! So our processes put a key into each message, a different one for each receiver, which only the sender can make:
//! a keyed hash of the receiver's address. A receiver that sees a key for the first time asks the process at the
//! address that the message names, by HTTP: "is this key yours, for me?" Who can answer there is the sender. From then
//! on the key is known, and whatever comes in that name without it is dropped.
//!
//! For example, the agent at 10.0.0.2:5051 sends its master at 10.0.0.1:5050 a message with the key `ab12…`. The master
//! asks `GET http://10.0.0.2:5051/meseta/sender?key=ab12…&at=10.0.0.1:5050`, hears `{"mine":true}`, and keeps `ab12…`
//! for 10.0.0.2:5051. A task on 10.0.0.2 that says it is `slave(1)@10.0.0.2:5051` has no key, and a task that the agent
//! itself has sent a message to has a key for another receiver.
//!
//! A process of Mesos gives no key and answers 404. Its messages are taken as Mesos takes them, which leaves it to
//! `match_peer_address` to keep out at least other machines.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use hyper::StatusCode;
use serde_json::Value;
use sha2::Sha256;
use stdx::seldom::Seldom;
use tokio::sync::Semaphore;

use super::{Message, socket_address};
use crate::{
    client::{Call, Client, ClientConfig},
    request::Request,
    response::Response,
};

/// The head of a message with a key, in the lower case that HTTP libraries compare.
pub(super) const HEADER: &str = "meseta-sender-key";

/// Where a process is asked whether a key is its own.
pub const PATH: &str = "/meseta/sender";

/// How long a process has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a message may wait until its sender can be asked, and for the answer.
const WAIT: Duration = Duration::from_secs(10);
/// So many processes are asked at one time because of messages that come from one host. A host that names thousands
/// of others keeps only itself waiting.
const AT_ONCE: usize = 8;
/// A sender that is known to give keys and now seems to give none is asked again after this: it may have been
/// replaced by one of Mesos.
const AGAIN: Duration = Duration::from_secs(1);
/// So many senders are known at one time, of about a hundred bytes each.
const SENDERS_MAX: usize = 100_000;
/// Bytes of a key, of which the hexadecimal form is sent.
const KEY_BYTES: usize = 16;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Makes our keys, and knows those of others. The secret is not shown by `Debug`.
pub struct Senders {
    maker: Hmac<Sha256>,
    /// Where our peers reach us.
    own: SocketAddr,
    known: Mutex<HashMap<SocketAddr, Known>>,
    asking: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    client: Client,
    told: Seldom,
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Senders").field("own", &self.own).finish_non_exhaustive()
    }
}

/// What is known of one address, and when it was asked last.
#[derive(Debug)]
struct Known {
    gives: Gives,
    asked: Instant,
}

/// What the messages of one process carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// This key; the process said that it is its own.
    This(Key),
    /// A key, which one is not known yet.
    Some,
    Nothing,
}

/// What a process says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Mine,
    NotMine,
    /// It knows nothing of keys.
    Nothing,
}

/// Whether a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    /// That depends on what its sender says.
    Ask,
}

impl Known {
    fn judge(&self, key: Option<Key>, now: Instant) -> Verdict {
        match (self.gives, key) {
            (Gives::This(known), Some(key)) if known == key => Verdict::Yes,
            (Gives::Nothing, None) => Verdict::Yes,
            // It started anew, perhaps as another program.
            (_, Some(_)) => Verdict::Ask,
            (Gives::This(_) | Gives::Some, None) if now.duration_since(self.asked) >= AGAIN => Verdict::Ask,
            (Gives::This(_) | Gives::Some, None) => Verdict::No,
        }
    }
}

impl Senders {
    /// For a process that its peers reach at `own`.
    pub fn new(own: SocketAddr) -> io::Result<Senders> {
        let mut secret = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let maker = Hmac::new_from_slice(&secret).map_err(|_| io::Error::other("a secret of 32 bytes is refused"))?;
        let client = Client::new(ClientConfig {
            connect_timeout: PATIENCE,
            answer_timeout: PATIENCE,
            answer: ANSWER_BYTES_MAX,
            kept: 0,
            ..ClientConfig::default()
        });
        let told = Seldom::new(Duration::from_secs(10));
        Ok(Senders { maker, own, known: Mutex::default(), asking: Mutex::default(), client, told })
    }

    /// What our messages to `receiver` carry.
    pub(super) fn key_for(&self, receiver: SocketAddr) -> Key {
        let mut key = Key([0; KEY_BYTES]);
        key.0.copy_from_slice(&self.hash(receiver).finalize().into_bytes()[..KEY_BYTES]);
        key
    }

    fn hash(&self, receiver: SocketAddr) -> Hmac<Sha256> {
        let mut hash = self.maker.clone();
        hash.update(receiver.to_string().as_bytes());
        hash
    }

    /// Answers whether a key is one that we give the asking process. It names the addresses that it may be known by:
    /// `at`, once for each.
    pub fn answer(&self, request: &Request) -> Response {
        let key = request.query_value("key").and_then(|key| Key::parse(&key));
        let mut at = request.query_pairs().filter(|(name, _)| name == "at").filter_map(|(_, at)| at.parse().ok());
        let mine = key.is_some_and(|key| at.any(|at| self.hash(at).verify_truncated_left(&key.0).is_ok()));
        Response::json(format!(r#"{{"mine":{mine}}}"#))
    }

    /// Whether `message` comes from where it says. One without a key counts if nothing is known of its sender, unless
    /// it `needs` a sender that was asked. Waits for an answer where one is needed.
    pub(crate) async fn vouch_for(&self, message: &Message, needs: bool) -> bool {
        let Some(sender) = socket_address(&message.from) else { return message.key.is_none() };
        let verdict = self.judge(sender, message.key);
        let counts = match verdict {
            Some(Verdict::Yes) => true,
            Some(Verdict::No) => false,
            Some(Verdict::Ask) => self.ask(sender, message).await,
            None if message.key.is_none() && !needs => true,
            None => self.ask(sender, message).await,
        };
        if !counts && let Some(others) = self.told.due() {
            tracing::warn!(
                from = %message.from, peer = %message.caller.remote, message.name, others,
                "dropped a message that may not come from the process it names"
            );
        }
        counts
    }

    fn judge(&self, sender: SocketAddr, key: Option<Key>) -> Option<Verdict> {
        self.with(|known| known.get(&sender).map(|known| known.judge(key, Instant::now())))
    }

    /// Asks the process at `sender` and keeps what it says. Nobody vouches for a message of one that does not answer.
    async fn ask(&self, sender: SocketAddr, message: &Message) -> bool {
        let host = message.caller.remote.ip().to_canonical();
        let turns = self.turns(|turns| turns.entry(host).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone());
        let asked = tokio::time::timeout(WAIT, async {
            let _turn = turns.acquire().await.ok()?;
            // Another message may have asked meanwhile.
            match self.judge(sender, message.key) {
                Some(Verdict::Yes) => Some(true),
                Some(Verdict::No) => Some(false),
                Some(Verdict::Ask) | None => {
                    self.said_by(sender, message).await.map(|said| self.keep(sender, message.key, said))
                }
            }
        });
        let counts = asked.await.ok().flatten().unwrap_or(false);
        drop(turns);
        self.turns(|turns| turns.retain(|at, turns| *at != host || Arc::strong_count(turns) > 1));
        counts
    }

    async fn said_by(&self, sender: SocketAddr, message: &Message) -> Option<Said> {
        let key = message.key.map(|key| key.to_string()).unwrap_or_default();
        let mut path = format!("{PATH}?key={key}&at={}", self.own);
        if let Some(local) = message.caller.local {
            let local = SocketAddr::new(local.ip().to_canonical(), local.port());
            path += &format!("&at={local}");
        }
        let reply = match self.client.send(Call::get(sender.to_string(), path)).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::debug!(%sender, %error, "cannot ask whether a message is of this sender");
                return None;
            }
        };
        match reply.status {
            StatusCode::OK => {
                let answer: Option<Value> = serde_json::from_slice(&reply.body).ok();
                Some(match answer.and_then(|answer| answer.get("mine")?.as_bool()) {
                    Some(true) => Said::Mine,
                    Some(false) => Said::NotMine,
                    None => Said::Nothing,
                })
            }
            // One that is too busy to answer has not said that it knows nothing.
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Some(Said::Nothing),
            _ => None,
        }
    }

    /// Keeps what `sender` said of a key, or of a message without one; whether that message counts.
    fn keep(&self, sender: SocketAddr, key: Option<Key>, said: Said) -> bool {
        self.with(|known| {
            if known.len() >= SENDERS_MAX && !known.contains_key(&sender) {
                // Those without a key can be asked anew.
                known.retain(|_, known| known.gives != Gives::Nothing);
                if known.len() >= SENDERS_MAX {
                    return false;
                }
            }
            let before = known.get(&sender).map(|known| known.gives);
            let (gives, counts) = match (said, key, before) {
                (Said::Mine, Some(key), _) => (Gives::This(key), true),
                // A key that its sender knows nothing of is somebody else's.
                (Said::Nothing, key, _) => (Gives::Nothing, key.is_none()),
                (Said::Mine | Said::NotMine, _, Some(known @ Gives::This(_))) => (known, false),
                (Said::Mine | Said::NotMine, _, _) => (Gives::Some, false),
            };
            known.insert(sender, Known { gives, asked: Instant::now() });
            counts
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<SocketAddr, Known>) -> R) -> R {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turns<R>(&self, f: impl FnOnce(&mut HashMap<IpAddr, Arc<Semaphore>>) -> R) -> R {
        f(&mut self.asking.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the messages from one process to another carry. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// Reads the hexadecimal form.
    pub(super) fn parse(text: &str) -> Option<Key> {
        let digits = text.as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut key = Key([0; KEY_BYTES]);
        if digits.len() != 2 * KEY_BYTES {
            return None;
        }
        for (byte, pair) in key.0.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Takes as long for a wrong first byte as for a wrong last one.
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.iter().zip(other.0).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(own: &str) -> Senders {
        Senders::new(own.parse().unwrap()).unwrap()
    }

    fn known(gives: Gives) -> Known {
        Known { gives, asked: Instant::now() }
    }

    #[test]
    fn each_receiver_has_a_key_of_its_own_and_it_is_written_as_it_is_read() {
        let ours = senders("10.0.0.2:5051");
        let (a, b) = ("10.0.0.1:5050".parse().unwrap(), "10.0.0.1:5051".parse().unwrap());
        let key = ours.key_for(a);
        assert_eq!(key, ours.key_for(a));
        assert_ne!(key, ours.key_for(b));
        assert_ne!(key, senders("10.0.0.2:5051").key_for(a), "another process has another secret");
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        for wrong in ["", "ab", &"g".repeat(32), &"ä".repeat(16), &"0".repeat(33)] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
        assert_eq!((format!("{key:?}"), format!("{ours:?}").contains("maker")), ("Key".to_owned(), false));
    }

    #[test]
    fn who_gives_keys_is_not_heard_without_and_is_asked_about_another() {
        let (one, other) = (Key([1; KEY_BYTES]), Key([2; KEY_BYTES]));
        let start = Instant::now();
        let judge = |gives, key| known(gives).judge(key, start);
        assert_eq!(judge(Gives::This(one), Some(one)), Verdict::Yes);
        assert_eq!(judge(Gives::This(one), Some(other)), Verdict::Ask);
        assert_eq!(judge(Gives::This(one), None), Verdict::No);
        assert_eq!(judge(Gives::Some, None), Verdict::No);
        assert_eq!(judge(Gives::Some, Some(one)), Verdict::Ask);
        assert_eq!(judge(Gives::Nothing, None), Verdict::Yes);
        assert_eq!(judge(Gives::Nothing, Some(one)), Verdict::Ask);
        let later = start + 2 * AGAIN;
        assert_eq!(known(Gives::This(one)).judge(None, later), Verdict::Ask);
    }

    #[test]
    fn what_a_sender_says_is_kept() {
        let (ours, at) = (senders("10.0.0.1:5050"), "10.0.0.2:5051".parse().unwrap());
        let (one, other) = (Some(Key([1; KEY_BYTES])), Some(Key([2; KEY_BYTES])));
        assert!(!ours.keep(at, one, Said::NotMine));
        assert_eq!(ours.judge(at, None), Some(Verdict::No));
        assert!(ours.keep(at, one, Said::Mine));
        assert_eq!(ours.judge(at, one), Some(Verdict::Yes));
        // Whoever asks in its name changes nothing.
        assert!(!ours.keep(at, other, Said::NotMine) && !ours.keep(at, None, Said::NotMine));
        assert_eq!((ours.judge(at, one), ours.judge(at, None)), (Some(Verdict::Yes), Some(Verdict::No)));
        // It started anew, first as itself, then as a program that knows nothing of keys.
        assert!(ours.keep(at, other, Said::Mine) && ours.keep(at, None, Said::Nothing));
        assert!(!ours.keep(at, one, Said::Nothing));
        assert_eq!(ours.judge(at, None), Some(Verdict::Yes));
    }
}
