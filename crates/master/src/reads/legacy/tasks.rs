//! `/tasks`: one page of all tasks that the master remembers, by the time of their first status.

use std::cmp::Ordering;

use master_core::State;
use proto::{json::Writer, v0json, v1::Task};

use super::Query;

pub fn write_page(json: &mut Writer, state: &State, query: &Query) {
    let mut found = find(state, query);
    // A stable sort: tasks of one moment stay in the order of their frameworks and ids.
    found.sort_by(|a, b| if query.ascending { compare(a, b) } else { compare(b, a) });
    let page = found.into_iter().skip(query.offset).take(query.limit);
    json.array_field("tasks", page, v0json::task);
}

fn find<'a>(state: &'a State, query: &Query) -> Vec<&'a Task> {
    let completed = state.completed_frameworks.iter().map(AsRef::as_ref);
    let wanted_framework = |id: &str| query.framework_id.as_deref().is_none_or(|only| only == id);
    let wanted_task = |task: &&Task| query.task_id.as_ref().is_none_or(|only| *only == task.task_id.value);
    let frameworks = state.frameworks.values().chain(completed).filter(|row| wanted_framework(row.id.as_str()));
    let tasks = frameworks.flat_map(|framework| {
        let ended = framework.unreachable_tasks.iter().chain(framework.completed_tasks.iter());
        framework.tasks.values().map(|task| &task.proto).chain(ended.map(|task| &task.proto))
    });
    tasks.filter(wanted_task).collect()
}

/// A task without a status counts as older than any other.
fn compare(a: &Task, b: &Task) -> Ordering {
    let first = |task: &Task| task.statuses.first().map(|status| status.timestamp());
    match (first(a), first(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
