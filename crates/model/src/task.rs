//! The row of a task, as masters and agents keep and show it.

use proto::v1::{self, TaskState};

use crate::FrameworkId;

/// The row of a task that was just accepted. `executor_id` is that of an executor which the framework named; `command`
/// is what the task or its executor runs.
pub fn staging(
    info: &v1::TaskInfo,
    framework: &FrameworkId,
    executor_id: Option<v1::ExecutorId>,
    command: Option<&v1::CommandInfo>,
) -> v1::Task {
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: framework.to_proto(),
        executor_id,
        agent_id: info.agent_id.clone(),
        state: TaskState::TaskStaging as i32,
        resources: info.resources.clone(),
        statuses: Vec::new(),
        status_update_state: None,
        status_update_uuid: None,
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: info.container.clone(),
        health_check: info.health_check.clone(),
        kill_policy: info.kill_policy,
        user: command.and_then(|command| command.user.clone()),
        limits: info.limits.clone(),
    }
}
