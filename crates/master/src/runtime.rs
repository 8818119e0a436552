//! The loop: one task owns the core, feeds it what arrives, and carries out its effects. It never waits for an effect.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use master_core::{Actor, Effect, Effects, Event, Input, Lap, Master, State, Stopwatch, Ticket, recording};
use observe::{flight::Flight, metrics};
use stdx::clock::{self, Clock};
use transport::{
    Node,
    inbox::turns::{self, Owner, Peers},
};

use crate::{
    seat::Seat,
    traffic::{Allocation, Arrivals, MasterTraffic},
};

/// The core and everything an effect may touch.
pub struct Loop {
    core: Master,
    clock: Clock,
    seat: Seat,
    node: Node,
    peers: Peers<MasterTraffic>,
    effects: Effects,
    writes: Writes,
    flight: Flight,
    /// Why the master must end, once it must.
    ending: Option<String>,
}

impl Loop {
    pub fn new(mut core: Master, clock: Clock, seat: Seat, node: Node, metrics: &metrics::Registry) -> Loop {
        core.measure_allocation(stopwatch(metrics));
        Loop {
            core,
            clock,
            seat,
            node,
            peers: Peers::default(),
            effects: Effects::new(),
            writes: Writes::new(metrics),
            flight: Flight::default(),
            ending: None,
        }
    }

    /// Every input is recorded by `flight` before the core has it.
    pub fn recorded_by(mut self, flight: Flight) -> Loop {
        self.flight = flight;
        self
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
                    tracing::warn!(%conn, "a scheduler is gone or reads too slowly; its stream is cut");
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
        self.flight.note(|| recording::encode(&input));
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(input, &mut effects);
        effects.drain().for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn deadline(&self) -> Option<Instant> {
        self.core.next_deadline().map(|(tick, _)| self.clock.instant(tick))
    }

    fn view(&self) -> State {
        self.core.view().clone()
    }

    fn figures(&self) -> Allocation {
        let allocator = self.core.allocator();
        let shares = allocator.role_shares();
        let roles = self.core.view().registry.quotas.keys().map(String::as_str);
        let roles = roles.chain(shares.keys().map(AsRef::as_ref));
        Allocation {
            runs: allocator.cycles(),
            filters: allocator.active_filters(),
            consumed: roles.map(|role| (role.to_owned(), allocator.quota_consumption(role))).collect(),
            shares,
        }
    }

    fn peers(&mut self) -> &mut Peers<MasterTraffic> {
        &mut self.peers
    }

    fn end_turn(&mut self) -> Option<String> {
        self.ending.take()
    }
}

/// Measures the allocator's runs. One that is cut is measured as one, without the time between its parts.
fn stopwatch(metrics: &metrics::Registry) -> Stopwatch {
    let took = metrics.timer("allocator/mesos/allocation_run");
    let waited = metrics.timer("allocator/mesos/allocation_run_latency");
    let (mut begun, mut late, mut spent) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    Box::new(move |lap| match lap {
        Lap::Begins { late: by } => (begun, late) = (Instant::now(), late.max(by)),
        Lap::Ends { ran, done } => {
            spent += begun.elapsed();
            if done {
                if ran {
                    took.record(spent);
                    waited.record(late);
                }
                (late, spent) = (Duration::ZERO, Duration::ZERO);
            }
        }
    })
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
