//! Builders of task statuses and of the updates that carry them between agent and master.

use crate::{
    ids::{AgentId, ExecutorId, FrameworkId, TaskId},
    refusal::{Refusal, Verdict},
};
use bytes::Bytes;
use proto::{
    internal::StatusUpdate,
    v1::{
        self, TaskState, TaskStatus,
        task_status::{Reason, Source},
    },
};
use stdx::WallTime;

/// A status of `task`, at `wall`, with no more than that.
pub fn status(task: &TaskId, state: TaskState, wall: WallTime) -> TaskStatus {
    TaskStatus {
        task_id: task.to_proto(),
        state: state.into(),
        timestamp: Some(wall.as_secs_f64()),
        ..Default::default()
    }
}

/// One field after the other, in reading order.
pub trait Build: Sized {
    fn with_source(self, source: Source) -> Self;
    fn with_reason(self, reason: Reason) -> Self;
    fn with_message(self, message: impl Into<String>) -> Self;
    fn with_agent(self, agent: &AgentId) -> Self;
    fn with_executor(self, executor: &ExecutorId) -> Self;
    /// Makes it one that must be acknowledged.
    fn with_uuid(self, uuid: [u8; 16]) -> Self;
    fn with_healthy(self, healthy: bool) -> Self;
    fn with_unreachable_time(self, time: v1::TimeInfo) -> Self;
    /// Says what the container used too much of.
    fn with_limitation(self, resources: Vec<v1::Resource>) -> Self;
}

impl Build for TaskStatus {
    fn with_source(mut self, source: Source) -> Self {
        self.set_source(source);
        self
    }

    fn with_reason(mut self, reason: Reason) -> Self {
        self.set_reason(reason);
        self
    }

    fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    fn with_agent(mut self, agent: &AgentId) -> Self {
        self.agent_id = Some(agent.to_proto());
        self
    }

    fn with_executor(mut self, executor: &ExecutorId) -> Self {
        self.executor_id = Some(executor.to_proto());
        self
    }

    fn with_uuid(mut self, uuid: [u8; 16]) -> Self {
        self.uuid = Some(Bytes::copy_from_slice(&uuid));
        self
    }

    fn with_healthy(mut self, healthy: bool) -> Self {
        self.healthy = Some(healthy);
        self
    }

    fn with_unreachable_time(mut self, time: v1::TimeInfo) -> Self {
        self.unreachable_time = Some(time);
        self
    }

    fn with_limitation(mut self, resources: Vec<v1::Resource>) -> Self {
        self.limitation = Some(v1::TaskResourceLimitation { resources });
        self
    }
}

/// The status that tells a framework of a refusal.
pub fn refused(
    task: &TaskId,
    refusal: Refusal,
    partition_aware: bool,
    message: impl Into<String>,
    wall: WallTime,
) -> TaskStatus {
    let Verdict { state, reason, source } = refusal.verdict(partition_aware);
    status(task, state, wall).with_source(source).with_reason(reason).with_message(message)
}

/// What reconciliation answers about a known task: its state, and of its newest status what still holds.
pub fn reconciled(task: &v1::Task, state: TaskState, message: impl Into<String>, wall: WallTime) -> TaskStatus {
    let mut answer = status(&TaskId::from(&task.task_id), state, wall)
        .with_source(Source::Master)
        .with_reason(Reason::Reconciliation)
        .with_message(message)
        .with_agent(&AgentId::from(&task.agent_id));
    answer.executor_id = task.executor_id.clone();
    if let Some(last) = task.statuses.last() {
        answer.healthy = last.healthy;
        answer.check_status = last.check_status;
        answer.container_status = last.container_status.clone();
    }
    answer
}

/// The update that carries a status. An agent passes its own id: it is filled in where the executor left it out.
pub fn update(
    framework: &FrameworkId,
    mut status: TaskStatus,
    agent: Option<&AgentId>,
    wall: WallTime,
) -> StatusUpdate {
    let agent_id = agent.map(AgentId::to_proto);
    if status.agent_id.is_none() {
        status.agent_id = agent_id.clone();
    }
    StatusUpdate {
        framework_id: framework.to_proto(),
        executor_id: status.executor_id.clone(),
        agent_id,
        timestamp: status.timestamp.unwrap_or_else(|| wall.as_secs_f64()),
        uuid: status.uuid.clone(),
        latest_state: None,
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: WallTime = WallTime(1_500_000_000);

    #[test]
    fn a_refusal_becomes_a_status_without_uuid() {
        let told = refused(&TaskId::from("t"), Refusal::InvalidOffers, true, "why", WALL);
        assert_eq!(told.state(), TaskState::TaskDropped);
        assert_eq!(told.reason, Some(Reason::InvalidOffers.into()));
        assert_eq!(told.source, Some(Source::Master.into()));
        assert_eq!((told.message.as_deref(), told.uuid, told.timestamp), (Some("why"), None, Some(1.5)));
    }

    #[test]
    fn an_update_fills_in_what_the_executor_left_out() {
        let said = status(&TaskId::from("t"), TaskState::TaskRunning, WALL)
            .with_executor(&ExecutorId::from("e"))
            .with_uuid([7; 16]);
        let update = update(&FrameworkId::from("f"), said, Some(&AgentId::from("a")), WALL);
        assert_eq!(update.status.agent_id, update.agent_id);
        assert_eq!(update.uuid, update.status.uuid);
        assert_eq!(update.executor_id, update.status.executor_id);
        assert_eq!(update.timestamp, 1.5);
    }

    #[test]
    fn a_reconciled_status_keeps_health_and_drops_data() {
        let mut last = status(&TaskId::from("t"), TaskState::TaskRunning, WALL).with_healthy(true).with_uuid([1; 16]);
        last.data = Some(Bytes::from_static(b"x"));
        let task = v1::Task { statuses: vec![last], ..Default::default() };
        let answer = reconciled(&task, TaskState::TaskRunning, "Reconciliation: Latest task state", WALL);
        assert_eq!((answer.healthy, &answer.data, &answer.uuid), (Some(true), &None, &None));
        assert_eq!(answer.reason(), Reason::Reconciliation);
    }
}
