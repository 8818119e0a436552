//! What a task must say about itself. In order: [`task_id`]; the core's look at tasks of the same id and at the agent;
//! [`task_info`]; [`task_executor`]; the core's look at what is offered; [`outside_group`]. Groups are in `group`.

use super::{check, container, executor, ids, resources as rules};
use crate::capabilities::AgentCapabilities;
use ::resources::{Quantity, Resources};
use proto::v1::{ExecutorInfo, TaskInfo, executor_info};

pub fn task_id(task: &TaskInfo) -> Result<(), String> {
    ids::id(&task.task_id.value)
}

/// All but its id and its executor. Returns its resources.
pub fn task_info(task: &TaskInfo, agent: AgentCapabilities) -> Result<Resources, String> {
    if task.kill_policy.and_then(|policy| policy.grace_period).is_some_and(|period| period.nanoseconds < 0) {
        return Err("Task's 'kill_policy.grace_period' must be non-negative".into());
    }
    if task.max_completion_time.is_some_and(|time| time.nanoseconds < 0) {
        return Err("Task's `max_completion_time` must be non-negative".into());
    }
    if let Some(check) = &task.check {
        check::check_info(check).map_err(|why| format!("Task uses invalid check: {why}"))?;
    }
    if let Some(check) = &task.health_check {
        check::health_check(check).map_err(|why| format!("Task uses invalid health check: {why}"))?;
    }
    let resources = task_resources(task)?;
    if let Some(command) = &task.command {
        container::command_info(command).map_err(|why| format!("Task's `CommandInfo` is invalid: {why}"))?;
    }
    if let Some(info) = &task.container {
        container::container_info(info).map_err(|why| format!("Task's `ContainerInfo` is invalid: {why}"))?;
    }
    limits(task, &resources, agent)?;
    Ok(resources)
}

fn task_resources(task: &TaskInfo) -> Result<Resources, String> {
    if task.resources.is_empty() {
        return Err("Task uses no resources".into());
    }
    let resources = rules::usable(&task.resources).map_err(|why| format!("Task uses invalid resources: {why}"))?;
    rules::unique_persistence_ids(&resources).map_err(|why| format!("Task uses duplicate persistence ID: {why}"))?;
    rules::one_role(&resources).map_err(|why| format!("Invalid task resources: {why}"))?;
    rules::not_half_revocable(&resources)
        .map_err(|why| format!("Task mixes revocable and non-revocable resources: {why}"))?;
    Ok(resources)
}

/// Limits lie above what is asked for; infinity is a limit, too.
fn limits(task: &TaskInfo, resources: &Resources, agent: AgentCapabilities) -> Result<(), String> {
    if task.limits.is_empty() {
        return Ok(());
    }
    if !agent.task_resource_limits {
        return Err("Agent is not capable of handling task resource limits".into());
    }
    if task.limits.keys().any(|name| !matches!(name.as_str(), "cpus" | "mem")) {
        return Err("Only cpus and mem may be included in a task's resource limits".into());
    }
    let is_enough = |limit: f64, request: Quantity| {
        limit == f64::INFINITY || (limit.is_finite() && Quantity::from_f64(limit) >= request)
    };
    if let Some(limit) = task.limits.get("cpus") {
        let Some(request) = resources.cpus() else {
            return Err("When a CPU limit is specified, a CPU request must also be specified".into());
        };
        if !is_enough(limit.value, request) {
            return Err("The cpu limit must be greater than or equal to the cpu request".into());
        }
    }
    if let Some(limit) = task.limits.get("mem") {
        let Some(request) = resources.mem() else {
            return Err("When a memory limit is specified, a memory request must also be specified".into());
        };
        if !is_enough(limit.value, Quantity::from_units(request.units())) {
            return Err("The memory limit must be greater than or equal to the memory request".into());
        }
    }
    Ok(())
}

/// A task outside a group has a command or an executor of its own. `resources` are the task's, `existing` is the
/// executor of the same id that runs on the agent already. Returns the executor's resources, whether or not it has to
/// be started.
pub fn task_executor(
    task: &TaskInfo,
    resources: &Resources,
    framework_id: &str,
    existing: Option<&ExecutorInfo>,
) -> Result<Resources, String> {
    let executor = match (&task.executor, &task.command) {
        (Some(executor), None) => executor,
        (None, Some(_)) => return Ok(Resources::default()),
        _ => {
            return Err("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present".into());
        }
    };
    let of_executor = executor::launched_executor(executor, framework_id, existing)?;
    if executor.r#type.is_some() && executor.r#type() != executor_info::Type::Custom {
        return Err("'ExecutorInfo.type' must be 'CUSTOM'".into());
    }
    if executor.command.is_none() {
        return Err("'ExecutorInfo.command' must be set".into());
    }
    if of_executor.iter().any(|resource| resource.is_shared()) {
        return Err(format!("Executor resources {of_executor} should not contain any shared resources"));
    }
    executor::own_cgroups(executor)?;

    let total = resources + &of_executor;
    rules::sound(&total).map_err(|why| format!("Task and its executor use invalid resources: {why}"))?;
    if rules::overlap([resources, &of_executor]) {
        return Err(format!(
            "There are overlapping resources in the task resources {resources} and executor resources {of_executor}"
        ));
    }
    rules::unique_persistence_ids(&total)
        .map_err(|why| format!("Task and its executor use duplicate persistence ID: {why}"))?;
    rules::not_half_revocable(&total)
        .map_err(|why| format!("Task and its executor mix revocable and non-revocable resources: {why}"))?;
    Ok(of_executor)
}

/// Words for a task that asks for more than there is.
pub fn too_much(total: &Resources, offered: &Resources) -> String {
    format!("Total resources {total} required by task and its executor is more than available {offered}")
}

/// Only tasks in a group may have cgroups of their own below their executor's.
pub fn outside_group(task: &TaskInfo) -> Result<(), String> {
    if executor::share_cgroups(task.container.as_deref()) == Some(false) {
        return Err("Only tasks in a task group may have 'share_cgroups' set to 'false'".into());
    }
    Ok(())
}
