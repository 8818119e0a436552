//! An agent says that it leaves for good.

use model::AgentId;
use proto::{internal::UnregisterSlaveMessage, upid::Upid};
use registry::Operation;

use super::membership::Departure;
use crate::{Master, Step, counters::Counter, pending::Continuation};

impl Master {
    pub(crate) fn on_unregister(&mut self, from: &Upid, message: &UnregisterSlaveMessage, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesUnregisterAgent);
        let id = AgentId::from(&message.agent_id);
        let known = self.state.agents.get(&id).is_some_and(|agent| agent.pid == *from);
        if !known || self.pending.is_in_transition(&id) {
            tracing::warn!(agent = %id, %from, "ignoring an unregistration");
            return;
        }
        self.pending.removing.insert(id.clone());
        self.pending.persist(vec![Operation::RemoveAgent(id.clone())], Continuation::Unregistered { agent: id }, step);
    }

    pub(crate) fn on_unregistered(&mut self, id: &AgentId, step: &mut Step<'_>) {
        self.pending.removing.remove(id);
        self.state.counters.count_removal(Counter::AgentRemovalsUnregistered);
        self.remove_agent(id, &Departure::Removed { why: "the agent unregistered" }, step);
    }
}
