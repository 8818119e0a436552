//! How things end: kills, shutdowns, the end of a container, and what is then said and kept. `kill` is one task's,
//! `shutdown` an executor's, a framework's and the agent's; here is what happens once a container is gone.

mod kill;
mod shutdown;

pub(crate) use kill::undelivered_with;
pub(crate) use shutdown::shutdown_event;

use crate::{
    agent::Agent,
    config::MAX_COMPLETED_FRAMEWORKS,
    container_id::ContainerId,
    effect::{Effect, Effects},
    event::Termination,
    recovery::{Record, record},
    state::{Executor, ExecutorPhase, FrameworkPhase, Phase, Stage, TaskPhase},
    timers::cancel,
    updates::Verdict,
};
use model::{ExecutorId, FrameworkId, Refusal, TaskId};
use proto::{
    internal,
    v1::{TaskState, task_status::Reason},
};
use std::sync::Arc;

impl Agent {
    pub(crate) fn on_terminated(&mut self, container: &ContainerId, termination: Termination, out: &mut Effects) {
        if self.cleanup.remove(container) && self.cleanup.is_empty() {
            self.exit(0, "every container of the former agent is gone".into(), out);
            return;
        }
        match self.roots.get(container).cloned() {
            Some((framework, executor)) => self.executor_gone(&framework, &executor, termination, out),
            None => self.container_gone(container, termination, out),
        }
    }

    /// The executor's container is gone (or never was): what it left undone is told, and it is kept until all that is
    /// acknowledged.
    pub(crate) fn executor_gone(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        termination: Termination,
        out: &mut Effects,
    ) {
        let wall = self.wall;
        let Some(row) = self.state.executor_mut(framework, id).filter(|row| row.stage != Stage::Gone) else { return };
        row.stage = Stage::Gone;
        row.phase = ExecutorPhase::Terminated;
        row.pid = None;
        row.deliveries.clear();
        let timer = row.timer.take();
        let connection = row.connection.take();
        let container = row.container.clone();
        let pending = row.pending_termination.take();
        let sandbox = row.sandbox.as_ref().to_owned();
        let known_to_master = row.is_known_to_master();
        let unfinished = unfinished(row);

        cancel(&mut self.timers, timer);
        self.roots.remove(&container);
        if let Some(connection) = connection {
            self.close_connection(connection, out);
        }
        self.state.metrics.executors_terminated += 1;
        self.waiting().answer_waits(&container, &termination, out);
        self.end_inside(&container, out);
        out.push(Effect::RetireSandbox { path: sandbox, at: wall });

        let active = self.state.frameworks.get(framework).is_some_and(|row| row.phase == FrameworkPhase::Active);
        if active {
            let verdict = verdict_of(&termination, pending.as_ref());
            for task in unfinished {
                self.tell(framework, Some(id.clone()), &task, verdict.clone(), out);
            }
        } else {
            self.end_silently(framework, id);
        }
        if known_to_master && self.is_registered() {
            let message = internal::ExitedExecutorMessage {
                agent_id: self.agent_id(),
                framework_id: framework.to_proto(),
                executor_id: id.to_proto(),
                status: termination.status.unwrap_or(-1),
            };
            self.to_master(message, out);
        }
        let owes = self.state.find_executor(framework, id).is_some_and(|row| !row.tasks.is_empty());
        if !active || !owes {
            self.complete_executor(framework, id, out);
        }
    }

    /// The container could not be given what its tasks were promised: it must not run on without.
    pub(crate) fn on_limits_refused(&mut self, container: &ContainerId, message: String, out: &mut Effects) {
        let Some((framework, id)) = self.roots.get(container).cloned() else { return };
        let aware = self.state.frameworks.get(&framework).is_some_and(|row| row.is_partition_aware());
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        row.phase = ExecutorPhase::Terminating;
        let why = format!("Failed to update resources for container: {message}");
        row.pending_termination.get_or_insert(Termination::refused(Refusal::ContainerUpdateFailed, aware, why));
        out.push(Effect::Destroy { container: container.clone() });
    }

    /// An executor that owes nothing more becomes history.
    pub(crate) fn complete_executor(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let keep = self.config.max_completed_executors_per_framework;
        let Some(row) = self.state.framework_mut(framework) else { return };
        let checkpoints = row.checkpoints();
        let Some(tasks) = row.complete_executor(id, keep) else { return };
        for task in tasks {
            if let Some(stream) = self.streams.remove(&(framework.clone(), task)) {
                cancel(&mut self.timers, stream.retry);
            }
        }
        if checkpoints {
            let record = record::ExecutorName { framework: framework.as_str().into(), executor: id.as_str().into() };
            self.record(Record::ExecutorCompleted(record), out);
        }
        self.retire_framework_if_idle(framework, out);
    }

    /// A framework with nothing left to do here becomes history; it may come back.
    pub(crate) fn retire_framework_if_idle(&mut self, id: &FrameworkId, out: &mut Effects) {
        let Some(row) = self.state.frameworks.get(id) else { return };
        if !row.executors.is_empty() || self.has_updates(id) {
            return;
        }
        if let Some(row) = Arc::make_mut(&mut self.state.frameworks).remove(id) {
            let completed = Arc::make_mut(&mut self.state.completed_frameworks);
            completed.push_back(row);
            while completed.len() > MAX_COMPLETED_FRAMEWORKS {
                completed.pop_front();
            }
        }
        if self.state.frameworks.is_empty() {
            self.on_idle(out);
        }
    }

    /// No framework is left: a shutdown may now be complete.
    pub(crate) fn on_idle(&mut self, out: &mut Effects) {
        if self.state.phase == Phase::Terminating && !self.exited {
            if self.gone {
                self.record(Record::Forgotten(record::Nothing {}), out);
            }
            self.exit(0, "the agent was shut down".into(), out);
        }
    }
}

/// What an executor's end means for its tasks: what the container says, else what we wanted it to say, else failure.
fn verdict_of(termination: &Termination, pending: Option<&Termination>) -> Verdict {
    let known = pending.unwrap_or(termination);
    let messages: Vec<&str> = [termination.message.as_deref(), pending.and_then(|pending| pending.message.as_deref())]
        .into_iter()
        .flatten()
        .filter(|message| !message.is_empty())
        .collect();
    Verdict {
        state: termination.state.or(known.state).unwrap_or(TaskState::TaskFailed),
        reason: termination.reason.or(known.reason).unwrap_or(Reason::ExecutorTerminated),
        message: if messages.is_empty() { "Executor terminated".into() } else { messages.join("; ") },
        limitation: termination.limitation.clone(),
    }
}

/// Tasks of an executor that nobody has yet said to have ended.
fn unfinished(row: &Executor) -> Vec<TaskId> {
    stdx::bug!("end_kept_silent", return Vec::new());
    row.tasks.iter().filter(|(_, task)| task.phase != TaskPhase::Ended).map(|(id, _)| id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_own_word_wins_over_ours_and_ours_over_failure() {
        let nothing = Termination::default();
        let plain = verdict_of(&nothing, None);
        assert_eq!((plain.state, plain.reason), (TaskState::TaskFailed, Reason::ExecutorTerminated));
        assert_eq!(plain.message, "Executor terminated");
        let ours = Termination {
            state: Some(TaskState::TaskKilled),
            reason: Some(Reason::ExecutorRegistrationTimeout),
            message: Some("late".into()),
            ..Default::default()
        };
        let verdict = verdict_of(&nothing, Some(&ours));
        assert_eq!((verdict.state, Some(verdict.reason)), (TaskState::TaskKilled, ours.reason));
        let own = Termination {
            reason: Some(Reason::ContainerLimitationMemory),
            message: Some("oom".into()),
            ..Default::default()
        };
        let verdict = verdict_of(&own, Some(&ours));
        assert_eq!((verdict.state, Some(verdict.reason)), (TaskState::TaskKilled, own.reason));
        assert_eq!(verdict.message, "oom; late");
    }
}
