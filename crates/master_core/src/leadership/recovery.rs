//! After an election: agents of the registry that never came back, and the clean-up of its old entries.

use std::collections::BTreeSet;

use model::{AgentId, TaskId};
use registry::Operation;
use stdx::WallTime;

use super::step_down;
use crate::{
    Master, Step,
    counters::Counter,
    frameworks::events,
    pending::{Continuation, Pending},
    state::State,
    timers::Timer,
};

impl Master {
    /// The agents had `agent_reregister_timeout` to come back.
    pub(crate) fn on_recovery_timeout(&mut self, step: &mut Step<'_>) {
        stdx::bug!("recovered_agents_wait_forever", return);
        let all = self.state.registry.agents.len();
        let missing = self.state.recovered_agents.len();
        if missing == 0 {
            return;
        }
        let share = missing as f64 / all.max(1) as f64;
        if share > self.config.recovery_agent_removal_limit {
            let why = format!(
                "{missing} of {all} agents in the registry did not come back after the election; the limit is {}%",
                self.config.recovery_agent_removal_limit * 100.0
            );
            step_down(&mut self.state.phase, &mut self.timers, why, step);
            return;
        }
        let lost: Vec<AgentId> =
            self.state.recovered_agents.keys().filter(|agent| !self.pending.is_in_transition(agent)).cloned().collect();
        for agent in lost {
            self.state.counters.add(Counter::AgentUnreachableScheduled);
            match self.removals.take_turn(step.now, self.config.agent_removal_rate_limit) {
                None => self.pending.mark_unrecovered(&mut self.state, vec![agent], step),
                Some(wait) => {
                    self.timers.set(step.now, wait, Timer::Remove(agent));
                }
            }
        }
    }

    /// Frameworks hear of the agents only: which tasks ran there, nobody knows.
    pub(crate) fn on_unrecovered(&mut self, agents: &[AgentId], step: &mut Step<'_>) {
        for agent in agents {
            self.pending.marking_unreachable.remove(agent);
            self.state.recovered_agents.take(agent);
            for counter in [
                Counter::AgentUnreachableCompleted,
                Counter::AgentRemovals,
                Counter::AgentRemovalsUnhealthy,
                Counter::RecoveryAgentRemovals,
            ] {
                self.state.counters.add(counter);
            }
            self.broadcast(|| events::failure_of_agent(agent), step);
        }
    }

    pub(crate) fn on_registry_gc(&mut self, step: &mut Step<'_>) {
        self.timers.set(step.now, self.config.registry_gc_interval, Timer::RegistryGc);
        let age = i64::try_from(self.config.registry_max_agent_age.as_nanos()).unwrap_or(i64::MAX);
        let oldest = WallTime(step.wall.0.saturating_sub(age));
        let (mut unreachable, gone) = self.state.registry.find_prunable(oldest, self.config.registry_max_agent_count);
        unreachable.retain(|agent| !self.pending.is_in_transition(agent));
        if unreachable.is_empty() && gone.is_empty() {
            return;
        }
        self.pending.pruning.extend(unreachable.iter().cloned());
        let then = Continuation::Pruned { unreachable: unreachable.clone() };
        self.pending.persist(vec![Operation::Prune { unreachable, gone }], then, step);
    }

    /// Tasks on forgotten agents are forgotten too: asked about, they are unknown.
    pub(crate) fn on_pruned(&mut self, unreachable: &BTreeSet<AgentId>) {
        self.pending.pruning.retain(|agent| !unreachable.contains(agent));
        self.absent_kills.retain(|agent, _| !unreachable.contains(agent));
        let ids: Vec<_> = self.state.frameworks.keys().cloned().collect();
        for id in ids {
            let Some(framework) = self.state.frameworks.get(&id) else { continue };
            let tasks: Vec<TaskId> = framework
                .unreachable_tasks
                .iter()
                .filter(|task| unreachable.contains(&task.agent) && !self.state.agents.contains(&task.agent))
                .map(|task| task.id.clone())
                .collect();
            if tasks.is_empty() {
                continue;
            }
            if let Some(framework) = self.state.frameworks.get_mut(&id) {
                for task in &tasks {
                    framework.unreachable_tasks.take(task);
                }
            }
        }
    }
}

impl Pending {
    /// Marks those of `agents` unreachable that have still not come back.
    pub(crate) fn mark_unrecovered(&mut self, state: &mut State, agents: Vec<AgentId>, step: &mut Step<'_>) {
        let agents: Vec<AgentId> =
            agents.into_iter().filter(|a| state.recovered_agents.contains(a) && !self.is_in_transition(a)).collect();
        if agents.is_empty() {
            state.counters.add(Counter::AgentUnreachableCanceled);
            return;
        }
        let since = step.wall;
        let operations =
            agents.iter().map(|agent| Operation::MarkUnreachable { agent: agent.clone(), since }).collect();
        self.marking_unreachable.extend(agents.iter().cloned());
        self.persist(operations, Continuation::Unrecovered { agents }, step);
    }
}
