//! Frameworks: `/frameworks`, and their part of `/state` and of `/state-summary`.

use master_core::{State, state::Framework};
use proto::{json::Writer, v0json};
use resources::Resources;

/// The fields of `/frameworks`, of one framework or of all.
pub fn write_page(json: &mut Writer, state: &State, only: Option<&str>) {
    write_all(json, state, only);
    json.field("unregistered_frameworks", &[] as &[String]);
}

/// The fields `frameworks` and `completed_frameworks`.
pub fn write_all(json: &mut Writer, state: &State, only: Option<&str>) {
    let wanted = |framework: &&Framework| only.is_none_or(|id| framework.id.as_str() == id);
    let write = |json: &mut Writer, framework: &Framework| json.object(|json| write_fields(json, state, framework));
    json.array_field("frameworks", state.frameworks.values().filter(wanted), write);
    let completed = state.completed_frameworks.iter().map(AsRef::as_ref);
    json.array_field("completed_frameworks", completed.filter(wanted), write);
}

/// The fields that the summary has as well.
pub fn write_head(json: &mut Writer, framework: &Framework, used: &Resources, offered: &Resources) {
    let info = &*framework.info;
    json.field("id", framework.id.as_str());
    json.field("name", &info.name);
    json.optional_field("pid", framework.pid.as_ref().map(ToString::to_string).as_ref());
    json.key("used_resources");
    v0json::resources(json, &used.to_protos());
    json.key("offered_resources");
    v0json::resources(json, &offered.to_protos());
    json.key("capabilities");
    v0json::framework_capabilities(json, info);
    json.field("hostname", info.hostname());
    json.field("webui_url", info.webui_url());
    json.field("active", &framework.is_active());
    json.field("connected", &framework.is_connected());
    json.field("recovered", &framework.is_recovered());
}

fn write_fields(json: &mut Writer, state: &State, framework: &Framework) {
    let info = &*framework.info;
    let used: Resources = state.used_by(framework).values().sum();
    let offered = state.offered_to(framework);
    write_head(json, framework, &used, &offered);
    json.field("user", &info.user);
    json.field("failover_timeout", &info.failover_timeout());
    json.field("checkpoint", &info.checkpoint());
    json.field("registered_time", &framework.registered.as_secs_f64());
    json.field("unregistered_time", &framework.unregistered.map_or(0.0, |at| at.as_secs_f64()));
    json.optional_field("principal", info.principal.as_ref());
    json.key("resources");
    v0json::resources(json, &(used + &offered).to_protos());
    if let Some(at) = framework.reregistered.filter(|at| *at != framework.registered) {
        json.field("reregistered_time", &at.as_secs_f64());
    }
    v0json::role_fields(json, info);
    json.array_field("tasks", framework.tasks.values(), |json, task| v0json::task(json, &task.proto));
    json.array_field("unreachable_tasks", framework.unreachable_tasks.iter(), |json, task| {
        v0json::task(json, &task.proto);
    });
    json.array_field("completed_tasks", framework.completed_tasks.iter(), |json, task| {
        v0json::task(json, &task.proto);
    });
    let offers = framework.offers.iter().filter_map(|id| state.offer_to_proto(state.offers.get(id)?));
    json.array_field("offers", offers, |json, offer| v0json::offer(json, &offer));
    write_executors(json, state, framework);
    if let Some(labels) = &info.labels {
        json.key("labels");
        v0json::labels(json, labels);
    }
    match &framework.offer_constraints {
        Some(constraints) => json.field("offer_constraints", constraints.as_ref()),
        None => json.object_field("offer_constraints", |_| {}),
    }
}

fn write_executors(json: &mut Writer, state: &State, framework: &Framework) {
    let executors = framework.executors.iter().filter_map(|(agent, id)| {
        let executor = state.find_executor(agent, &framework.id, id)?;
        Some((agent, executor))
    });
    json.array_field("executors", executors, |json, (agent, executor)| {
        json.object(|json| {
            v0json::executor_fields(json, &executor.info);
            json.field("slave_id", agent.as_str());
        });
    });
}
