//! Whether a whole group may be launched.

use std::collections::BTreeSet;

use model::{ExecutorId, parse::group};
use proto::v1::offer::operation::LaunchGroup;
use resources::Resources;

use super::task::check_identity;
use crate::state::{Agent, Framework, Task};

/// What a group that may be launched takes.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Of each task, in order.
    pub(crate) tasks: Vec<Resources>,
    /// What its executor takes, if that must be started.
    pub(crate) new_executor: Option<Resources>,
}

pub(crate) fn check(
    launch: &LaunchGroup,
    framework: &Framework,
    agent: &Agent,
    available: &Resources,
) -> Result<Checked, String> {
    let mut tasks = Vec::with_capacity(launch.task_group.tasks.len());
    let mut ids = BTreeSet::new();
    for task in &launch.task_group.tasks {
        check_identity(task, framework, agent)
            .and_then(|()| {
                let is_new = ids.insert(task.task_id.value.as_str());
                if is_new { Ok(()) } else { Err(format!("Task has duplicate ID: {}", task.task_id.value)) }
            })
            .and_then(|()| group::group_task(task, agent.capabilities))
            .map(|resources| tasks.push(resources))
            .map_err(|why| group::in_task(task, &why))?;
    }
    let id = ExecutorId::from(&launch.executor.executor_id);
    let existing = agent.find_executor(&framework.id, &id);
    let of_executor = group::group_executor(
        &launch.task_group,
        &tasks,
        &launch.executor,
        framework.id.as_str(),
        existing.map(|row| &row.info),
    )?;
    let new_executor = existing.is_none().then_some(of_executor);
    let total = tasks.iter().chain(&new_executor).sum::<Resources>();
    if !available.contains(&total) {
        return Err(group::too_much(&total, available));
    }
    let with_it = |task: &&Task| task.agent == agent.id && task.executor.as_ref() == Some(&id);
    let unreachable = framework.unreachable_tasks.iter().map(|task| task.as_ref());
    let others = framework.tasks.values().chain(unreachable).filter(|_| existing.is_some()).filter(with_it);
    group::one_way_of_cgroups(
        &launch.task_group,
        &launch.executor,
        others.map(|task| task.proto.container.as_deref()),
    )?;
    Ok(Checked { tasks, new_executor })
}
