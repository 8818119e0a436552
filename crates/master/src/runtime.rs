//! The loop: one task owns the core, feeds it what arrives, and carries out its effects. It never waits for an effect.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use coordination::{Outcome, registrar::OnOutcome};
use master_core::{Actor, ConnId, Effect, Effects, Event, Input, Master, PersistError, Reply, State, Ticket};
use observe::metrics;
use proto::v1;
use stdx::clock::{self, Clock};
use transport::{
    Node,
    inbox::{
        self, Traffic,
        turns::{self, Owner, Peers},
    },
};

use crate::seat::Seat;

/// The ticket of a write that nobody waits for.
pub const NO_TICKET: Ticket = Ticket::MAX;

/// What goes in and out of a master's loop.
pub struct MasterTraffic;

impl Traffic for MasterTraffic {
    type Event = Event;
    type Reply = Reply;
    type View = View;
    type Streamed = Box<v1::scheduler::Event>;

    fn wake() -> Event {
        Event::Wake
    }

    fn closed(conn: ConnId) -> Event {
        Event::Closed { conn }
    }
}

/// What readers get: a snapshot of the state, and what the allocator's books say.
#[derive(Clone, Debug)]
pub struct View {
    pub state: State,
    pub allocation: Allocation,
}

/// Of the allocator's books, what does not follow from the state.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Cycles begun.
    pub runs: u64,
    /// The dominant share of each role.
    pub shares: BTreeMap<Arc<str>, f64>,
}

pub type Inbox = inbox::Inbox<MasterTraffic>;
pub type Arrivals = inbox::Arrivals<MasterTraffic>;

/// The core and everything an effect may touch.
pub struct Loop {
    core: Master,
    clock: Clock,
    seat: Seat,
    node: Node,
    peers: Peers<MasterTraffic>,
    effects: Effects,
    writes: Writes,
    /// Why the master must end, once it must.
    ending: Option<String>,
}

impl Loop {
    pub fn new(core: Master, clock: Clock, seat: Seat, node: Node, metrics: &metrics::Registry) -> Loop {
        Loop {
            core,
            clock,
            seat,
            node,
            peers: Peers::default(),
            effects: Effects::new(),
            writes: Writes::new(metrics),
            ending: None,
        }
    }

    /// Runs until the core steps down; the reason comes back.
    pub async fn run(mut self, arrivals: Arrivals) -> String {
        turns::run(&mut self, arrivals).await.unwrap_or_else(|| "nobody is left to serve".into())
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToAgent { from_actor, to, message } => {
                self.node.send(&from_actor.to_string(), &to, message.name(), &message.encode());
            }
            Effect::ToDriver { to, message } => {
                self.node.send(&Actor::Master.to_string(), &to, message.name(), &message.encode());
            }
            Effect::Link { peer } => self.node.link(&peer),
            Effect::Unlink { peer } => self.node.unlink(&peer),
            Effect::ToScheduler { conn, event } => {
                if !self.peers.tell(conn, event) {
                    tracing::warn!(conn, "a scheduler is gone or reads too slowly; its stream is cut");
                }
            }
            Effect::Reply { req, reply } => self.peers.reply(req, reply),
            Effect::Close { conn } => self.peers.close(conn),
            Effect::Persist { ticket, operations } => {
                self.writes.begin(ticket);
                if let Err(why) = self.seat.persist(ticket, operations) {
                    self.step_down(why);
                }
            }
            // The core is told not to publish while nothing serves the operator event stream.
            Effect::Publish { .. } => {}
            Effect::StepDown { why } => self.step_down(why),
        }
    }

    fn step_down(&mut self, why: String) {
        self.ending.get_or_insert(why);
    }
}

impl Owner for Loop {
    type Traffic = MasterTraffic;
    type End = String;

    fn step(&mut self, event: Event) {
        if let Event::Persisted { ticket, .. } = &event {
            self.writes.done(*ticket);
        }
        // Whoever acted now could do so beside another leader.
        if self.ending.is_some() || !self.seat.may_act() {
            self.step_down("the right to lead has run out".into());
            return;
        }
        let input = Input { now: self.clock.now(), wall: clock::wall(), event };
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(input, &mut effects);
        effects.drain().for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn deadline(&self) -> Option<Instant> {
        self.core.next_deadline().map(|(tick, _)| self.clock.instant(tick))
    }

    fn view(&self) -> View {
        let allocator = self.core.allocator();
        let allocation = Allocation { runs: allocator.cycles(), shares: allocator.role_shares() };
        View { state: self.core.view().clone(), allocation }
    }

    fn peers(&mut self) -> &mut Peers<MasterTraffic> {
        &mut self.peers
    }

    fn end_turn(&mut self) -> Option<String> {
        self.ending.take()
    }
}

/// The writes to the registry that are under way, measured.
struct Writes {
    begun: HashMap<Ticket, Instant>,
    waiting: metrics::Gauge,
    took: metrics::Timer,
}

impl Writes {
    fn new(metrics: &metrics::Registry) -> Writes {
        Writes {
            begun: HashMap::new(),
            waiting: metrics.gauge("registrar/queued_operations"),
            took: metrics.timer("registrar/state_store"),
        }
    }

    fn begin(&mut self, ticket: Ticket) {
        self.begun.insert(ticket, Instant::now());
        self.waiting.set(self.begun.len() as f64);
    }

    fn done(&mut self, ticket: Ticket) {
        if let Some(begun) = self.begun.remove(&ticket) {
            self.took.record(begun.elapsed());
        }
        self.waiting.set(self.begun.len() as f64);
    }
}

/// Turns what the registrar reports into events.
pub fn on_outcome(inbox: Inbox) -> OnOutcome {
    Box::new(move |ticket, outcome| {
        if ticket == NO_TICKET {
            return;
        }
        let outcome = match outcome {
            Outcome::Stored => Ok(()),
            Outcome::Refused(refusal) => Err(PersistError(refusal.to_string())),
            Outcome::Failed(why) => Err(PersistError(why)),
        };
        inbox.put_blocking(Event::Persisted { ticket, outcome });
    })
}
