//! Statuses of tasks: the ones that the master itself sends, and applying any to a task's row. `model::status` builds.

use model::{
    AgentId, ExecutorId, Refusal, TaskId, history,
    status::{Build, status},
};
use proto::v1::{
    self, TaskState,
    task_status::{Reason, Source},
};
use stdx::WallTime;

use crate::state::Task;

/// What the master has to say about a task.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: String,
    pub(crate) unreachable_since: Option<WallTime>,
}

impl News {
    pub(crate) fn of(refusal: Refusal, partition_aware: bool, message: impl Into<String>) -> News {
        let verdict = refusal.verdict(partition_aware);
        News { state: verdict.state, reason: verdict.reason, message: message.into(), unreachable_since: None }
    }
}

/// A status from the master, about a task that need not exist. It carries no uuid: nobody acknowledges it.
pub(crate) fn master_status(
    task: &TaskId,
    agent: Option<&AgentId>,
    executor: Option<&ExecutorId>,
    news: News,
    now: WallTime,
) -> v1::TaskStatus {
    let mut built =
        status(task, news.state, now).with_source(Source::Master).with_reason(news.reason).with_message(news.message);
    built.agent_id = agent.map(AgentId::to_proto);
    built.executor_id = executor.map(ExecutorId::to_proto);
    built.unreachable_time = news.unreachable_since.map(|since| v1::TimeInfo { nanoseconds: since.0 });
    built
}

/// A status from the master about a task it has a row of.
pub(crate) fn status_of(task: &Task, news: News, now: WallTime) -> v1::TaskStatus {
    master_status(&task.id, Some(&task.agent), task.executor.as_ref(), news, now)
}

/// What applying a status did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The task holds its resources no longer: true at most once in its life.
    pub(crate) released: bool,
    /// Subscribers want to hear of it.
    pub(crate) notable: bool,
}

impl Task {
    /// Takes on a status. `latest` is the state the agent knows beyond it, if the status is an old one sent again.
    pub(crate) fn apply(&mut self, status: &v1::TaskStatus, latest: Option<TaskState>) -> Applied {
        let before = self.holds_resources();
        let noted = history::note(&mut self.proto, status, latest);
        Applied { released: before && !self.holds_resources(), notable: noted.is_check || !noted.repeats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            id: TaskId::from("t"),
            framework: "f".into(),
            agent: "a".into(),
            executor: None,
            resources: Default::default(),
            proto: v1::Task { state: TaskState::TaskStaging.into(), ..Default::default() },
        }
    }

    fn status(state: TaskState) -> v1::TaskStatus {
        v1::TaskStatus { state: state.into(), data: Some("x".into()), ..Default::default() }
    }

    #[test]
    fn resources_are_released_once_at_the_first_terminal_latest_state() {
        let mut task = task();
        assert!(!task.apply(&status(TaskState::TaskStarting), None).released);
        assert!(task.apply(&status(TaskState::TaskStarting), Some(TaskState::TaskFinished)).released);
        assert!(!task.apply(&status(TaskState::TaskRunning), Some(TaskState::TaskFinished)).released);
        assert!(!task.apply(&status(TaskState::TaskFinished), Some(TaskState::TaskFinished)).released);
        assert_eq!(task.state(), TaskState::TaskFinished);
    }

    #[test]
    fn checks_and_new_states_are_notable() {
        let mut task = task();
        assert!(task.apply(&status(TaskState::TaskRunning), None).notable);
        assert!(!task.apply(&status(TaskState::TaskRunning), None).notable);
        let reason = Some(Reason::TaskHealthCheckStatusUpdated.into());
        let check = v1::TaskStatus { reason, ..status(TaskState::TaskRunning) };
        assert!(task.apply(&check, None).notable);
    }
}
