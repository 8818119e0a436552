//! After a failover: with quotas, nothing is offered until enough agents are back, because guarantees cannot be kept
//! free on agents that nobody knows yet.

use stdx::Tick;

use crate::allocator::Allocator;

#[derive(Debug)]
pub(crate) struct Recovery {
    /// Agents that must be there.
    agents: usize,
    /// Or this moment must come.
    until: Tick,
}

impl Allocator {
    /// A new leader begins, with the quotas already set and `expected_agents` in the registry. Without quotas, or
    /// without agents to wait for, nothing waits.
    pub fn begin_recovery(&mut self, now: Tick, expected_agents: usize) {
        let agents = (expected_agents as f64 * self.config.agent_recovery_factor) as usize;
        if agents > 0 && self.has_quotas() {
            self.recovery = Some(Recovery { agents, until: now + self.config.recovery_timeout });
            self.end_recovery_if_over(now);
        }
    }

    /// Whether offers wait for agents to come back.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    /// When waiting ends by itself.
    pub(crate) fn recovery_deadline(&self) -> Option<Tick> {
        self.recovery.as_ref().map(|recovery| recovery.until)
    }

    pub(crate) fn end_recovery_if_over(&mut self, now: Tick) {
        let here = self.agents.len();
        if self.recovery.as_ref().is_some_and(|recovery| here >= recovery.agents || recovery.until <= now) {
            self.recovery = None;
        }
    }
}
