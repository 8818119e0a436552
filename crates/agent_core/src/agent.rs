//! The agent itself: its fields, and the step that hands each event to the file that knows it.

use crate::{
    config::{Config, DEFAULT_PING_TIMEOUT},
    container_id::ContainerId,
    effect::{Effect, Effects, Reply},
    event::{Event, Input},
    link::standing::Link,
    listener::Listener,
    operator::waiting::{OperatorLaunch, Wait},
    pending::{Pending, Tickets},
    recovery::record::Record,
    state::{Connection, Phase, State},
    timers::{Timer, Timers},
    updates::stream::Stream,
};
use model::{ExecutorId, FrameworkId, TaskId};
use proto::upid::Upid;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use stdx::{ConnectionId, RequestId, Rng, Tick, Ticket, WallTime};

pub struct Agent {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) rng: Rng,
    pub(crate) timers: Timers,
    pub(crate) tickets: Tickets,
    pub(crate) link: Link,
    pub(crate) streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    /// Whose executor lives in a container.
    pub(crate) roots: BTreeMap<ContainerId, (FrameworkId, ExecutorId)>,
    pub(crate) conns: BTreeMap<ConnectionId, Listener>,
    /// Whose driver is at an address: of v0 executors that listen.
    pub(crate) drivers: BTreeMap<Upid, (FrameworkId, ExecutorId)>,
    /// Who waits for the end of a container.
    pub(crate) waits: BTreeMap<ContainerId, Vec<Wait>>,
    /// Launches asked for by an operator and not yet answered.
    pub(crate) launches: BTreeMap<ContainerId, OperatorLaunch>,
    /// Containers of a former life that are being destroyed before the agent ends (`Recover::Cleanup`).
    pub(crate) cleanup: BTreeSet<ContainerId>,
    pub(crate) boot_id: String,
    /// The journal has been replayed.
    pub(crate) recovered: bool,
    /// `Effect::Exit` is out.
    pub(crate) exited: bool,
    /// An operator gave this agent up: it ends, and the next start is another one.
    pub(crate) gone: bool,
    pub(crate) now: Tick,
    pub(crate) wall: WallTime,
}

impl Agent {
    /// An agent that has not heard anything yet; `Event::Recovered` must come first.
    pub fn new(config: Config, seed: u64) -> Agent {
        let mut rng = Rng::new(seed);
        let resource_version = rng.uuid();
        Agent {
            state: State { info: Arc::new(config.info.clone()), ..State::default() },
            config,
            rng,
            timers: Timers::default(),
            tickets: Tickets::default(),
            link: Link::new(resource_version, DEFAULT_PING_TIMEOUT),
            streams: BTreeMap::new(),
            roots: BTreeMap::new(),
            conns: BTreeMap::new(),
            drivers: BTreeMap::new(),
            waits: BTreeMap::new(),
            launches: BTreeMap::new(),
            cleanup: BTreeSet::new(),
            boot_id: String::new(),
            recovered: false,
            exited: false,
            gone: false,
            now: Tick::ZERO,
            wall: WallTime(0),
        }
    }

    /// Takes one event and says what is to be done about it.
    pub fn handle(&mut self, input: Input, out: &mut Effects) {
        self.now = input.now;
        self.wall = input.wall;
        if self.exited {
            return;
        }
        match input.event {
            Event::Recovered { state, found, boot_id } => self.on_recovered(*state, found, boot_id, out),
            Event::MasterDetected { master } => self.on_master_detected(master, out),
            event if !self.recovered => self.on_too_early(event, out),
            Event::Wake => {}
            Event::FromMaster { from, message } => self.on_master_message(from, message, out),
            Event::Authenticated { master, proof } => self.on_authenticated(&master, proof, out),
            Event::Exited { peer } => {
                self.on_driver_exited(&peer, out);
                self.on_exited(&peer, out);
            }
            Event::FromExecutor { req, conn, caller, call } => self.on_executor_call(req, conn, &caller, *call, out),
            Event::FromDriver { from, caller, message } => self.on_driver_message(from, &caller, message, out),
            Event::FromOperator { req, conn, caller, call } => self.on_operator_call(req, conn, &caller, *call, out),
            Event::Closed { conn } => self.on_closed(conn, out),
            Event::Checkpointed { ticket, outcome } => self.on_checkpointed(ticket, outcome, out),
            Event::Launched { container, outcome } => self.on_launched(&container, outcome, out),
            Event::Terminated { container, termination } => self.on_terminated(&container, termination, out),
            Event::LimitsRefused { container, message } => self.on_limits_refused(&container, message, out),
            Event::VolumesLinked { ticket, outcome } => self.on_volumes_linked(ticket, outcome, out),
            Event::DiskMeasured { used } => self.on_disk_measured(used, out),
            Event::Shutdown { why } => self.on_shutdown(&why, true, out),
        }
        if self.recovered {
            while let Some(timer) = self.timers.take_due(self.now) {
                self.on_timer(timer, out);
            }
            self.settle_drain(out);
        }
    }

    /// When the agent wants a `Wake`, and why.
    pub fn next_deadline(&self) -> Option<(Tick, &'static str)> {
        self.timers.next().map(|(at, timer)| (at, timer.name()))
    }

    /// For reads.
    pub fn view(&self) -> &State {
        &self.state
    }

    /// A short journal that means the same as everything written so far. To be written in place of it, right away:
    /// records of later effects come after it.
    pub fn snapshot(&self) -> Vec<Record> {
        self.write_snapshot()
    }

    fn on_too_early(&self, event: Event, out: &mut Effects) {
        match event {
            Event::FromExecutor { req, .. } | Event::FromOperator { req, .. } => {
                self.reply(req, Reply::Unavailable("Agent has not finished recovery".into()), out);
            }
            // It says what it has to say when it is asked back.
            Event::FromDriver { from, message, .. } => {
                tracing::warn!(%from, message = message.name(), "ignoring a v0 executor before recovery");
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, timer: Timer, out: &mut Effects) {
        match timer {
            Timer::Register => self.on_register_timer(out),
            Timer::Authenticate => self.attempts().on_authentication_timer(out),
            Timer::PingTimeout => self.on_ping_timeout(out),
            Timer::UpdateRetry { framework, task } => self.updates().on_retry((framework, task), out),
            Timer::OperationRetry { operation } => self.outcomes().tell(&operation, out),
            Timer::ExecutorRegistration { container } => self.on_registration_timeout(&container, out),
            Timer::ExecutorReregistration => self.finish_recovery(out),
            Timer::ShutdownGrace { container } => self.on_grace_over(&container, out),
            Timer::ExecutorHeartbeat => self.on_heartbeat_timer(out),
            Timer::DiskWatch => self.on_disk_watch(out),
        }
    }

    fn on_checkpointed(&mut self, ticket: Ticket, outcome: Result<(), String>, out: &mut Effects) {
        let Some(pending) = self.tickets.take(ticket) else { return };
        if let Err(error) = outcome {
            // Nothing that waits for the disk may go on; the executors live, and the next agent finds them.
            self.exit(1, format!("the journal cannot be written: {error}"), out);
            return;
        }
        match pending {
            Pending::LaunchExecutor { container } => self.launch_executor(&container, out),
            Pending::Deliver { container } => self.on_delivery_durable(&container, ticket, out),
            Pending::LinkVolumes { container } => stdx::never!("links in {container} were reported as a write"),
            Pending::Update { framework, task, uuid } => self.on_update_durable((framework, task), &uuid, out),
            Pending::Acknowledged { framework, task } => self.updates().on_acknowledged((framework, task), out),
            Pending::Resources { operation, removed } => self.on_resources_durable(operation, removed, out),
            Pending::LaunchContainer { container } => self.launch_container(&container, Some(ticket), out),
        }
    }

    fn on_closed(&mut self, conn: ConnectionId, out: &mut Effects) {
        match self.conns.remove(&conn) {
            None => {}
            Some(Listener::Executor(framework, executor)) => {
                if let Some(row) = self.state.executor_mut(&framework, &executor)
                    && row.connection == Some(Connection::Stream(conn))
                {
                    tracing::info!(%framework, %executor, "the executor's stream has closed");
                    row.connection = None;
                }
            }
            Some(Listener::Session(container)) => self.on_session_closed(&container, out),
            Some(Listener::Wait(container)) => self.waiting().forget_wait(&container, conn),
        }
    }

    pub(crate) fn reply(&self, req: RequestId, reply: Reply, out: &mut Effects) {
        out.push(Effect::Reply { req, reply });
    }

    /// Appends a record that nothing waits for.
    pub(crate) fn record(&self, record: Record, out: &mut Effects) {
        out.push(Effect::Checkpoint { ticket: None, record: Box::new(record) });
    }

    pub(crate) fn exit(&mut self, code: u8, why: String, out: &mut Effects) {
        self.exited = true;
        self.state.phase = Phase::Terminating;
        out.push(Effect::Exit { code, why });
    }

    pub(crate) fn uuid(&mut self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.rng.uuid())
    }
}
