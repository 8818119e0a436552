//! Agents: `/slaves`, and their part of `/state`.

use std::collections::BTreeMap;

use master_core::{State, state::Agent};
use proto::{
    json::Writer,
    v0json,
    v1::{AgentInfo, Resource},
};
use resources::Resources;

/// The fields of `/slaves`, of one agent or of all.
pub fn write_page(json: &mut Writer, state: &State, only: Option<&str>) {
    let wanted = state.agents.values().filter(|agent| only.is_none_or(|id| agent.id.as_str() == id));
    json.array_field("slaves", wanted, |json, agent| {
        json.object(|json| {
            write_fields(json, state, agent);
            write_full_resources(json, state, agent);
        });
    });
    write_recovered(json, state, only);
}

/// What `/state` shows of an agent.
pub fn write_fields(json: &mut Writer, state: &State, agent: &Agent) {
    json.field("id", agent.id.as_str());
    v0json::agent_info_fields(json, &agent.info);
    json.field("pid", agent.pid.to_string().as_str());
    json.field("registered_time", &agent.registered.as_secs_f64());
    if let Some(at) = agent.reregistered {
        json.field("reregistered_time", &at.as_secs_f64());
    }
    let total = agent.total.to_protos();
    json.key("resources");
    v0json::resources(json, &total);
    json.key("used_resources");
    v0json::resources(json, &used(state, agent).to_protos());
    json.key("offered_resources");
    v0json::resources(json, &state.offered_on(agent).to_protos());
    json.key("reserved_resources");
    let reserved: BTreeMap<String, Vec<Resource>> =
        agent.total.reservations().into_iter().map(|(role, reserved)| (role, reserved.to_protos())).collect();
    v0json::resources_by_role(json, reserved.iter().map(|(role, reserved)| (role.as_str(), reserved.as_slice())));
    json.key("unreserved_resources");
    v0json::resources(json, &agent.total.unreserved().to_protos());
    json.field("active", &agent.is_active());
    json.field("deactivated", &agent.deactivated);
    json.field("version", &agent.version);
    json.key("capabilities");
    v0json::agent_capabilities(json, &agent.capability_list);
    if let Some(drain) = &agent.drain_info {
        json.field("drain_info", drain);
        if let Some(started) = agent.drain_started {
            json.field("estimated_drain_start_time_seconds", &started.as_secs_f64());
        }
    }
}

/// The same resources once more, in full.
fn write_full_resources(json: &mut Writer, state: &State, agent: &Agent) {
    json.object_field("reserved_resources_full", |json| {
        for (role, reserved) in agent.total.reservations() {
            json.field(&role, &reserved.to_protos_endpoint());
        }
    });
    json.field("unreserved_resources_full", &agent.total.unreserved().to_protos_endpoint());
    json.field("used_resources_full", &used(state, agent).to_protos_endpoint());
    json.field("offered_resources_full", &state.offered_on(agent).to_protos_endpoint());
}

fn used(state: &State, agent: &Agent) -> Resources {
    state.used_on(agent).values().sum()
}

/// The agents that the registry knows and that have not come back.
pub fn write_recovered(json: &mut Writer, state: &State, only: Option<&str>) {
    let wanted = |info: &&AgentInfo| only.is_none_or(|only| info.id.as_ref().is_some_and(|id| id.value == only));
    json.array_field("recovered_slaves", state.recovered_agents.values().filter(wanted), |json, info| {
        json.object(|json| {
            json.field("id", info.id.as_ref().map_or("", |id| id.value.as_str()));
            v0json::agent_info_fields(json, info);
        });
    });
}
