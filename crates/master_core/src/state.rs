//! All a master knows, as one value. Readers get it through `Master::view`; a clone is cheap and stays as it was.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use model::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use proto::{meseta, v1};
use registry::Registry;
use resources::Resources;
use stdx::{Tick, WallTime};

use crate::counters::Counters;
pub use crate::tables::{
    Table,
    agents::{Agent, Executor},
    frameworks::{Framework, FrameworkCounters, Link},
    history::{History, Recent},
    offers::{InverseOffer, Offer},
    operations::Operation,
    tasks::Task,
};

#[derive(Clone, Debug)]
pub struct State {
    pub info: Arc<v1::MasterInfo>,
    pub phase: Phase,
    pub elected: Option<WallTime>,
    /// The durable document as last confirmed: unreachable and gone agents, machines, quotas and weights are read here.
    pub registry: Arc<Registry>,
    pub agents: Table<AgentId, Agent>,
    /// Agents of the registry that have not come back since the election.
    pub recovered_agents: Table<AgentId, v1::AgentInfo>,
    pub frameworks: Table<FrameworkId, Framework>,
    pub completed_frameworks: Recent<FrameworkId, Framework>,
    pub offers: Table<OfferId, Offer>,
    pub inverse_offers: Table<OfferId, InverseOffer>,
    /// By the master's names for them.
    pub operations: Table<Bytes, Operation>,
    pub counters: Counters,
    /// How the resource groups stood after the latest allocation; which they are stands in the registry.
    pub groups: Arc<Vec<meseta::v1::GroupStatus>>,
}

/// How far this process is with leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Another leads, or nobody yet.
    Standby,
    /// Elected; the registry does not yet name this master.
    Recovering,
    Leading {
        since: Tick,
    },
    Deposed,
}

impl State {
    pub(crate) fn new(info: v1::MasterInfo) -> State {
        State {
            info: Arc::new(info),
            phase: Phase::Standby,
            elected: None,
            registry: Arc::default(),
            agents: Table::default(),
            recovered_agents: Table::default(),
            frameworks: Table::default(),
            completed_frameworks: Recent::default(),
            offers: Table::default(),
            inverse_offers: Table::default(),
            operations: Table::default(),
            counters: Counters::default(),
            groups: Arc::default(),
        }
    }

    pub fn is_leading(&self) -> bool {
        matches!(self.phase, Phase::Leading { .. })
    }

    /// Whether a framework has ended, under this master or an earlier one.
    pub fn is_over(&self, framework: &FrameworkId) -> bool {
        self.completed_frameworks.get(framework).is_some() || self.registry.removed_frameworks.contains_key(framework)
    }

    pub fn find_task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Task> {
        self.frameworks.get(framework)?.tasks.get(task)
    }

    pub fn find_executor(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
    ) -> Option<&Arc<Executor>> {
        self.agents.get(agent)?.find_executor(framework, executor)
    }

    /// What tasks and executors hold on `agent`, by framework, with allocation info.
    pub fn used_on(&self, agent: &Agent) -> BTreeMap<FrameworkId, Resources> {
        let mut used: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
        for (framework, task) in &agent.tasks {
            if let Some(task) = self.find_task(framework, task)
                && task.holds_resources()
            {
                *used.entry(framework.clone()).or_default() += task.resources.clone();
            }
        }
        for ((framework, _), executor) in &agent.executors {
            *used.entry(framework.clone()).or_default() += executor.resources.clone();
        }
        used
    }

    /// What `framework`'s tasks and executors hold, by agent, with allocation info.
    pub fn used_by(&self, framework: &Framework) -> BTreeMap<AgentId, Resources> {
        let mut used: BTreeMap<AgentId, Resources> = BTreeMap::new();
        for task in framework.tasks.values().filter(|task| task.holds_resources()) {
            *used.entry(task.agent.clone()).or_default() += task.resources.clone();
        }
        for (agent, executor) in &framework.executors {
            if let Some(row) = self.find_executor(agent, &framework.id, executor) {
                *used.entry(agent.clone()).or_default() += row.resources.clone();
            }
        }
        used
    }

    /// When operators plan to take the agent's machine away.
    pub fn unavailability_of(&self, agent: &Agent) -> Option<v1::Unavailability> {
        if self.registry.machines.is_empty() {
            return None;
        }
        self.registry.machines.get(&agent.machine())?.unavailability
    }

    /// An outstanding offer as readers see it.
    pub fn offer_to_proto(&self, offer: &Offer) -> Option<v1::Offer> {
        crate::offers::render::full(self, offer)
    }

    /// What is on offer from `agent`.
    pub fn offered_on(&self, agent: &Agent) -> Resources {
        self.sum_offers(agent.offers.iter())
    }

    /// What is on offer to `framework`.
    pub fn offered_to(&self, framework: &Framework) -> Resources {
        self.sum_offers(framework.offers.iter())
    }

    fn sum_offers<'a>(&self, offers: impl Iterator<Item = &'a OfferId>) -> Resources {
        let mut sum = Resources::default();
        for offer in offers.filter_map(|id| self.offers.get(id)) {
            sum += offer.resources.clone();
        }
        sum
    }
}
