//! The words in which a service of small values is asked: conditional transactions, members that vanish with their
//! session, and news of every change in order. ZooKeeper, etcd, a memory for tests and the simulator understand them.

use bytes::Bytes;

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
