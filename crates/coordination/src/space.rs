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
pub use election::space::{Entry, Guard, Limits, Member, SpaceError, Stored, Write};
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

/// Changes in the order they were made, several at a time.
pub type Feed = mpsc::Receiver<Vec<Entry>>;
