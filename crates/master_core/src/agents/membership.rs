//! Adding an agent's row and taking it away, with all that hangs on it.

use std::{collections::BTreeMap, sync::Arc};

use model::{AgentCapabilities, AgentId, Refusal};
use proto::{
    internal,
    upid::Upid,
    v1::{self, OperationState, machine_info, resource::reservation_info},
};
use registry::MachineKey;
use resources::{Resource, Resources};
use stdx::WallTime;

use crate::{
    Master, Step,
    counters::{Counter, Counters},
    effect::Effect,
    frameworks::events,
    publish,
    state::{Agent, Table},
    tables::Index,
    tables::agents::Observer,
    tasks::status::News,
};

/// Why an agent leaves.
pub(crate) enum Departure {
    Unreachable {
        since: WallTime,
        why: String,
    },
    Gone,
    /// It unregistered, or another took its address.
    Removed {
        why: &'static str,
    },
}

/// What a registering agent says about itself.
pub(crate) struct Newcomer {
    pub(crate) pid: Upid,
    pub(crate) info: v1::AgentInfo,
    pub(crate) version: String,
    pub(crate) capabilities: Vec<v1::agent_info::Capability>,
    pub(crate) resource_version: Option<v1::Uuid>,
    pub(crate) checkpointed: Vec<v1::Resource>,
    pub(crate) reregistered: Option<WallTime>,
}

pub(crate) const GONE: &str = "Agent has been marked gone";

impl Master {
    /// What every (re)registration is told about the connection.
    pub(crate) fn connection(&self) -> internal::MasterSlaveConnection {
        internal::MasterSlaveConnection {
            total_ping_timeout_seconds: Some(self.config.total_ping_timeout().as_secs_f64()),
        }
    }

    /// The row of a newcomer, without tasks, executors and offers.
    pub(crate) fn new_agent(&mut self, id: &AgentId, newcomer: Newcomer, step: &Step<'_>) -> Agent {
        let admitted = self.state.registry.agents.get(id);
        Agent {
            id: id.clone(),
            total: total_resources(&newcomer.info.resources, &newcomer.checkpointed),
            info: Arc::new(newcomer.info),
            pid: newcomer.pid,
            version: newcomer.version,
            capabilities: AgentCapabilities::from_protos(&newcomer.capabilities),
            capability_list: newcomer.capabilities,
            resource_version: newcomer.resource_version,
            connected: true,
            displaced: false,
            deactivated: admitted.is_some_and(|a| a.deactivated),
            drain_info: admitted.and_then(|a| a.drain_info),
            drain_started: None,
            registered: step.wall,
            reregistered: newcomer.reregistered,
            tasks: Default::default(),
            executors: BTreeMap::new(),
            offers: Default::default(),
            operations: Default::default(),
            inverse_offers: Default::default(),
            inverse_answers: Default::default(),
            killed: Default::default(),
            awaits_operations: false,
            observer: Observer { number: self.ids.observer(), ..Observer::default() },
            reregister_timer: None,
        }
    }

    /// Puts `agent` into the tables and the allocator, watches it and tells subscribers. Its tasks' frameworks must be
    /// there.
    pub(crate) fn add_agent(&mut self, agent: Agent, step: &mut Step<'_>) {
        let id = agent.id.clone();
        take_address(&mut self.by_pid, &mut self.state.agents, &agent.pid, &id, step);
        let used = self.state.used_on(&agent);
        self.allocator.add_agent(step.now, &id, self.profile_of(&agent), agent.total.clone(), &used);
        let unavailability = self.state.unavailability_of(&agent);
        if unavailability.is_some() {
            self.allocator.set_unavailability(step.now, &id, unavailability);
        }
        self.state.agents.insert(id.clone(), agent);
        if let Some(agent) = self.state.agents.get(&id) {
            publish::agent_added(&self.config, &self.state, agent, step);
        }
    }

    pub(crate) fn profile_of(&self, agent: &Agent) -> allocator::AgentProfile {
        allocator::AgentProfile {
            hostname: agent.info.hostname.clone(),
            attributes: agent.info.attributes.clone(),
            domain: agent.info.domain.clone(),
            capabilities: agent.capabilities,
            active: agent.is_active(),
        }
    }

    /// Takes an agent away: its tasks end or become unreachable, its executors and offers go, frameworks hear of it.
    pub(crate) fn remove_agent(&mut self, id: &AgentId, departure: &Departure, step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
        let (hostname, pid) = (agent.info.hostname.clone(), agent.pid.clone());
        if matches!(departure, Departure::Unreachable { .. }) && !agent.killed.is_empty() {
            self.absent_kills.insert(id.clone(), agent.killed.clone());
        }
        for (framework, task) in agent.tasks.clone() {
            let aware = self.state.frameworks.get(&framework).is_some_and(|f| f.capabilities.partition_aware);
            let (mut news, unreachable) = match departure {
                Departure::Removed { why } => {
                    let message = format!("Agent {hostname} removed: {why}");
                    (News::of(Refusal::AgentRemoved, aware, message), false)
                }
                Departure::Unreachable { why, .. } => (News::of(Refusal::AgentUnreachable, aware, why.as_str()), true),
                // Frameworks that know no partitions find the tasks of gone agents among the unreachable.
                Departure::Gone => (News::of(Refusal::AgentGone, aware, GONE), !aware),
            };
            if let Departure::Unreachable { since, .. } = departure {
                news.unreachable_since = Some(*since);
            }
            self.tasks().end(&framework, &task, news, unreachable, step);
        }
        let executors: Vec<_> =
            self.state.agents.get(id).map(|a| a.executors.keys().cloned().collect()).unwrap_or_default();
        for (framework, executor) in executors {
            self.tasks().remove_executor(id, &framework, &executor, step);
        }
        let (state, why) = match departure {
            Departure::Unreachable { why, .. } => (OperationState::OperationUnreachable, why.as_str()),
            Departure::Gone => (OperationState::OperationGoneByOperator, GONE),
            Departure::Removed { why } => (OperationState::OperationUnreachable, *why),
        };
        self.operations().end_on(id, state, why, step);
        self.offers().rescind_on(id, step);
        self.offers().rescind_inverse_on(id, step);
        self.allocator.remove_agent(step.now, id);
        if let Some(agent) = self.state.agents.take(id) {
            let timers = [agent.observer.timer, agent.observer.removal, agent.reregister_timer];
            for timer in timers.into_iter().flatten() {
                self.timers.cancel(timer);
            }
        }
        vacate(&mut self.by_pid, &pid, id, step);
        self.broadcast(|| events::failure_of_agent(id), step);
        if matches!(departure, Departure::Removed { .. }) {
            publish::agent_removed(&self.config, id, step);
        }
    }

    /// Whether operators took the machine at `hostname` and `ip` out of service.
    pub(crate) fn is_machine_down(&self, hostname: &str, ip: &str) -> bool {
        let key = MachineKey { hostname: hostname.to_ascii_lowercase(), ip: ip.to_owned() };
        self.state.registry.machines.get(&key).is_some_and(|machine| machine.mode() == machine_info::Mode::Down)
    }
}

/// A removed agent is not at `pid` any more.
fn vacate(by_pid: &mut Index<Upid, AgentId>, pid: &Upid, id: &AgentId, step: &mut Step<'_>) {
    stdx::bug!("address_stays_taken", return);
    leave_address(by_pid, pid, id, step);
}

/// This agent is not at `pid` any more.
pub(super) fn leave_address(by_pid: &mut Index<Upid, AgentId>, pid: &Upid, id: &AgentId, step: &mut Step<'_>) {
    if by_pid.get(pid) == Some(id) {
        by_pid.remove(pid);
        step.out.push(Effect::Unlink { peer: pid.clone() });
    }
}

/// From now on this agent is at `pid`. One that was there before is disconnected.
pub(super) fn take_address(
    by_pid: &mut Index<Upid, AgentId>,
    agents: &mut Table<AgentId, Agent>,
    pid: &Upid,
    id: &AgentId,
    step: &mut Step<'_>,
) {
    let before = by_pid.get(pid).filter(|there| *there != id).cloned();
    if let Some(before) = before.and_then(|before| agents.get_mut(&before)) {
        tracing::info!(agent = %id, before = %before.id, %pid, "takes over an address");
        before.displaced = true;
    }
    by_pid.insert(pid.clone(), id.clone());
    step.out.push(Effect::Link { peer: pid.clone() });
}

impl Counters {
    pub(crate) fn count_removal(&mut self, cause: Counter) {
        self.add(Counter::AgentRemovals);
        self.add(cause);
    }
}

/// Ends an agent, its executors and tasks. Only an operator's decision is a reason: that it is gone, that its machine
/// is down, or that it came back as another machine than the one that operators plan with.
pub(crate) fn shutdown(why: &str) -> internal::ShutdownMessage {
    internal::ShutdownMessage { message: Some(why.to_owned()) }
}

/// The agent's resources with its checkpointed reservations and volumes in place of what they were made from. Both
/// lists have been checked; what does not fit is left out.
pub(crate) fn total_resources(info: &[v1::Resource], checkpointed: &[v1::Resource]) -> Resources {
    let mut total = Resources::from_protos(info).unwrap_or_default();
    for made in checkpointed {
        let mut plain = made.clone();
        resources::format::upgrade(&mut plain);
        while plain.reservations.last().is_some_and(|r| r.r#type() == reservation_info::Type::Dynamic) {
            plain.reservations.pop();
        }
        if let Some(disk) = &mut plain.disk {
            disk.persistence = None;
            disk.volume = None;
            if disk.source.is_none() {
                plain.disk = None;
            }
        }
        plain.shared = None;
        let (Ok(plain), Ok(made)) = (Resource::from_proto(&plain), Resource::from_proto(made)) else { continue };
        if let Some(rest) = total.subtract(&Resources::from(plain)) {
            total = rest + Resources::from(made);
        }
    }
    total
}
