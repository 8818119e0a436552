//! Knows every decision of a master. Knows no socket, file, clock or thread: what happened comes in as an `Event`, what
//! shall be done goes out as `Effect`s, and every wait is a ticket that comes back.
//!
//! Read on in `event` and `effect` (the face), `state` and `tables` (what a master knows), then in the folder named
//! after what happened: `leadership`, `agents`, `frameworks`, `calls`, `operator`, `tasks`, `offers`. `validate`
//! judges, `weight` bounds what frameworks burden a master with, `publish` tells subscribers, `pending` and `timers`
//! hold what is still to come, `invariants` what must always hold.

#![forbid(unsafe_code)]

mod agents;
mod authentication;
mod calls;
mod config;
pub mod counters;
mod early;
mod effect;
mod event;
mod frameworks;
mod ids;
mod invariants;
mod leadership;
mod metrics;
mod offers;
mod operations;
mod operator;
mod pending;
mod publish;
pub mod recording;
pub mod state;
mod stopwatch;
mod tables;
mod tasks;
mod timers;
mod validate;
mod weight;

pub use config::Config;
pub use effect::{Actor, Effect, Effects, Reply};
pub use event::{ConnectionId, Event, Input, PersistError, RequestId, Ticket};
pub use state::State;
pub use stopwatch::{Lap, Stopwatch};
pub use tables::roles::Role;

use std::collections::{BTreeMap, BTreeSet};

use allocator::Allocator;
use model::{AgentId, FrameworkId, TaskId};
use proto::{link::ToMaster, upid::Upid, v1};
use stdx::{Rng, Tick, WallTime};

use crate::{
    counters::Counter,
    ids::Ids,
    pending::Pending,
    timers::{Timer, Timers},
};

/// A master: one value, changed by one event at a time.
pub struct Master {
    config: Config,
    state: State,
    allocator: Allocator,
    timers: Timers<Timer>,
    pending: Pending,
    ids: Ids,
    rng: Rng,
    by_pid: tables::Index<Upid, AgentId>,
    by_conn: BTreeMap<ConnectionId, FrameworkId>,
    by_driver: BTreeMap<Upid, FrameworkId>,
    authentication: authentication::Authentication,
    early: early::Early,
    removals: agents::unreachable::Removals,
    /// Kills of tasks on agents that are unreachable: should the agent return, it hears of them.
    absent_kills: BTreeMap<AgentId, BTreeSet<(FrameworkId, TaskId)>>,
    stopwatch: Option<Stopwatch>,
}

/// The moment of one step and where its effects go.
pub(crate) struct Step<'a> {
    pub(crate) now: Tick,
    pub(crate) wall: WallTime,
    pub(crate) out: &'a mut Effects,
}

impl Step<'_> {
    pub(crate) fn reply(&mut self, req: RequestId, reply: Reply) {
        self.out.push(Effect::Reply { req, reply });
    }

    /// Says something to a registered agent, unless another is at its address by now.
    pub(crate) fn tell(&mut self, agent: &state::Agent, message: impl Into<proto::link::ToAgent>) {
        if !agent.displaced {
            self.send(&agent.pid, message);
        }
    }

    pub(crate) fn send(&mut self, to: &Upid, message: impl Into<proto::link::ToAgent>) {
        self.out.push(Effect::ToAgent { from_actor: Actor::Master, to: to.clone(), message: message.into() });
    }
}

impl Master {
    /// `seed` decides every random choice; two masters with the same seed and inputs do the same.
    pub fn new(mut config: Config, info: v1::MasterInfo, seed: u64) -> Master {
        let mut rng = Rng::new(seed);
        let domain = model::capabilities::fault_domain(info.domain.as_ref());
        config.allocator.region = domain.map(|(region, _)| region.to_owned());
        let allocator = Allocator::new(config.allocator.clone(), rng.fork("allocator"));
        Master {
            ids: Ids::new(&info.id),
            state: State::new(info),
            allocator,
            timers: Timers::default(),
            pending: Pending::default(),
            rng: rng.fork("streams"),
            by_pid: tables::Index::default(),
            by_conn: BTreeMap::new(),
            by_driver: BTreeMap::new(),
            authentication: Default::default(),
            early: early::Early::default(),
            removals: agents::unreachable::Removals::default(),
            absent_kills: BTreeMap::new(),
            stopwatch: None,
            config,
        }
    }

    /// Reacts to one event. Effects are appended to `out` in the order they must be carried out.
    pub fn handle(&mut self, input: Input, out: &mut Effects) {
        let Input { now, wall, event } = input;
        let mut step = Step { now, wall, out };
        match event {
            Event::Wake => {}
            Event::Elected { registry } => self.on_elected(*registry, &mut step),
            Event::Deposed => self.on_deposed(&mut step),
            Event::Persisted { ticket, outcome } => self.on_persisted(ticket, outcome, &mut step),
            event @ (Event::FromAgent { .. } | Event::FromDriver { .. }) => self.on_libprocess(event, &mut step),
            Event::Authenticating { peer } => {
                self.authentication.on_authenticating(peer, self.state.phase, &mut self.state.counters)
            }
            Event::Authenticated { peer, principal } => {
                if let Some(held) =
                    self.authentication.on_authenticated(peer, principal, &mut self.state.counters, &mut step)
                {
                    self.on_libprocess(held, &mut step);
                }
            }
            Event::Exited { peer } => {
                self.authentication.forget(&peer);
                self.early.forget(&peer);
                self.on_exited(&peer, &mut step);
                self.on_driver_exited(&peer, &mut step);
            }
            Event::FromScheduler { req, conn, principal, stream_id, call } => {
                self.on_scheduler_call(calls::Request { req, conn, principal, stream_id }, *call, &mut step);
            }
            Event::FromOperator { req, principal, call } => self.on_operator_call(req, principal, *call, &mut step),
            Event::Whitelist { hostnames } => self.allocator.set_whitelist(step.now, hostnames),
            Event::Closed { conn } => self.on_closed(conn, &mut step),
        }
        self.fire_timers(&mut step);
        self.pending.settle_drains(&self.state.agents, &mut step);
        self.make_offers(&mut step);
    }

    /// When the core wants `Event::Wake` if nothing else happens before, and why.
    pub fn next_deadline(&self) -> Option<(Tick, &'static str)> {
        if !self.state.is_leading() {
            return None;
        }
        let timer = self.timers.next().map(|(due, timer)| (due, timer.reason()));
        [timer, self.allocator.next_deadline()].into_iter().flatten().min_by_key(|(tick, _)| *tick)
    }

    /// What the master knows, for reading. `State` clones cheaply.
    pub fn view(&self) -> &State {
        &self.state
    }

    /// The allocator's books, for metrics.
    pub fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    fn on_libprocess(&mut self, event: Event, step: &mut Step<'_>) {
        match self.authentication.hold(event) {
            Some(Event::FromAgent { from, to, message }) => self.on_agent_message(from, to, message, step),
            Some(Event::FromDriver { from, message }) => self.on_driver_message(from, message, step),
            Some(_) | None => {}
        }
    }

    fn on_agent_message(&mut self, from: Upid, to: Actor, message: ToMaster, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            if !self.early.holds(self.state.phase, &from, &message, step.now) {
                self.state.counters.add(Counter::DroppedMessages);
            }
            return;
        }
        if let Err(why) = self.check_sender(&from, to, &message) {
            tracing::warn!(%from, message = message.name(), why, "dropping a message");
            self.state.counters.count_foreign(&message);
            return;
        }
        match message {
            ToMaster::RegisterSlave(_) | ToMaster::ReregisterSlave(_)
                if !self.authentication.is_agent_authentic(&from, &self.config, &mut self.state.counters, step) => {}
            ToMaster::RegisterSlave(m) => self.on_register(from, m, step),
            ToMaster::ReregisterSlave(m) => self.on_reregister(from, m, step),
            ToMaster::UnregisterSlave(m) => self.on_unregister(&from, &m, step),
            ToMaster::StatusUpdate(m) => self.tasks().on_status_update(*m, step),
            ToMaster::ExecutorToFramework(m) => self.tasks().on_executor_message(*m, step),
            ToMaster::ExitedExecutor(m) => self.tasks().on_exited_executor(&m, step),
            ToMaster::UpdateSlave(m) => self.on_update_agent(&m, step),
            ToMaster::PongSlave(_) => self.on_pong(&from),
            ToMaster::UpdateOperationStatus(m) => self.operations().on_status(*m, step),
        }
    }
}
