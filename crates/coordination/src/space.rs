//! What election and registry need of a service that keeps small values for several masters: conditional transactions,
//! members that vanish with their session, and news of every change in order. ZooKeeper, etcd and a memory for tests
//! give it; everything above is written once.
//!
//! A `Space` is one session. When it is over (`ended`), its member is gone and a `Connect` makes the next one.

pub mod etcd;
pub mod memory;
pub mod zookeeper;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

/// What a call to a service comes to.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, SpaceError>> + Send + 'a>>;

/// Goes on when something has happened.
pub type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A session with a service.
pub trait Space: Send + Sync + 'static {
    /// How much one transaction may hold.
    fn limits(&self) -> Limits;

    /// How long the service keeps our member after it last heard from us.
    fn session_timeout(&self) -> Duration;

    /// Goes on, with the reason, when the session is over.
    fn ended(&self) -> Pin<Box<dyn Future<Output = String> + Send>>;

    /// Becomes a member, junior to all others, until the session ends.
    fn join(&self, info: Bytes) -> Work<'_, Member>;

    /// Stops being a member.
    fn leave<'a>(&'a self, member: &'a Member) -> Work<'a, ()>;

    /// The members, the most senior first, and a signal of the next change.
    fn members(&self) -> Work<'_, (Vec<(Member, Bytes)>, Signal)>;

    /// The value of a key as the service's majority knows it.
    fn get<'a>(&'a self, key: &'a str) -> Work<'a, Option<Stored>>;

    /// Does all of `writes` if every guard holds, or nothing. The versions of the writes come back.
    fn transact<'a>(&'a self, guards: &'a [Guard], writes: &'a [Write]) -> Work<'a, Vec<i64>>;

    /// All keys and their values, and from there every change. The feed ends when news may have been lost.
    fn follow(&self) -> Work<'_, (Vec<Entry>, Feed)>;

    /// Masters of another program that are where ours meet, just now.
    fn find_foreign(&self) -> Work<'_, Option<String>>;

    /// Whether the registry lies where this session looks for it: a leader may have moved it since.
    fn is_in_place(&self) -> Work<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    /// Moves a registry that lies where former versions left it. If it did, this session is of no more use.
    fn move_registry<'a>(&'a self, _guards: &'a [Guard]) -> Work<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    /// Removes what a move has left for masters of former versions, once none is there. False if it must be tried
    /// again.
    fn tidy(&self) -> Work<'_, bool> {
        Box::pin(async { Ok(true) })
    }
}

/// A way to a new session.
pub trait Connect: Send + Sync + 'static {
    /// For masters: with a session of its own. Waits as long as a session may take.
    fn connect(&self) -> Work<'_, Arc<dyn Space>>;

    /// For people: which service, and where.
    fn describe(&self) -> String;
}

/// How much one transaction may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub writes: usize,
    pub bytes: usize,
}

/// One who may lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// When it joined; unique.
    pub number: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub value: Bytes,
    /// Changes with every write of the key.
    pub version: i64,
}

/// A key and what it holds now; nothing if it was deleted.
pub type Entry = (String, Option<Stored>);

/// Changes in the order they were made, several at a time.
pub type Feed = mpsc::Receiver<Vec<Entry>>;

/// What must hold for a transaction to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    Member(Member),
    Version(String, i64),
}

/// Creating needs a key that is not there, the others one that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Create(String, Bytes),
    Set(String, Bytes),
    Delete(String),
}

impl Write {
    pub fn key(&self) -> &str {
        match self {
            Write::Create(key, _) | Write::Set(key, _) | Write::Delete(key) => key,
        }
    }

    /// About what it adds to a request.
    pub fn bytes(&self) -> usize {
        match self {
            Write::Create(key, value) | Write::Set(key, value) => key.len() + value.len() + PER_WRITE,
            Write::Delete(key) => key.len() + PER_WRITE,
        }
    }
}

const PER_WRITE: usize = 128;

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// A guard did not hold, or a key was not as the write needs it. Nothing was done.
    #[error("another master has taken over")]
    Fenced,
    /// The session is over.
    #[error("the session is over: {0}")]
    Ended(String),
    /// The connection broke before the answer: it may have been done or not.
    #[error("the connection broke: {0}")]
    Unsure(String),
    /// The service does not let us.
    #[error("{0}")]
    Denied(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Failed(String),
}

impl SpaceError {
    /// Whether the same may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, SpaceError::Ended(_) | SpaceError::Unsure(_) | SpaceError::Unreachable(_))
    }
}
