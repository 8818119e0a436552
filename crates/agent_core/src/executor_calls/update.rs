//! UPDATE: is the transition legal? Then the update goes the way of all updates (`../updates`).

use crate::{
    agent::Agent,
    effect::Effects,
    state::{Executor, FrameworkPhase},
};
use model::{ExecutorId, FrameworkId, TaskId, task_state};
use proto::{internal::StatusUpdate, v1};

/// What an update of an executor is to us.
enum Judgement {
    Take,
    /// We have it; the executor should hear so (again).
    Acknowledge,
    /// Nobody will hear of it, and the executor need not wait for that.
    LetGo(&'static str),
    /// We have it, but not yet durably: the executor will hear.
    Wait,
    Refuse(&'static str),
}

impl Agent {
    pub(crate) fn on_update(
        &mut self,
        framework: FrameworkId,
        executor: ExecutorId,
        status: v1::TaskStatus,
        out: &mut Effects,
    ) {
        let task = TaskId::from(&status.task_id);
        match self.judge(&framework, &executor, &task, &status) {
            Judgement::Take => {
                self.state.metrics.valid_status_updates += 1;
                let update = self.enriched(&framework, &executor, status);
                if let Some(row) = self.state.executor_mut(&framework, &executor) {
                    row.used = true;
                }
                self.accept_update(framework, Some(executor), task, update, out);
            }
            Judgement::Acknowledge => {
                let uuid = status.uuid.unwrap_or_default();
                self.acknowledge_to_executor(&framework, &executor, &task, &uuid, out);
            }
            Judgement::LetGo(why) => {
                tracing::info!(%framework, %executor, %task, state = status.state().as_str_name(), "letting go of a status update: {why}");
                self.state.metrics.invalid_status_updates += 1;
                let uuid = status.uuid.unwrap_or_default();
                self.acknowledge_to_executor(&framework, &executor, &task, &uuid, out);
            }
            Judgement::Wait => {}
            Judgement::Refuse(why) => {
                tracing::warn!(%framework, %executor, %task, state = status.state().as_str_name(), "ignoring a status update: {why}");
                self.state.metrics.invalid_status_updates += 1;
            }
        }
    }

    fn judge(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        status: &v1::TaskStatus,
    ) -> Judgement {
        if let Some(stream) = self.streams.get(&(framework.clone(), task.clone()))
            && let Some(durable) = stream.find_durable(status.uuid())
        {
            return if durable { Judgement::Acknowledge } else { Judgement::Wait };
        }
        let Some(row) = self.state.frameworks.get(framework) else { return Judgement::Refuse("unknown framework") };
        if row.phase == FrameworkPhase::Terminating {
            return Judgement::LetGo("the framework is being shut down");
        }
        let Some(row) = row.executors.get(executor) else { return Judgement::Refuse("unknown executor") };
        let Some(known) = row.tasks.get(task) else {
            // Its end was acknowledged long ago; only the executor does not know.
            return match row.completed_tasks.iter().any(|row| row.task_id.value == task.as_str()) {
                true => Judgement::Acknowledge,
                false => Judgement::Refuse("unknown task"),
            };
        };
        match task_state::check_transition(known.row.state(), status.state()) {
            Ok(()) => Judgement::Take,
            // The framework hears of one end only. An executor that waits to be heard need not wait.
            Err(task_state::TransitionError::Ended(_)) => Judgement::Acknowledge,
            Err(_) => Judgement::Refuse("illegal transition"),
        }
    }

    /// The status with what only the agent knows.
    fn enriched(&self, framework: &FrameworkId, executor: &ExecutorId, mut status: v1::TaskStatus) -> StatusUpdate {
        let timestamp = *status.timestamp.get_or_insert(self.wall.as_secs_f64());
        status.agent_id = Some(self.agent_id());
        status.executor_id = Some(executor.to_proto());
        if let Some(row) = self.state.find_executor(framework, executor) {
            let container = status.container_status.get_or_insert_default();
            fill_container_status(container, row, &self.config.upid.host);
        }
        StatusUpdate {
            framework_id: framework.to_proto(),
            executor_id: Some(executor.to_proto()),
            agent_id: Some(self.agent_id()),
            timestamp,
            uuid: status.uuid.clone(),
            latest_state: None,
            status,
        }
    }
}

fn fill_container_status(status: &mut v1::ContainerStatus, executor: &Executor, ip: &str) {
    if status.container_id.is_none() {
        status.container_id = Some(executor.container.to_proto());
    }
    if status.executor_pid.is_none() {
        status.executor_pid = executor.pid;
    }
    // Containers live in the host's network.
    if status.network_infos.is_empty() {
        status.network_infos.push(v1::NetworkInfo {
            ip_addresses: vec![v1::network_info::IpAddress { ip_address: Some(ip.to_owned()), ..Default::default() }],
            ..Default::default()
        });
    }
}
