//! An operator gives an agent up for good. It is told to shut down, and may never come back.

use model::{AgentId, ExecutorId, FrameworkId, Refusal, TaskId, task_state::is_terminal};
use proto::v1::{self, task_status::Source};
use registry::Operation;

use super::membership::{Departure, GONE, shutdown};
use crate::{
    Master, Step,
    effect::Reply,
    event::RequestId,
    pending::{Continuation, Pending},
    tasks::Tasks,
    tasks::status::{News, master_status, status_of},
};

impl Master {
    pub(crate) fn on_mark_agent_gone(&mut self, req: RequestId, id: AgentId, step: &mut Step<'_>) {
        if self.state.registry.gone.contains_key(&id) {
            step.reply(req, Reply::Ok(None));
            return;
        }
        if let Some(transition) = self.pending.transition_of(&id) {
            step.reply(req, Reply::Unavailable(format!("Agent '{id}' is {transition}")));
            return;
        }
        let known = self.state.agents.contains(&id)
            || self.state.recovered_agents.contains(&id)
            || self.state.registry.unreachable.contains_key(&id);
        if !known {
            step.reply(req, Reply::NotFound(format!("Agent '{id}' not found")));
            return;
        }
        self.pending.mark_gone(id, Some(req), step);
    }

    pub(crate) fn on_marked_gone(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let waiting = self.pending.marking_gone.remove(id);
        if let Some(agent) = self.state.agents.get(id) {
            step.tell(agent, shutdown(GONE));
            self.remove_agent(id, &Departure::Gone, step);
        } else if self.state.recovered_agents.take(id).is_none() {
            self.tasks().end_unreachable_tasks(id, step);
        }
        if let Some(Some(req)) = waiting {
            step.reply(req, Reply::Ok(None));
        }
    }
}

impl Pending {
    /// `req` waits for it, if anybody does.
    pub(super) fn mark_gone(&mut self, id: AgentId, req: Option<RequestId>, step: &mut Step<'_>) {
        tracing::info!(agent = %id, "marking gone");
        self.marking_gone.insert(id.clone(), req);
        let operation = Operation::MarkGone { agent: id.clone(), since: step.wall };
        self.persist(vec![operation], Continuation::Gone { agent: id }, step);
    }
}

impl Tasks<'_> {
    /// An agent that was given up before it came back after a failover brings tasks that nobody knew then: their
    /// frameworks learn of it now.
    pub(crate) fn tell_of_gone_tasks(&mut self, id: &AgentId, tasks: &[v1::Task], step: &mut Step<'_>) {
        for task in tasks.iter().filter(|task| !is_terminal(task.state())) {
            let (framework, task_id) = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
            let Some(row) = self.frameworks.get(&framework) else { continue };
            if row.completed_tasks.iter().any(|done| done.id == task_id) {
                continue;
            }
            let news = News::of(Refusal::AgentGone, row.capabilities.partition_aware, GONE);
            let executor = task.executor_id.as_ref().map(ExecutorId::from);
            let status = master_status(&task_id, Some(id), executor.as_ref(), news, step.wall);
            self.forward(&framework, status, step);
        }
    }

    /// The tasks that were unreachable with the agent end with it.
    fn end_unreachable_tasks(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        let cap = self.config.max_completed_tasks_per_framework;
        for framework in frameworks {
            let Some(row) = self.frameworks.get(&framework) else { continue };
            let aware = row.capabilities.partition_aware;
            let tasks: Vec<TaskId> =
                row.unreachable_tasks.iter().filter(|t| t.agent == *id).map(|t| t.id.clone()).collect();
            for task in tasks {
                let Some(row) = self.frameworks.get_mut(&framework) else { break };
                let Some(task) = row.unreachable_tasks.take(&task) else { continue };
                let mut task = std::sync::Arc::unwrap_or_clone(task);
                let news = News::of(Refusal::AgentGone, aware, GONE);
                let (state, reason) = (news.state, news.reason);
                let status = status_of(&task, news, step.wall);
                task.apply(&status, None);
                row.remember(task.into(), cap);
                self.counters.add_end(state, Source::Master, Some(reason));
                self.forward(&framework, status, step);
            }
        }
    }
}
