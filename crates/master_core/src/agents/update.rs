//! An agent says that what it has changed: oversubscribed resources, resource providers, operations, its resource
//! version.

use model::AgentId;
use proto::internal::UpdateSlaveMessage;
use resources::Resources;

use crate::{Master, Step, counters::Counter};

impl Master {
    pub(crate) fn on_update_agent(&mut self, message: &UpdateSlaveMessage, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesUpdateAgent);
        let id = AgentId::from(&message.agent_id);
        if self.state.agents.get(&id).is_none_or(|agent| !agent.connected) {
            tracing::warn!(agent = %id, "ignoring the update of an agent that is not there");
            return;
        }
        if let Some(operations) = &message.operations {
            self.operations().compare(&id, &operations.operations, step);
        }
        if let Some(agent) = self.state.agents.get_mut(&id)
            && std::mem::take(&mut agent.awaits_operations)
        {
            self.pending.emptied.insert(id.clone());
        }
        let Some(agent) = self.state.agents.get(&id) else { return };
        let own = agent.total.without_provider();
        // Agents from before the flag always mean to set them.
        let oversubscribed = if message.update_oversubscribed_resources.unwrap_or(true) {
            Resources::from_protos(&message.oversubscribed_resources).map(|r| r.revocable())
        } else {
            Ok(own.revocable())
        };
        let provided = message.resource_providers.iter().flat_map(|all| &all.providers);
        let provided: Result<Vec<_>, _> = provided.map(|p| Resources::from_protos(&p.total_resources)).collect();
        let (Ok(oversubscribed), Ok(provided)) = (oversubscribed, provided) else {
            tracing::warn!(agent = %id, "ignoring an update with invalid resources");
            return;
        };
        let total = own.non_revocable() + oversubscribed + provided.into_iter().sum::<Resources>();
        let changed = total != agent.total;
        let version = message.resource_version_uuid.clone();
        if let Some(agent) = self.state.agents.get_mut(&id) {
            agent.total = total.clone();
            agent.resource_version = version.or(agent.resource_version.take());
        }
        if !changed {
            return;
        }
        self.offers().rescind_on(&id, step);
        self.allocator.update_agent_total(step.now, &id, total);
    }
}
