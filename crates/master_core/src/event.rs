//! Everything that can happen to a master. What it does in return is `effect`; who reacts to what is `lib`'s `handle`.

use std::collections::BTreeSet;

use proto::{driver::FromDriver, link::ToMaster, upid::Upid, v1};
use registry::Registry;
pub use stdx::{ConnectionId, RequestId, Ticket};
use stdx::{Tick, WallTime};

use crate::effect::Actor;

/// One step's input: what happened, and when.
#[derive(Debug)]
pub struct Input {
    pub now: Tick,
    pub wall: WallTime,
    pub event: Event,
}

#[derive(Debug)]
pub enum Event {
    /// The deadline that `next_deadline` named has come (or not: waking too often does no harm).
    Wake,
    /// The election made this process the leader, and this is the durable document. Legal once.
    Elected { registry: Box<Registry> },
    /// Another process leads, or nobody does. From here the core only refuses.
    Deposed,
    /// The outcome of an `Effect::Persist`. Each ticket comes back once.
    Persisted { ticket: Ticket, outcome: Result<(), PersistError> },
    /// An agent's message to an actor of this process; `from` is the sender as the message names it.
    FromAgent { from: Upid, to: Actor, message: ToMaster },
    /// A v0 driver's message; `from` is the sender as the message names it.
    FromDriver { from: Upid, message: FromDriver },
    /// An agent or driver begins to prove who it is. Each is followed by one `Authenticated`.
    Authenticating { peer: Upid },
    /// How that ended; without a principal it failed, or took too long.
    Authenticated { peer: Upid, principal: Option<String> },
    /// A link that `Effect::Link` asked for broke, or could not be made.
    Exited { peer: Upid },
    /// A decoded scheduler call. `conn` is the stream that the reply to a SUBSCRIBE would open; other calls have none.
    FromScheduler {
        req: RequestId,
        conn: Option<ConnectionId>,
        principal: Option<String>,
        stream_id: Option<String>,
        call: Box<v1::scheduler::Call>,
    },
    /// An operator call that changes something; reads are answered from `Master::view`.
    FromOperator { req: RequestId, principal: Option<String>, call: Box<v1::master::Call> },
    /// Only agents with these hostnames are offered from now on; without any list, all are.
    Whitelist { hostnames: Option<BTreeSet<String>> },
    /// A scheduler's event stream ended: the peer left, or its outbox overflowed.
    Closed { conn: ConnectionId },
}

/// Why a durable write failed. A master cannot go on after one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PersistError(pub String);
