//! RECONCILE: what the master knows of a framework's tasks, of all of them or of those it names. Where the answer may
//! change when a recovering agent comes back, there is none.

use model::{AgentId, FrameworkId, Refusal, TaskId};
use proto::v1::{self, scheduler::call::reconcile};
use stdx::WallTime;

use crate::{
    Step,
    counters::Counter,
    frameworks::{events, send::send_event},
    state::{Framework, State, Task},
    tasks::status::{News, master_status},
};

impl State {
    pub(crate) fn on_reconcile(&mut self, id: &FrameworkId, asked: &[reconcile::Task], step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesReconcileTasks);
        let Some(framework) = self.frameworks.get(id) else { return };
        let statuses: Vec<v1::TaskStatus> = if asked.is_empty() {
            framework.tasks.values().map(|task| latest(task, step.wall)).collect()
        } else {
            asked.iter().filter_map(|task| explicit(self, framework, task, step.wall)).collect()
        };
        for status in statuses {
            send_event(&mut self.frameworks, &self.agents, id, events::update(status), step);
        }
    }
}

/// The state that the framework was last told, not the one it has yet to hear.
fn latest(task: &Task, now: WallTime) -> v1::TaskStatus {
    let state = task.forwarded().map_or(task.state(), |(state, _)| state);
    model::status::reconciled(&task.proto, state, "Reconciliation: Latest task state", now)
}

fn explicit(state: &State, framework: &Framework, asked: &reconcile::Task, now: WallTime) -> Option<v1::TaskStatus> {
    let task = TaskId::from(&asked.task_id);
    if let Some(row) = framework.tasks.get(&task) {
        return Some(latest(row, now));
    }
    let agent = asked.agent_id.as_ref().map(AgentId::from);
    let unreachable = agent.as_ref().and_then(|id| state.registry.unreachable.get(id));
    let (refusal, why) = match &agent {
        Some(id) if state.recovered_agents.contains(id) => return None,
        None if !state.recovered_agents.is_empty() => return None,
        Some(id) if state.agents.contains(id) => {
            (Refusal::UnknownOnAgent, "Reconciliation: Task is unknown to the agent")
        }
        Some(_) if unreachable.is_some() => (Refusal::UnknownOnUnreachable, "Reconciliation: Task is unreachable"),
        Some(id) if state.registry.gone.contains_key(id) => (Refusal::UnknownOnGone, "Reconciliation: Task is gone"),
        _ => (Refusal::Unknown, "Reconciliation: Task is unknown"),
    };
    let mut news = News::of(refusal, framework.capabilities.partition_aware, why);
    news.unreachable_since = unreachable.map(|agent| agent.since);
    Some(master_status(&task, agent.as_ref(), None, news, now))
}
