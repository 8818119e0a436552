//! An agent that is registered, connected or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use model::{AgentCapabilities, AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use proto::{upid::Upid, v1};
use registry::MachineKey;
use resources::Resources;
use stdx::WallTime;

use crate::timers::TimerKey;

#[derive(Clone, Debug)]
pub struct Agent {
    pub id: AgentId,
    pub info: Arc<v1::AgentInfo>,
    pub pid: Upid,
    pub version: String,
    pub capabilities: AgentCapabilities,
    pub capability_list: Vec<v1::agent_info::Capability>,
    /// All the agent has, oversubscribed resources included.
    pub total: Resources,
    pub resource_version: Option<v1::Uuid>,
    /// Whether its socket stands. A disconnected agent is given time to come back; nothing is offered meanwhile.
    pub connected: bool,
    /// Another agent came back from its address while it was disconnected. What goes there is not for this one.
    pub(crate) displaced: bool,
    pub deactivated: bool,
    pub drain_info: Option<v1::DrainInfo>,
    /// When this master told it to drain.
    pub drain_started: Option<WallTime>,
    pub registered: WallTime,
    pub reregistered: Option<WallTime>,
    pub tasks: BTreeSet<(FrameworkId, TaskId)>,
    pub executors: BTreeMap<(FrameworkId, ExecutorId), Arc<Executor>>,
    pub offers: BTreeSet<OfferId>,
    pub operations: BTreeSet<Bytes>,
    pub inverse_offers: BTreeSet<OfferId>,
    /// What frameworks last said to the plan to take the machine away, and when.
    pub inverse_answers: BTreeMap<FrameworkId, (allocator::InverseAnswer, WallTime)>,
    /// Tasks that a framework asked to kill, until they are gone: an agent that was away must hear it again.
    pub(crate) killed: BTreeSet<(FrameworkId, TaskId)>,
    /// It has reregistered, and not yet told of its operations.
    pub(crate) awaits_operations: bool,
    pub(crate) observer: Observer,
    pub(crate) reregister_timer: Option<TimerKey>,
}

/// The pings of one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observer {
    pub(crate) number: u64,
    pub(crate) answered: bool,
    pub(crate) timeouts: u32,
    pub(crate) timer: Option<TimerKey>,
    pub(crate) removal: Option<TimerKey>,
}

/// An executor that frameworks define; the one of a command task has no row.
#[derive(Clone, Debug)]
pub struct Executor {
    pub info: v1::ExecutorInfo,
    /// With allocation info.
    pub resources: Resources,
}

impl Agent {
    /// Whether its resources may be offered.
    pub fn is_active(&self) -> bool {
        self.connected && !self.deactivated
    }

    /// Whether it is being emptied, and not yet empty.
    pub fn is_draining(&self) -> bool {
        self.drain_info.is_some_and(|drain| drain.state() == v1::DrainState::Draining)
    }

    /// Whether nothing is left to drain.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.operations.is_empty() && !self.awaits_operations
    }

    /// The machine it is on, as maintenance schedules name machines.
    pub fn machine(&self) -> MachineKey {
        MachineKey { hostname: self.info.hostname.to_ascii_lowercase(), ip: self.pid.host.as_ref().to_owned() }
    }

    pub fn find_executor(&self, framework: &FrameworkId, executor: &ExecutorId) -> Option<&Arc<Executor>> {
        self.executors.get(&(framework.clone(), executor.clone()))
    }

    /// The executors of one framework.
    pub fn executors_of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&ExecutorId, &Arc<Executor>)> {
        self.executors.iter().filter(move |((f, _), _)| f == framework).map(|((_, e), row)| (e, row))
    }

    /// The frameworks that have tasks or executors here.
    pub fn frameworks(&self) -> BTreeSet<FrameworkId> {
        let tasks = self.tasks.iter().map(|(f, _)| f);
        tasks.chain(self.executors.keys().map(|(f, _)| f)).cloned().collect()
    }
}
