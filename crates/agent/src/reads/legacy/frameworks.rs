//! Frameworks, their executors and their tasks, as the agent's `/state` shows them.

use agent_core::{Executor, Framework, State, Task, TaskPhase};
use proto::{json::Writer, v0json};
use resources::Resources;

pub fn write_all(json: &mut Writer, state: &State) {
    json.array_field("frameworks", state.frameworks.values(), |json, framework| write(json, framework));
    json.array_field("completed_frameworks", state.completed_frameworks.iter(), |json, framework| {
        write(json, framework);
    });
}

fn write(json: &mut Writer, framework: &Framework) {
    let info = &*framework.info;
    json.object(|json| {
        json.field("id", framework.id.as_str());
        json.field("name", &info.name);
        json.field("user", &info.user);
        json.field("failover_timeout", &info.failover_timeout());
        json.field("checkpoint", &info.checkpoint());
        json.field("hostname", info.hostname());
        json.optional_field("principal", info.principal.as_ref());
        v0json::role_fields(json, info);
        json.array_field("executors", framework.executors.values(), |json, executor| write_executor(json, executor));
        json.array_field("completed_executors", framework.completed_executors.iter(), |json, executor| {
            write_executor(json, executor);
        });
    });
}

fn write_executor(json: &mut Writer, executor: &Executor) {
    let info = &*executor.info;
    let in_phase = |phase: TaskPhase| executor.tasks.values().filter(move |task: &&Task| task.phase == phase);
    json.object(|json| {
        json.field("id", executor.id.as_str());
        json.field("name", info.name());
        json.field("source", info.source());
        json.field("container", executor.container.name());
        json.field("directory", &*executor.sandbox);
        v0json::executor_tail_fields(json, info, &allocated(executor).to_protos());
        json.array_field("tasks", in_phase(TaskPhase::Launched), |json, task| v0json::task(json, &task.row));
        json.array_field("queued_tasks", in_phase(TaskPhase::Queued), |json, task| {
            v0json::queued_task(json, &task.info);
        });
        let ended = in_phase(TaskPhase::Ended).map(|task| &task.row);
        let completed = executor.completed_tasks.iter().map(AsRef::as_ref).chain(ended);
        json.array_field("completed_tasks", completed, v0json::task);
    });
}

/// What an executor and its tasks may use at present.
pub fn allocated(executor: &Executor) -> Resources {
    let read = |resources: &[proto::v1::Resource]| Resources::from_protos(resources).unwrap_or_default();
    let mut sum = read(&executor.info.resources);
    for task in executor.tasks.values().filter(|task| task.phase != TaskPhase::Ended) {
        sum += read(&task.row.resources);
    }
    sum
}
