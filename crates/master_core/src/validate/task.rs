//! Whether a task may be launched on an agent, with what its framework was offered.

use model::{ExecutorId, TaskId, parse};
use proto::v1::TaskInfo;
use resources::Resources;

use crate::state::{Agent, Framework};

/// What a task that may be launched takes.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) resources: Resources,
    /// What its executor takes, if that must be started and is one that the framework defines.
    pub(crate) new_executor: Option<Resources>,
}

pub(crate) fn check(
    task: &TaskInfo,
    framework: &Framework,
    agent: &Agent,
    available: &Resources,
) -> Result<Checked, String> {
    check_identity(task, framework, agent)?;
    let resources = parse::task::task_info(task, agent.capabilities)?;
    let executor = task.executor.as_ref().map(|executor| ExecutorId::from(&executor.executor_id));
    let existing = executor.as_ref().and_then(|id| agent.find_executor(&framework.id, id));
    let of_executor =
        parse::task::task_executor(task, &resources, framework.id.as_str(), existing.map(|row| &row.info))?;
    let new_executor = (executor.is_some() && existing.is_none()).then_some(of_executor);
    let total = match &new_executor {
        Some(of_executor) => &resources + of_executor,
        None => resources.clone(),
    };
    check_fits(&total, available)?;
    parse::task::outside_group(task)?;
    Ok(Checked { resources, new_executor })
}

/// The task's id is free, and it is meant for this agent.
pub(super) fn check_identity(task: &TaskInfo, framework: &Framework, agent: &Agent) -> Result<(), String> {
    parse::task::task_id(task)?;
    let id = TaskId::from(&task.task_id);
    if is_taken(framework, &id) {
        return Err(format!("Task has duplicate ID: {id}"));
    }
    if framework.unreachable_tasks.get(&id).is_some() {
        return Err(format!("Task reuses the ID of an unreachable task: {id}"));
    }
    if agent.id != task.agent_id {
        return Err(format!("Task uses invalid agent {} while agent {} is expected", task.agent_id.value, agent.id));
    }
    Ok(())
}

fn check_fits(total: &Resources, available: &Resources) -> Result<(), String> {
    stdx::bug!("more_than_offered", return Ok(()));
    if available.contains(total) { Ok(()) } else { Err(parse::task::too_much(total, available)) }
}

/// Whether a task of the framework has this id.
fn is_taken(framework: &Framework, id: &TaskId) -> bool {
    stdx::bug!("task_id_taken_twice", return false);
    framework.tasks.contains(id)
}
