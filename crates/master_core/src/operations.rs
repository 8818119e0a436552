//! Offer operations other than launches, of frameworks and of operators. Here one begins: the agent's total changes at
//! once, on the word that the agent will do as told. `outcome` hears what became of it, `absent` ends those of agents
//! and frameworks that left, `reported` compares with what an agent says, `check` tells what may be asked for.

mod absent;
mod check;
mod outcome;
mod reported;

use std::collections::BTreeSet;

use bytes::Bytes;
use model::{AgentId, FrameworkId, OperationId};
use proto::{
    internal::{ApplyOperationMessage, CheckpointResourcesMessage, ResourceVersionUuid},
    v1::{self, OperationState, offer},
};
use resources::{
    ResourceError, Resources,
    conversion::{self, Conversion},
};
use stdx::Rng;

use crate::{
    Master, Step,
    counters::Counters,
    state::{Agent, Framework, Operation, Phase, Recent, Table},
};

/// The same conversions, of resources that nobody holds.
pub(crate) fn unallocated(conversions: &[Conversion]) -> Vec<Conversion> {
    conversions.iter().map(Conversion::unallocate).collect()
}

/// Operations under way, and all that they may change.
pub(crate) struct Operations<'a> {
    pub(crate) frameworks: &'a mut Table<FrameworkId, Framework>,
    pub(crate) agents: &'a mut Table<AgentId, Agent>,
    pub(crate) operations: &'a mut Table<Bytes, Operation>,
    pub(crate) counters: &'a mut Counters,
    /// Draining agents that may have become empty.
    pub(crate) emptied: &'a mut BTreeSet<AgentId>,
    pub(crate) rng: &'a mut Rng,
    pub(crate) completed_frameworks: &'a Recent<FrameworkId, Framework>,
    pub(crate) phase: Phase,
}

impl Master {
    pub(crate) fn operations(&mut self) -> Operations<'_> {
        Operations {
            frameworks: &mut self.state.frameworks,
            agents: &mut self.state.agents,
            operations: &mut self.state.operations,
            counters: &mut self.state.counters,
            emptied: &mut self.pending.emptied,
            rng: &mut self.rng,
            completed_frameworks: &self.state.completed_frameworks,
            phase: self.state.phase,
        }
    }

    /// What tasks and executors hold on an agent, for the question whether a volume is in use.
    pub(crate) fn held_on(&self, agent: &AgentId) -> Vec<Resources> {
        let agent = self.state.agents.get(agent);
        agent.map(|agent| self.state.used_on(agent).into_values().collect()).unwrap_or_default()
    }
}

impl Operations<'_> {
    /// Puts the outcome of `conversions` into the agent's total and tells the agent. The allocator is the caller's.
    pub(crate) fn begin(
        &mut self,
        framework: Option<&FrameworkId>,
        agent: &AgentId,
        info: offer::Operation,
        conversions: &[Conversion],
        step: &mut Step<'_>,
    ) -> Result<(), ResourceError> {
        let Some(row) = self.agents.get_mut(agent) else { return Ok(()) };
        row.total = conversion::apply_all(&row.total, &unallocated(conversions))?;
        if row.capabilities.resource_provider {
            self.send(framework, agent, info, step);
        } else {
            let mut resources = row.total.checkpointed().to_protos();
            if !row.capabilities.reservation_refinement {
                resources.retain_mut(|resource| resources::format::downgrade(resource).is_ok());
            }
            step.tell(row, CheckpointResourcesMessage { resources });
        }
        Ok(())
    }

    fn send(&mut self, framework: Option<&FrameworkId>, agent: &AgentId, info: offer::Operation, step: &mut Step<'_>) {
        let uuid = Bytes::copy_from_slice(&self.rng.uuid());
        let Some(row) = self.agents.get(agent) else { return };
        let version = row.resource_version.clone().unwrap_or_default();
        let message = ApplyOperationMessage {
            framework_id: framework.map(FrameworkId::to_proto),
            operation_info: info.clone(),
            operation_uuid: v1::Uuid { value: uuid.clone() },
            resource_version_uuid: ResourceVersionUuid { resource_provider_id: None, uuid: version },
        };
        step.tell(row, message);
        let status = v1::OperationStatus {
            operation_id: info.id.clone(),
            state: OperationState::OperationPending.into(),
            agent_id: Some(agent.to_proto()),
            ..Default::default()
        };
        self.add(Operation {
            uuid: uuid.clone(),
            id: info.id.as_ref().map(OperationId::from),
            framework: framework.cloned(),
            agent: agent.clone(),
            proto: v1::Operation {
                framework_id: framework.map(FrameworkId::to_proto),
                agent_id: Some(agent.to_proto()),
                info,
                latest_status: status,
                statuses: Vec::new(),
                uuid: v1::Uuid { value: uuid },
            },
        });
    }

    pub(crate) fn add(&mut self, operation: Operation) {
        let uuid = operation.uuid.clone();
        if let Some(agent) = self.agents.get_mut(&operation.agent) {
            agent.operations.insert(uuid.clone());
        }
        if let Some(framework) = operation.framework.as_ref().and_then(|id| self.frameworks.get_mut(id)) {
            framework.operations.insert(uuid.clone());
        }
        self.operations.insert(uuid, operation);
    }

    pub(crate) fn remove(&mut self, uuid: &Bytes) {
        let Some(operation) = self.operations.take(uuid) else { return };
        if let Some(agent) = self.agents.get_mut(&operation.agent) {
            agent.operations.remove(uuid);
            if agent.is_draining() {
                self.emptied.insert(operation.agent.clone());
            }
        }
        if let Some(framework) = operation.framework.as_ref().and_then(|id| self.frameworks.get_mut(id)) {
            framework.operations.remove(uuid);
        }
    }
}
