//! The closed set of changes to the document and how each is applied: one file per family below. An operation either
//! changes the document as a whole or is refused and leaves it as it was.

mod activation;
mod admission;
mod drain;
mod frameworks;
mod groups;
mod machines;
mod quota;
mod reachability;
mod weights;

use std::collections::BTreeSet;

use model::{AgentId, FrameworkId};
use proto::{meseta, v1};
use stdx::WallTime;

use crate::{document::Registry, key::Key};

/// A change of the document, as a master asks for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Notes which master leads from now on; the first operation of every leader.
    RecordMaster(Box<v1::MasterInfo>),
    /// A new agent registers.
    AdmitAgent(Box<v1::AgentInfo>),
    /// A known agent came back with other resources, attributes or domain.
    UpdateAgent(Box<v1::AgentInfo>),
    MarkUnreachable {
        agent: AgentId,
        since: WallTime,
    },
    /// An agent reregisters that is unreachable, or that nobody remembers.
    MarkReachable(Box<v1::AgentInfo>),
    MarkGone {
        agent: AgentId,
        since: WallTime,
    },
    /// An agent unregisters or is replaced.
    RemoveAgent(AgentId),
    /// Forgets old entries of the unreachable and gone lists; ids that are not there any more are no error.
    Prune {
        unreachable: BTreeSet<AgentId>,
        gone: BTreeSet<AgentId>,
    },
    DrainAgent {
        agent: AgentId,
        max_grace_period: Option<v1::DurationInfo>,
        mark_gone: bool,
    },
    MarkDrained(AgentId),
    DeactivateAgent(AgentId),
    ReactivateAgent(AgentId),
    UpdateSchedule(v1::maintenance::Schedule),
    StartMaintenance(Vec<v1::MachineId>),
    StopMaintenance(Vec<v1::MachineId>),
    UpdateQuota(Vec<v1::quota::QuotaConfig>),
    /// The role has no quota any more, and is not listed.
    RemoveQuota(String),
    UpdateWeights(Vec<v1::WeightInfo>),
    /// Adds a resource group, or puts it in place of the one of its name.
    /// A framework subscribes, or changes what it says of itself.
    RecordFramework(Box<v1::FrameworkInfo>),
    /// A framework is over.
    RemoveFramework {
        framework: FrameworkId,
        at: WallTime,
    },
    SetGroup(Box<meseta::v1::ResourceGroup>),
    RemoveGroup(String),
}

/// Why an operation does not fit the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the agent's info has no id")]
    NoAgentId,
    #[error("Agent {0} already admitted")]
    AlreadyAdmitted(AgentId),
    #[error("Agent {0} not yet admitted")]
    NotAdmitted(AgentId),
    #[error("Agent {0} already marked as gone")]
    AlreadyGone(AgentId),
    #[error("Failed to find agent {0}")]
    UnknownAgent(AgentId),
    #[error("the framework's info has no id")]
    NoFrameworkId,
    #[error("Agent {0} is not draining")]
    NotDraining(AgentId),
    #[error("there is no resource group '{0}'")]
    UnknownGroup(String),
}

/// Which parts of the document an operation changed; none if the document said so already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    keys: BTreeSet<Key>,
}

impl Mutation {
    /// Whether anything must be stored.
    pub fn mutated(&self) -> bool {
        !self.keys.is_empty()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Makes one mutation of two that follow each other, so that a batch is stored with one write per part.
    pub fn absorb(&mut self, later: Mutation) {
        self.keys.extend(later.keys);
    }

    /// Notes that a part changed.
    pub fn touch(&mut self, key: Key) {
        self.keys.insert(key);
    }
}

/// Applies `operation`. A refused operation leaves the document untouched.
pub fn apply(registry: &mut Registry, operation: &Operation) -> Result<Mutation, Refusal> {
    let mut mutation = Mutation::default();
    let m = &mut mutation;
    match operation {
        Operation::RecordMaster(info) => {
            if registry.master.as_ref() != Some(info) {
                registry.master = Some(v1::MasterInfo::clone(info));
                m.touch(Key::Master);
            }
        }
        Operation::AdmitAgent(info) => admission::admit(registry, info, m)?,
        Operation::UpdateAgent(info) => admission::update(registry, info, m)?,
        Operation::RemoveAgent(agent) => admission::remove(registry, agent, m)?,
        Operation::MarkUnreachable { agent, since } => reachability::mark_unreachable(registry, agent, *since, m)?,
        Operation::MarkReachable(info) => reachability::mark_reachable(registry, info, m)?,
        Operation::MarkGone { agent, since } => reachability::mark_gone(registry, agent, *since, m)?,
        Operation::Prune { unreachable, gone } => reachability::prune(registry, unreachable, gone, m),
        Operation::DrainAgent { agent, max_grace_period, mark_gone } => {
            drain::drain(registry, agent, max_grace_period.as_ref(), *mark_gone, m)?;
        }
        Operation::MarkDrained(agent) => drain::mark_drained(registry, agent, m)?,
        Operation::DeactivateAgent(agent) => activation::deactivate(registry, agent, m)?,
        Operation::ReactivateAgent(agent) => activation::reactivate(registry, agent, m)?,
        Operation::UpdateSchedule(schedule) => machines::update_schedule(registry, schedule, m),
        Operation::StartMaintenance(machines) => machines::start_maintenance(registry, machines, m),
        Operation::StopMaintenance(machines) => machines::stop_maintenance(registry, machines, m),
        Operation::UpdateQuota(configs) => quota::update(registry, configs, m),
        Operation::RemoveQuota(role) => quota::remove(registry, role, m),
        Operation::UpdateWeights(weights) => weights::update(registry, weights, m),
        Operation::RecordFramework(info) => frameworks::record(registry, info, m)?,
        Operation::RemoveFramework { framework, at } => frameworks::remove(registry, framework, *at, m),
        Operation::SetGroup(group) => groups::set(registry, group, m),
        Operation::RemoveGroup(name) => groups::remove(registry, name, m)?,
    }
    Ok(mutation)
}

fn agent_id(info: &v1::AgentInfo) -> Result<AgentId, Refusal> {
    info.id.as_ref().map(AgentId::from).ok_or(Refusal::NoAgentId)
}
