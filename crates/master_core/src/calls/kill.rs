//! KILL: passed on to the task's agent, and remembered until the task is gone. A task nobody knows is reconciled.

use model::{AgentId, FrameworkId, TaskId};
use proto::{
    internal::KillTaskMessage,
    v1::scheduler::call::{Kill, reconcile},
};

use crate::{
    Step,
    counters::Counter,
    state::{Agent, State},
};

impl State {
    pub(crate) fn on_kill(&mut self, id: &FrameworkId, call: Kill, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesKillTask);
        let task = TaskId::from(&call.task_id);
        let Some(row) = self.find_task(id, &task) else {
            let asked = reconcile::Task { task_id: call.task_id, agent_id: call.agent_id };
            self.on_reconcile(id, &[asked], step);
            return;
        };
        if call.agent_id.as_ref().is_some_and(|agent| row.agent != *agent) {
            tracing::warn!(framework = %id, %task, "ignoring a kill that names another agent");
            return;
        }
        let agent = row.agent.clone();
        let Some(agent) = find_agent(self, &agent) else { return };
        agent.killed.insert((id.clone(), task));
        if agent.connected {
            let message =
                KillTaskMessage { framework_id: id.to_proto(), task_id: call.task_id, kill_policy: call.kill_policy };
            step.tell(agent, message);
        }
    }
}

/// The agent that is to hear of a kill: at once, or when it is back.
fn find_agent<'a>(state: &'a mut State, id: &AgentId) -> Option<&'a mut Agent> {
    stdx::bug!("kills_of_the_absent_forgotten", return state.agents.get_mut(id).filter(|agent| agent.connected));
    state.agents.get_mut(id)
}
