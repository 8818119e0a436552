//! Task groups. In order: for each task `task::task_id`, the core's look at ids and agent, [`group_task`], each
//! complaint wrapped by [`in_task`]; then [`group_executor`]; the core's look at what is offered;
//! [`one_way_of_cgroups`].

use super::{executor, print, resources as rules, task};
use crate::capabilities::AgentCapabilities;
use ::resources::{Quantity, Resources};
use proto::v1::{ContainerInfo, ExecutorInfo, TaskGroupInfo, TaskInfo, container_info, executor_info, health_check};

/// The least that an executor of a group is given.
const MIN_CPUS: Quantity = Quantity(10);
const MIN_MEM: Quantity = Quantity::from_units(32);

/// Words for a group with a task that makes no sense.
pub fn in_task(task: &TaskInfo, why: &str) -> String {
    format!("Task '{}' is invalid: {why}", task.task_id.value)
}

/// One task of a group, all but its id. Returns its resources.
pub fn group_task(task: &TaskInfo, agent: AgentCapabilities) -> Result<Resources, String> {
    use health_check::Type;
    let resources = task::task_info(task, agent)?;
    if task.executor.is_none() {
        return Err("'TaskInfo.executor' must be set".into());
    }
    if let Some(info) = &task.container {
        let over_network =
            task.health_check.as_ref().is_some_and(|check| matches!(check.r#type(), Type::Http | Type::Tcp));
        if !info.network_infos.is_empty() && over_network {
            return Err(
                "HTTP and TCP health checks are not supported for nested containers not joining parent's network"
                    .into(),
            );
        }
        if info.r#type() == container_info::Type::Docker {
            return Err("Docker ContainerInfo is not supported on the task".into());
        }
    }
    if !task.limits.is_empty() && executor::share_cgroups(task.container.as_deref()) != Some(false) {
        return Err(
            "Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set \
                    to 'false'."
                .into(),
        );
    }
    Ok(resources)
}

/// The executor of a group, and the two together. `tasks` are the resources of its tasks in order, `existing` is the
/// executor of the same id that runs on the agent already. Returns the executor's resources, whether or not it has to
/// be started.
pub fn group_executor(
    group: &TaskGroupInfo,
    tasks: &[Resources],
    executor: &ExecutorInfo,
    framework_id: &str,
    existing: Option<&ExecutorInfo>,
) -> Result<Resources, String> {
    let of_executor = executor::launched_executor(executor, framework_id, existing)?;
    if executor.r#type.is_none() {
        return Err("'ExecutorInfo.type' must be set".into());
    }
    if executor.r#type() == executor_info::Type::Unknown {
        return Err("Unknown executor type".into());
    }
    if executor.container.as_ref().is_some_and(|info| info.r#type() == container_info::Type::Docker) {
        return Err("Docker ContainerInfo is not supported on the executor".into());
    }
    let id = &executor.executor_id.value;
    for task in &group.tasks {
        if task.executor.as_ref().is_some_and(|of_task| !executor::is_same(of_task, executor)) {
            return Err(format!(
                "The `ExecutorInfo` of task '{}' is different from executor '{id}'",
                task.task_id.value
            ));
        }
    }
    let cpus = of_executor.cpus();
    if cpus.is_none_or(|cpus| cpus < MIN_CPUS) {
        let cpus = cpus.map_or("None".into(), |cpus| print::double(cpus.as_f64()));
        return Err(format!("Executor '{id}' uses less CPUs ({cpus}) than the minimum required ({MIN_CPUS})"));
    }
    let mem = of_executor.mem();
    if mem.is_none_or(|mem| mem < MIN_MEM) {
        let mem = mem.map_or("None".into(), print::megabytes);
        return Err(format!(
            "Executor '{id}' uses less memory ({mem}) than the minimum required ({})",
            print::megabytes(MIN_MEM)
        ));
    }
    if of_executor.disk().is_none() {
        return Err(format!("Executor '{id}' uses no disk"));
    }

    let total = tasks.iter().sum::<Resources>() + &of_executor;
    rules::unique_persistence_ids(&total)
        .map_err(|why| format!("Task group and executor use duplicate persistence ID: {why}"))?;
    rules::not_half_revocable(&total)
        .map_err(|why| format!("Task group and executor mix revocable and non-revocable resources: {why}"))?;
    if rules::overlap(tasks.iter().chain([&of_executor])) {
        let tasks: Vec<String> = tasks.iter().map(Resources::to_string).collect();
        return Err(format!(
            "There are overlapping resources in the task group's task resources {{ {} }} and/or executor resources \
             {of_executor}",
            tasks.join(", ")
        ));
    }
    Ok(of_executor)
}

/// Words for a group that asks for more than there is.
pub fn too_much(total: &Resources, offered: &Resources) -> String {
    format!("Total resources {total} required by task group and its executor are more than available {offered}")
}

/// All tasks of one executor share its cgroups, or none does. `others` are the containers of the tasks that it runs
/// already.
pub fn one_way_of_cgroups<'a>(
    group: &'a TaskGroupInfo,
    executor: &ExecutorInfo,
    others: impl IntoIterator<Item = Option<&'a ContainerInfo>>,
) -> Result<(), String> {
    executor::own_cgroups(executor)?;
    let mut all = group.tasks.iter().map(|task| task.container.as_deref()).chain(others).map(|container| {
        // To share is the default.
        executor::share_cgroups(container).unwrap_or(true)
    });
    let first = all.next();
    if all.any(|shared| Some(shared) != first) {
        return Err(
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a \
                    single executor"
                .into(),
        );
    }
    Ok(())
}
