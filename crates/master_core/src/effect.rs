//! Everything a master can ask of the world. Effects are carried out in order and never answered; what must be waited
//! for returns as an `Event`.

use std::vec::Drain;

use proto::{
    link::{ToAgent, ToDriver},
    upid::Upid,
    v1,
};
use registry::Operation;

use stdx::{ConnectionId, RequestId, Ticket};

#[derive(Debug)]
pub enum Effect {
    /// A message to an agent, sent as the actor `from_actor` of this process.
    ToAgent { from_actor: Actor, to: Upid, message: ToAgent },
    /// A message to a v0 driver, sent as the actor `master`.
    ToDriver { to: Upid, message: ToDriver },
    /// Keep a link to `peer` and say `Event::Exited` when it breaks. Asking again is legal and means once.
    Link { peer: Upid },
    /// Drop the link without an `Exited`.
    Unlink { peer: Upid },
    /// An event on a scheduler's stream.
    ToScheduler { conn: ConnectionId, event: Box<v1::scheduler::Event> },
    /// The answer to a request; every request gets exactly one.
    Reply { req: RequestId, reply: Reply },
    /// End a scheduler's stream, after what was sent on it.
    Close { conn: ConnectionId },
    /// Make `operations` durable, in order and all or none, then say `Event::Persisted`.
    Persist { ticket: Ticket, operations: Vec<Operation> },
    /// News for the subscribers of the operator event stream.
    Publish { event: Box<v1::master::Event> },
    /// Give up leadership and end the process.
    StepDown { why: String },
}

/// The actor of the master's process that sends a message, or that one is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Master,
    /// Watches one agent with pings; its number makes its name unique.
    Observer(u64),
}

impl Actor {
    /// The actor of this name, as `Display` writes it.
    pub fn find(name: &str) -> Option<Actor> {
        if name == "master" {
            return Some(Actor::Master);
        }
        name.strip_prefix("slave-observer(")?.strip_suffix(')')?.parse().ok().map(Actor::Observer)
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Master => f.write_str("master"),
            Actor::Observer(n) => write!(f, "slave-observer({n})"),
        }
    }
}

/// The answer to one request. `transport` knows the status codes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// 202: the call was taken in; what comes of it arrives as events.
    Accepted,
    /// 200, with a body if there is one.
    Ok(Option<Box<v1::master::Response>>),
    /// 200 and the event stream of the request's `ConnectionId`, with this `Mesos-Stream-Id`.
    Stream {
        stream_id: String,
    },
    BadRequest(String),
    Forbidden(String),
    NotFound(String),
    Conflict(String),
    Unavailable(String),
    NotImplemented(String),
}

/// The effects of one step, in order.
#[derive(Debug, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    pub fn new() -> Effects {
        Effects::default()
    }

    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    pub fn drain(&mut self) -> Drain<'_, Effect> {
        self.0.drain(..)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Effect> {
        self.0.iter()
    }
}
