//! Inverse offers and recovery, by the oracle.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentId, FrameworkId};
use stdx::Tick;

use super::{Oracle, next_batch};

/// What one framework was asked about one agent.
#[derive(Clone, Default)]
pub(super) struct Asked {
    outstanding: bool,
    refused_until: Option<Tick>,
}

impl Oracle {
    pub fn set_unavailability(&mut self, agent: &AgentId, unavailable: bool) {
        self.asked.remove(agent);
        if unavailable && self.agents.contains_key(agent) {
            self.asked.insert(agent.clone(), BTreeMap::new());
        }
    }

    pub fn settle_inverse_offer(&mut self, now: Tick, agent: &AgentId, id: &FrameworkId, filter: Option<Duration>) {
        if let Some(asked) = self.asked.get_mut(agent).and_then(|asked| asked.get_mut(id)) {
            asked.outstanding = false;
            let until = next_batch(&self.config, now + filter.unwrap_or_default());
            asked.refused_until = asked.refused_until.max(Some(until));
        }
    }

    pub(super) fn forget_refusals(&mut self, id: &FrameworkId) {
        for asked in self.asked.values_mut().filter_map(|asked| asked.get_mut(id)) {
            asked.refused_until = None;
        }
    }

    /// Everybody active who holds something on an agent that will be unavailable and is not being asked already.
    pub fn inverse_grants(&mut self, now: Tick) -> BTreeSet<(FrameworkId, AgentId)> {
        let mut grants = BTreeSet::new();
        if self.is_recovering(now) {
            return grants;
        }
        for (agent, asked) in &mut self.asked {
            for (id, _) in self.agents[agent].held.keys() {
                if !self.frameworks.get(id).is_some_and(|framework| framework.known && framework.active) {
                    continue;
                }
                let asked = asked.entry(id.clone()).or_default();
                if !asked.outstanding && asked.refused_until.is_none_or(|until| until <= now) {
                    asked.outstanding = true;
                    grants.insert((id.clone(), agent.clone()));
                }
            }
        }
        grants
    }

    pub fn begin_recovery(&mut self, now: Tick, expected: usize) {
        let agents = (expected as f64 * self.config.agent_recovery_factor) as usize;
        if agents > 0 && !self.quotas.is_empty() {
            self.recovery = Some((agents, now + self.config.recovery_timeout));
        }
        self.is_recovering(now);
    }

    /// Whether nothing is offered. Once over, it stays over.
    pub fn is_recovering(&mut self, now: Tick) -> bool {
        if self.recovery.is_some_and(|(agents, until)| self.agents.len() >= agents || until <= now) {
            self.recovery = None;
        }
        self.recovery.is_some()
    }
}
