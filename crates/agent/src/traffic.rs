//! What goes into an agent's loop and comes out of it, for all who put something in and for the loop itself.

use agent_core::{ConnectionId, Event, Reply, State};
use proto::v1;
use transport::{
    inbox::{self, Traffic},
    stream,
};

/// The actor that the agent is towards masters.
pub const ACTOR: &str = "slave(1)";

/// What goes in and out of an agent's loop.
pub struct AgentTraffic;

impl Traffic for AgentTraffic {
    type Event = Event;
    type Reply = Reply;
    type View = State;
    type Figures = ();
    type Streamed = Box<v1::executor::Event>;

    fn wake() -> Event {
        Event::Wake
    }

    fn closed(conn: ConnectionId) -> Event {
        Event::Closed { conn }
    }

    fn weigh(event: &Box<v1::executor::Event>) -> usize {
        stream::weight(event)
    }
}

pub type Inbox = inbox::Inbox<AgentTraffic>;
pub type Arrivals = inbox::Arrivals<AgentTraffic>;
