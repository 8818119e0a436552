//! A framework ends, by its own word, an operator's, or because it did not come back: all it has is shut down.

use model::{FrameworkId, Refusal, TaskId};
use proto::{
    internal::ShutdownFrameworkMessage,
    v1::{
        TaskState,
        task_status::{Reason, Source},
    },
};

use crate::{
    Master, Step,
    effect::Effect,
    publish,
    state::{Link, State},
    tasks::status::{News, status_of},
};

impl Master {
    pub(crate) fn remove_framework(&mut self, id: &FrameworkId, step: &mut Step<'_>) {
        let Some(framework) = self.state.frameworks.get(id) else { return };
        tracing::info!(framework = %framework.label(), "removing");
        let (conn, pid, timer) = (framework.conn(), framework.pid.clone(), framework.failover_timer);
        let tasks: Vec<TaskId> = framework.tasks.keys().cloned().collect();
        let executors = framework.executors.clone();
        self.offers().discard_of(id, step);
        self.operations().adopt_of(id, step);
        shut_down_everywhere(&self.state, id, step);
        let news = || News::of(Refusal::FrameworkRemoved, true, format!("Framework {id} removed"));
        // Nobody is left to tell.
        for task in tasks {
            self.tasks().end_silently(id, &task, news(), step);
        }
        let cap = self.config.max_completed_tasks_per_framework;
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            let unreachable: Vec<TaskId> = framework.unreachable_tasks.iter().map(|task| task.id.clone()).collect();
            for task in unreachable {
                let Some(task) = framework.unreachable_tasks.take(&task) else { continue };
                let mut task = std::sync::Arc::unwrap_or_clone(task);
                let status = status_of(&task, news(), step.wall);
                task.apply(&status, None);
                framework.remember(task.into(), cap);
                let reason = Some(Reason::FrameworkRemoved);
                self.state.counters.add_end(TaskState::TaskKilled, Source::Master, reason);
            }
        }
        for (agent, executor) in executors {
            self.tasks().remove_executor(&agent, id, &executor, step);
        }
        self.allocator.remove_framework(step.now, id);
        if let Some(conn) = conn {
            self.by_conn.remove(&conn);
            step.out.push(Effect::Close { conn });
        }
        if let Some(pid) = pid {
            self.let_go_of_driver(&pid, step);
        }
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        self.pending.record_removal(id, step);
        let Some(framework) = self.state.frameworks.take(id) else { return };
        if let Some(principal) = &framework.info.principal
            && !self.state.frameworks.values().any(|other| other.info.principal.as_ref() == Some(principal))
        {
            self.state.counters.forget_messages(principal);
        }
        let mut framework = std::sync::Arc::unwrap_or_clone(framework);
        framework.link = Link::Disconnected;
        framework.failover_timer = None;
        framework.unregistered = Some(step.wall);
        framework.lighten();
        publish::framework_removed(&self.config, &framework, step);
        let cap = self.config.max_completed_frameworks;
        self.state.completed_frameworks.push(id.clone(), framework.into(), cap);
    }
}

fn shut_down_everywhere(state: &State, framework: &FrameworkId, step: &mut Step<'_>) {
    stdx::bug!("framework_lives_on", return);
    for agent in state.agents.values() {
        step.tell(agent, ShutdownFrameworkMessage { framework_id: framework.to_proto() });
    }
}
