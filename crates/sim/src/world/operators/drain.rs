//! Operators that empty agents, take them out of the offers, and put them back.

use std::time::Duration;

use master_core::State;
use model::AgentId;
use proto::v1::{
    DrainState,
    master::{Call, call},
};

use super::{World, of};

impl World {
    /// Empties an agent, for good at times; or puts one back.
    pub(super) fn plan_drain(&mut self, state: &State) -> Option<Call> {
        if let Some(back) = self.plan_reactivation(state) {
            return Some(back);
        }
        let agent_id = self.draw_known_agent(state)?.to_proto();
        let grace = Duration::from_secs(self.draws.operators.below(30));
        let max_grace_period = (!grace.is_zero()).then(|| grace.try_into().unwrap_or_default());
        let mark_gone = Some(self.draws.operators.below(6) == 0);
        let drain_agent = Some(call::DrainAgent { agent_id, max_grace_period, mark_gone });
        Some(Call { drain_agent, ..of(call::Type::DrainAgent) })
    }

    pub(super) fn plan_deactivation(&mut self, state: &State) -> Option<Call> {
        if let Some(back) = self.plan_reactivation(state) {
            return Some(back);
        }
        let agent_id = self.draw_known_agent(state)?.to_proto();
        let deactivate_agent = Some(call::DeactivateAgent { agent_id });
        Some(Call { deactivate_agent, ..of(call::Type::DeactivateAgent) })
    }

    /// Of any agent that is out, half of the time; one that is not empty yet is refused.
    fn plan_reactivation(&mut self, state: &State) -> Option<Call> {
        if self.draws.operators.below(2) == 0 {
            return None;
        }
        let out: Vec<AgentId> = find_inactive(state).map(|(id, _)| id.clone()).collect();
        self.draw(&out).map(reactivate)
    }

    /// Registered or away.
    fn draw_known_agent(&mut self, state: &State) -> Option<AgentId> {
        let known: Vec<AgentId> =
            state.registry.agents.keys().chain(state.registry.unreachable.keys()).cloned().collect();
        self.draw(&known)
    }

    /// Whoever is out and need not be emptied first is put back.
    pub(super) fn settle_agents(&self, state: &State) -> Option<Call> {
        find_inactive(state)
            .find(|(_, drain)| *drain != Some(DrainState::Draining))
            .map(|(id, _)| reactivate(id.clone()))
    }
}

/// The agents that an operator took out, and how far their draining is.
pub(crate) fn find_inactive(state: &State) -> impl Iterator<Item = (&AgentId, Option<DrainState>)> {
    let admitted = state.registry.agents.iter().map(|(id, row)| (id, row.deactivated, row.drain_info));
    let away = state.registry.unreachable.iter().map(|(id, row)| (id, row.deactivated, row.drain_info));
    let out = admitted.chain(away).filter(|(_, deactivated, _)| *deactivated);
    out.map(|(id, _, drain)| (id, drain.map(|drain| drain.state())))
}

fn reactivate(id: AgentId) -> Call {
    let reactivate_agent = Some(call::ReactivateAgent { agent_id: id.to_proto() });
    Call { reactivate_agent, ..of(call::Type::ReactivateAgent) }
}
