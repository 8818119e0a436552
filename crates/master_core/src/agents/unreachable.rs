//! An agent is given up: it answers no ping, or stays away after a disconnection. The registry hears of it first.

use std::time::Duration;

use model::AgentId;
use registry::Operation;
use stdx::{Tick, WallTime, units::print_duration};

use super::membership::Departure;
use crate::{
    Master, Step,
    counters::Counter,
    pending::{Continuation, Pending},
    state::{Agent, Table},
    timers::Timer,
};

const SILENT: &str = "health check timed out";

/// Spreads removals of silent agents over time.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    next: Option<Tick>,
}

impl Removals {
    /// How long the next removal must wait; `None` if not at all. Every call takes a turn.
    pub(crate) fn take_turn(&mut self, now: Tick, limit: Option<(u32, Duration)>) -> Option<Duration> {
        let (count, per) = limit?;
        let turn = self.next.filter(|next| *next > now).unwrap_or(now);
        self.next = Some(turn + per / count.max(1));
        Some(turn.since(now)).filter(|wait| !wait.is_zero())
    }
}

/// Whether another transition of the agent is under way.
fn is_in_transition(pending: &Pending, id: &AgentId) -> bool {
    stdx::bug!("transitions_overlap", return false);
    pending.is_in_transition(id)
}

impl Master {
    /// The agent answered none of the last pings.
    pub(crate) fn schedule_removal(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
        let busy = is_in_transition(&self.pending, id);
        if agent.observer.removal.is_some() || busy {
            return;
        }
        self.state.counters.add(Counter::AgentUnreachableScheduled);
        match self.removals.take_turn(step.now, self.config.agent_removal_rate_limit) {
            None => {
                self.state.counters.add(Counter::AgentUnreachableCompleted);
                self.pending.mark_unreachable(&self.state.agents, id, SILENT.to_owned(), step);
            }
            Some(wait) => {
                let timer = self.timers.set(step.now, wait, Timer::Remove(id.clone()));
                if let Some(agent) = self.state.agents.get_mut(id) {
                    agent.observer.removal = Some(timer);
                }
            }
        }
    }

    /// The turn of a removal under the rate limit.
    pub(crate) fn on_removal_turn(&mut self, id: &AgentId, step: &mut Step<'_>) {
        if self.state.recovered_agents.contains(id) {
            self.pending.mark_unrecovered(&mut self.state, vec![id.clone()], step);
            return;
        }
        let Some(agent) = self.state.agents.get_mut(id) else { return };
        let why = match agent.observer.removal.take() {
            Some(_) => SILENT.to_owned(),
            None if !agent.connected => self.stayed_away(),
            None => {
                self.state.counters.add(Counter::AgentUnreachableCanceled);
                return;
            }
        };
        self.state.counters.add(Counter::AgentUnreachableCompleted);
        self.pending.mark_unreachable(&self.state.agents, id, why, step);
    }

    /// A disconnected agent had its time to reregister.
    pub(crate) fn on_reregister_timeout(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get_mut(id) else { return };
        agent.reregister_timer = None;
        if agent.connected {
            return;
        }
        self.state.counters.add(Counter::AgentUnreachableScheduled);
        match self.removals.take_turn(step.now, self.config.agent_removal_rate_limit) {
            None => {
                self.state.counters.add(Counter::AgentUnreachableCompleted);
                let why = self.stayed_away();
                self.pending.mark_unreachable(&self.state.agents, id, why, step);
            }
            Some(wait) => {
                self.timers.set(step.now, wait, Timer::Remove(id.clone()));
            }
        }
    }

    fn stayed_away(&self) -> String {
        let timeout = print_duration(self.config.agent_reregister_timeout);
        format!("agent did not reregister within {timeout} after disconnecting")
    }

    pub(crate) fn on_marked_unreachable(&mut self, id: &AgentId, since: WallTime, why: &str, step: &mut Step<'_>) {
        self.pending.marking_unreachable.remove(id);
        self.state.counters.count_removal(Counter::AgentRemovalsUnhealthy);
        self.remove_agent(id, &Departure::Unreachable { since, why: why.to_owned() }, step);
    }
}

impl Pending {
    fn mark_unreachable(&mut self, agents: &Table<AgentId, Agent>, id: &AgentId, why: String, step: &mut Step<'_>) {
        let busy = is_in_transition(self, id);
        if !agents.contains(id) || busy {
            return;
        }
        tracing::warn!(agent = %id, why, "marking unreachable");
        self.marking_unreachable.insert(id.clone());
        let since = step.wall;
        let operation = Operation::MarkUnreachable { agent: id.clone(), since };
        self.persist(vec![operation], Continuation::Unreachable { agent: id.clone(), since, why }, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_keep_their_distance() {
        let mut removals = Removals::default();
        let limit = Some((2, Duration::from_secs(20)));
        assert_eq!(removals.take_turn(Tick::ZERO, limit), None);
        assert_eq!(removals.take_turn(Tick::ZERO, limit), Some(Duration::from_secs(10)));
        assert_eq!(removals.take_turn(Tick::ZERO, limit), Some(Duration::from_secs(20)));
        assert_eq!(removals.take_turn(Tick::ZERO + Duration::from_secs(60), limit), None);
        assert_eq!(removals.take_turn(Tick::ZERO, None), None);
    }
}
