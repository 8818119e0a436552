//! What became of operations, as agents say: the framework that named the operation hears it and acknowledges; for all
//! others the master acknowledges itself.

use std::time::Duration;

use bytes::Bytes;
use model::{AgentId, FrameworkId, OperationId};
use proto::{
    internal::{AcknowledgeOperationStatusMessage, UpdateOperationStatusMessage},
    v1::{self, OperationState, scheduler::call::AcknowledgeOperationStatus},
};

use super::Operations;
use crate::{
    Step,
    counters::Counter,
    frameworks::{events, send::send_event},
    state::Phase,
    tables::operations::is_final,
};

/// How long after the election an operation waits for a framework that nobody has heard of.
const ORPHAN_AFTER: Duration = Duration::from_secs(10 * 60);

/// Who is to hear of an operation.
enum Listener {
    There(FrameworkId),
    /// It may yet come back; the agent tells again until then.
    Awaited,
    None,
}

impl Operations<'_> {
    pub(crate) fn on_status(&mut self, message: UpdateOperationStatusMessage, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesOperationStatusUpdate);
        let agent = message.agent_id.as_ref().map(AgentId::from).filter(|id| self.agents.contains(id));
        let (Some(agent), Some(uuid)) = (agent, message.operation_uuid.as_ref().map(|uuid| uuid.value.clone())) else {
            tracing::warn!("ignoring the status of an operation from nowhere");
            self.counters.add(Counter::InvalidOperationStatusUpdates);
            return;
        };
        let status = message.status;
        let Some(row) = self.operations.get_mut(&uuid).filter(|row| row.agent == agent) else {
            self.on_status_of_unknown(&agent, message.framework_id.as_ref(), &uuid, status, step);
            return;
        };
        self.counters.add(Counter::ValidOperationStatusUpdates);
        let latest = message.latest_status.unwrap_or_else(|| status.clone());
        let (kind, before) = (row.proto.info.r#type(), row.state());
        let said = row.proto.statuses.iter().any(|old| old.uuid.is_some() && old.uuid == status.uuid);
        if !said {
            row.proto.statuses.push(status.clone());
        }
        if !is_final(before) {
            row.proto.latest_status = latest;
            let after = row.state();
            if before != after {
                self.counters.add_operation(kind, after);
            }
        }
        let ended = is_final(status.state());
        let (named, framework) = (row.id.is_some(), row.framework.clone());
        match self.listener(framework.filter(|_| named), step) {
            Listener::There(framework) => {
                let acknowledged = status.uuid.is_none();
                send_event(self.frameworks, self.agents, &framework, events::update_operation_status(status), step);
                if ended && acknowledged {
                    self.remove(&uuid);
                }
            }
            Listener::Awaited => {}
            Listener::None => {
                if let Some(status_uuid) = status.uuid {
                    self.acknowledge(&agent, &uuid, status_uuid, step);
                }
                if ended {
                    self.remove(&uuid);
                }
            }
        }
    }

    /// This master does not know the operation: it ended before, or was begun under another master and the agent has
    /// not yet said so.
    fn on_status_of_unknown(
        &mut self,
        agent: &AgentId,
        framework: Option<&v1::FrameworkId>,
        uuid: &Bytes,
        status: v1::OperationStatus,
        step: &mut Step<'_>,
    ) {
        self.counters.add(Counter::InvalidOperationStatusUpdates);
        let framework = framework.map(FrameworkId::from).filter(|_| status.operation_id.is_some());
        match self.listener(framework, step) {
            Listener::There(framework) => {
                send_event(self.frameworks, self.agents, &framework, events::update_operation_status(status), step);
            }
            Listener::Awaited => {}
            Listener::None => {
                if let Some(status_uuid) = status.uuid {
                    self.acknowledge(agent, uuid, status_uuid, step);
                }
            }
        }
    }

    fn listener(&self, framework: Option<FrameworkId>, step: &Step<'_>) -> Listener {
        let Some(framework) = framework else { return Listener::None };
        let Phase::Leading { since } = self.phase else { return Listener::Awaited };
        if self.frameworks.contains(&framework) {
            Listener::There(framework)
        } else if self.completed_frameworks.get(&framework).is_some() || step.now.since(since) > ORPHAN_AFTER {
            Listener::None
        } else {
            Listener::Awaited
        }
    }

    pub(super) fn acknowledge(&self, agent: &AgentId, operation: &Bytes, status_uuid: v1::Uuid, step: &mut Step<'_>) {
        let Some(agent) = self.agents.get(agent) else { return };
        let message = AcknowledgeOperationStatusMessage {
            status_uuid,
            operation_uuid: v1::Uuid { value: operation.clone() },
            resource_provider_id: None,
        };
        step.tell(agent, message);
    }

    pub(crate) fn on_acknowledge_operation(
        &mut self,
        id: &FrameworkId,
        call: AcknowledgeOperationStatus,
        step: &mut Step<'_>,
    ) {
        self.counters.add(Counter::MessagesOperationStatusUpdateAcknowledgement);
        let operation_id = OperationId::from(&call.operation_id);
        let agent = call.agent_id.as_ref().map(AgentId::from);
        let connected = agent.filter(|id| self.agents.get(id).is_some_and(|agent| agent.connected));
        let Some(agent) = connected else {
            tracing::warn!(framework = %id, operation = %operation_id, "an acknowledgement for an agent that is not there");
            self.counters.add(Counter::InvalidOperationStatusUpdateAcknowledgements);
            return;
        };
        let rows = self.frameworks.get(id).map(|framework| framework.operations.clone()).unwrap_or_default();
        let of_status = |status: &v1::OperationStatus| status.uuid.as_ref().is_some_and(|uuid| uuid.value == call.uuid);
        let found = rows.into_iter().filter_map(|uuid| self.operations.get(&uuid)).find_map(|row| {
            let fits = row.id.as_ref() == Some(&operation_id) && row.agent == agent;
            let status = row.proto.statuses.iter().find(|status| of_status(status)).filter(|_| fits)?;
            Some((row.uuid.clone(), status.state()))
        });
        let Some((uuid, state)) = found else {
            tracing::warn!(framework = %id, operation = %operation_id, "an acknowledgement of something not told");
            self.counters.add(Counter::InvalidOperationStatusUpdateAcknowledgements);
            return;
        };
        self.counters.add(Counter::ValidOperationStatusUpdateAcknowledgements);
        self.acknowledge(&agent, &uuid, v1::Uuid { value: call.uuid }, step);
        if is_final(state) {
            self.remove(&uuid);
        }
    }

    /// Ends an operation by the master's word: nobody acknowledges that.
    pub(super) fn end(&mut self, uuid: &Bytes, state: OperationState, why: &str, step: &mut Step<'_>) {
        let Some(row) = self.operations.get(uuid) else { return };
        let framework = row.framework.clone().filter(|_| row.id.is_some());
        if row.state() != state {
            self.counters.add_operation(row.proto.info.r#type(), state);
        }
        let status = v1::OperationStatus {
            operation_id: row.proto.info.id.clone(),
            state: state.into(),
            message: Some(why.to_owned()),
            agent_id: Some(row.agent.to_proto()),
            ..Default::default()
        };
        self.remove(uuid);
        if let Some(framework) = framework {
            send_event(self.frameworks, self.agents, &framework, events::update_operation_status(status), step);
        }
    }
}
