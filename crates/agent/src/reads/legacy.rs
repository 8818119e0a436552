//! The documents of the legacy API, field by field as Mesos writes them. `/state` is here and in `legacy/frameworks`,
//! the use of containers in `legacy/containers`; what single values look like is in `proto::v0json`.

mod containers;
mod frameworks;

use std::collections::BTreeMap;

use ::containers::Enforcement;
use agent_core::State;
use proto::{
    json::Writer,
    upid::Upid,
    v0json,
    v1::{Resource, agent_info::Capability},
};
use resources::Resources;
use stdx::WallTime;

pub use containers::{containers, statistics};

/// What `/state` says beyond the state.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    pub started: WallTime,
    pub pid: &'a Upid,
    pub capabilities: &'a [Capability],
    pub isolators: &'a [Enforcement],
    pub flags: &'a BTreeMap<String, String>,
}

/// The body of `/state`.
pub fn state(state: &State, process: Process<'_>) -> Vec<u8> {
    let mut json = Writer::v0();
    json.object(|json| write_state(json, state, process));
    json.into_bytes()
}

fn write_state(json: &mut Writer, state: &State, process: Process<'_>) {
    endpoints::version_fields(json);
    endpoints::commit_fields(json);
    json.field("start_time", &process.started.as_secs_f64());
    json.field("id", state.agent_id.as_ref().map_or("", |id| id.as_str()));
    json.field("pid", process.pid.to_string().as_str());
    json.field("hostname", &state.info.hostname);
    json.key("capabilities");
    v0json::agent_capabilities(json, process.capabilities);
    json.optional_field("domain", state.info.domain.as_ref());
    if let Some(drain) = &state.drain {
        json.field("drain_config", &drain.config);
        json.field("estimated_drain_start_time_seconds", &(drain.since.0 / 1_000_000_000));
        write_drain_waits(json, state);
    }
    write_resources(json, state);
    json.field("resource_providers", &[] as &[Resource]);
    json.key("attributes");
    v0json::attributes(json, &state.info.attributes);
    if let Some(master) = &state.master {
        json.field("master_hostname", master_hostname(state, process, master));
    }
    json.optional_field("log_dir", process.flags.get("log_dir"));
    json.object_field("isolation_enforced", |json| {
        for Enforcement { name, enforced } in process.isolators {
            json.field(name, enforced.as_ref().map_or_else(|why| why.as_str(), |()| "enforced"));
        }
    });
    json.object_field("flags", |json| process.flags.iter().for_each(|(name, value)| json.field(name, value)));
    frameworks::write_all(json, state);
}

/// Whose acknowledgements a drain waits for.
fn write_drain_waits(json: &mut Writer, state: &State) {
    json.array_field("drain_waits_for", state.drain_waits.iter(), |json, wait| {
        json.object(|json| {
            json.field("framework_id", wait.framework.as_str());
            let framework = state.frameworks.get(&wait.framework);
            json.optional_field("framework_name", framework.map(|row| &row.info.name));
            json.field("task_id", wait.task.as_str());
            json.field("state", wait.state.as_str_name());
            json.optional_field("told_again_time_seconds", wait.told_again.map(|at| at.0 / 1_000_000_000).as_ref());
        });
    });
}

/// A master on another machine goes by its address.
fn master_hostname<'a>(state: &'a State, process: Process<'_>, master: &'a Upid) -> &'a str {
    if master.host == process.pid.host { &state.info.hostname } else { &master.host }
}

/// Every resource of the agent, short and in full, and how much of it is taken.
fn write_resources(json: &mut Writer, state: &State) {
    let total = state.total();
    let allocated: Resources = state.executors().map(|executor| frameworks::allocated(executor)).sum();
    let allocated = allocated.unallocate();
    json.key("resources");
    v0json::resources(json, &total.to_protos());
    json.key("reserved_resources");
    write_by_role(json, &total);
    json.key("unreserved_resources");
    v0json::resources(json, &total.unreserved().to_protos());
    json.object_field("reserved_resources_full", |json| {
        for (role, reserved) in total.reservations() {
            json.field(&role, &reserved.to_protos_endpoint());
        }
    });
    json.field("unreserved_resources_full", &total.unreserved().to_protos_endpoint());
    json.key("reserved_resources_allocated");
    write_by_role(json, &allocated);
    json.key("unreserved_resources_allocated");
    v0json::resources(json, &allocated.unreserved().to_protos());
}

fn write_by_role(json: &mut Writer, resources: &Resources) {
    let reserved: BTreeMap<String, Vec<Resource>> =
        resources.reservations().into_iter().map(|(role, reserved)| (role, reserved.to_protos())).collect();
    v0json::resources_by_role(json, reserved.iter().map(|(role, reserved)| (role.as_str(), reserved.as_slice())));
}
