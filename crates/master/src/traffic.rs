//! What goes in and out of a master's loop, and what it shows beside its state. The loop is in `runtime`.

use std::{collections::BTreeMap, sync::Arc};

use master_core::{Event, Reply, State};
use proto::v1;
use resources::Quantities;
use stdx::ConnectionId;
use transport::{
    inbox::{self, Traffic},
    stream,
};

/// What goes in and out of a master's loop.
pub struct MasterTraffic;

impl Traffic for MasterTraffic {
    type Event = Event;
    type Reply = Reply;
    type View = State;
    type Figures = Allocation;
    type Streamed = Box<v1::scheduler::Event>;

    fn wake() -> Event {
        Event::Wake
    }

    fn closed(conn: ConnectionId) -> Event {
        Event::Closed { conn }
    }

    /// Offers are many and alike, so they are counted only.
    fn weigh(event: &Box<v1::scheduler::Event>) -> usize {
        const OFFER: usize = 3 << 10;
        match &event.offers {
            Some(offers) => offers.offers.len() * OFFER,
            None => stream::weight(event),
        }
    }
}

/// Of the allocator's books, what does not follow from the state.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// Cycles begun.
    pub runs: u64,
    /// The dominant share of each role.
    pub shares: BTreeMap<Arc<str>, f64>,
    /// How many offer filters are in force, of the roles that have any.
    pub filters: BTreeMap<Arc<str>, usize>,
    /// What counts, or would count, against the quotas of the roles that have something or a quota.
    pub consumed: BTreeMap<String, Quantities>,
}

pub type Inbox = inbox::Inbox<MasterTraffic>;
pub type Arrivals = inbox::Arrivals<MasterTraffic>;
