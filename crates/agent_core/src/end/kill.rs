//! KillTask: passed on to the executor, or answered here while the task has not left us.

use crate::{
    agent::Agent,
    effect::Effects,
    recovery::{Record, record},
    state::{Executor, ExecutorPhase, FrameworkPhase, Kill, Progress, TaskPhase},
    updates::Verdict,
};
use model::{ExecutorId, FrameworkId, Refusal, TaskId};
use proto::{
    internal,
    v1::{self, executor::event},
};

impl Agent {
    pub(crate) fn on_kill_task(&mut self, message: internal::KillTaskMessage, out: &mut Effects) {
        let framework = FrameworkId::from(&message.framework_id);
        let task = TaskId::from(&message.task_id);
        let Some(row) = self.state.frameworks.get(&framework) else {
            tracing::warn!(%framework, %task, "ignoring a kill: no such framework runs here");
            return;
        };
        if row.phase == FrameworkPhase::Terminating {
            return;
        }
        let aware = row.is_partition_aware();
        let Some(stream) = self.streams.get(&(framework.clone(), task.clone())) else {
            let why = "Cannot find executor";
            let verdict = Verdict::refused(Refusal::ExecutorTerminating, aware, why);
            self.tell(&framework, None, &task, verdict, out);
            return;
        };
        // A refused task needs no killing.
        let Some(executor) = stream.executor.clone() else { return };
        self.kill_task(&framework, &executor, &task, message.kill_policy, out);
    }

    /// Ends a task: at once if its executor has not got it, else through the executor.
    pub(crate) fn kill_task(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        task: &TaskId,
        policy: Option<v1::KillPolicy>,
        out: &mut Effects,
    ) {
        let Some(row) = self.state.frameworks.get(framework) else { return };
        if row.phase == FrameworkPhase::Terminating {
            return;
        }
        let checkpoints = row.checkpoints();
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        let listens = row.phase == ExecutorPhase::Running && row.connection.is_some();
        let queued = undelivered_with(row, task);
        let Some(known) = row.tasks.get_mut(task) else { return };
        // The end of an ending executor ends its tasks, too.
        if known.phase == TaskPhase::Ended || row.phase == ExecutorPhase::Terminated {
            return;
        }
        if let Some(tasks) = queued {
            self.kill_undelivered(framework, id, tasks, out);
            return;
        }
        if row.phase == ExecutorPhase::Terminating {
            return;
        }
        if listens {
            self.tell_executor(framework, id, kill_event(task, policy), out);
            return;
        }
        known.kill = Some(Kill { policy });
        if checkpoints {
            let record =
                record::KillRecord { framework: framework.as_str().into(), task: task.as_str().into(), policy };
            self.record(Record::Kill(record), out);
        }
    }

    /// Ends tasks that no executor has; a group ends as a whole.
    pub(crate) fn kill_undelivered(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        tasks: Vec<TaskId>,
        out: &mut Effects,
    ) {
        let message = match tasks.len() {
            0 | 1 => "Killed before delivery to the executor",
            _ => "A task within the task group was killed before delivery to the executor",
        };
        for task in tasks {
            let verdict = Verdict::refused(Refusal::KilledDuringLaunch, true, message);
            self.tell(framework, Some(id.clone()), &task, verdict, out);
        }
        self.end_if_never_used(framework, id, out);
    }

    /// Ends an executor that was started for tasks it will never get.
    pub(crate) fn end_if_never_used(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.find_executor(framework, id) else { return };
        if !row.used && !row.is_ending() && row.tasks.values().all(|task| task.phase == TaskPhase::Ended) {
            tracing::info!(%framework, executor = %id, "ending an executor whose first tasks were all killed");
            self.shutdown_executor(framework, id, out);
        }
    }

    /// Passes on what could not be passed on while the executor was away.
    pub(crate) fn flush_kills(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.executor_mut(framework, id).filter(|row| row.connection.is_some()) else { return };
        let launched = row.tasks.iter_mut().filter(|(_, row)| row.phase == TaskPhase::Launched);
        let kills: Vec<_> =
            launched.filter_map(|(task, row)| Some(kill_event(task, row.kill.take()?.policy))).collect();
        for event in kills {
            self.tell_executor(framework, id, event, out);
        }
    }
}

/// The tasks that would be delivered together with this one, if that has not happened.
pub(crate) fn undelivered_with(executor: &Executor, task: &TaskId) -> Option<Vec<TaskId>> {
    let delivery = executor.deliveries.iter().find(|delivery| delivery.tasks.contains(task))?;
    (delivery.sent != Progress::Sent).then(|| delivery.tasks.clone())
}

fn kill_event(task: &TaskId, policy: Option<v1::KillPolicy>) -> v1::executor::Event {
    v1::executor::Event {
        r#type: Some(event::Type::Kill as i32),
        kill: Some(event::Kill { task_id: task.to_proto(), kill_policy: policy }),
        ..Default::default()
    }
}
