//! The reads of the v1 operator API, in Mesos's shapes: GET_STATE and its parts, GET_ROLES, GET_MASTER.

use master_core::{
    State,
    state::{Agent, Framework},
};
use proto::{
    content::ContentType,
    v1::{
        self, AgentInfo, TimeInfo,
        master::{
            Response as Answer,
            call::Type,
            response::{self, GetAgents, GetExecutors, GetFrameworks, GetRoles, GetState, GetTasks},
        },
    },
};
use resources::Resources;
use stdx::WallTime;
use transport::{Response, StatusCode, negotiate};

/// The answer to one of the reads. `started` is when this process was.
pub fn answer(state: &State, started: WallTime, call: Type, accept: ContentType) -> Response {
    let mut answer = Answer::default();
    let kind = response::Type::from_str_name(call.as_str_name()).unwrap_or_default();
    answer.r#type = Some(kind as i32);
    match call {
        Type::GetState => answer.get_state = Some(get_state(state)),
        Type::GetAgents => answer.get_agents = Some(get_agents(state)),
        Type::GetFrameworks => answer.get_frameworks = Some(get_frameworks(state)),
        Type::GetTasks => answer.get_tasks = Some(get_tasks(state)),
        Type::GetExecutors => answer.get_executors = Some(get_executors(state)),
        Type::GetOperations => answer.get_operations = Some(response::GetOperations::default()),
        Type::GetRoles => answer.get_roles = Some(get_roles(state)),
        Type::GetWeights => answer.get_weights = get_weights(state),
        _ => answer.get_master = Some(get_master(state, started)),
    }
    Response::typed(StatusCode::OK, negotiate::mime(accept), accept.encode(&answer))
}

fn get_state(state: &State) -> GetState {
    GetState {
        get_tasks: Some(get_tasks(state)),
        get_executors: Some(get_executors(state)),
        get_frameworks: Some(get_frameworks(state)),
        get_agents: Some(get_agents(state)),
    }
}

fn get_agents(state: &State) -> GetAgents {
    GetAgents {
        agents: state.agents.values().map(|row| agent(state, row)).collect(),
        recovered_agents: state.recovered_agents.values().cloned().collect(),
    }
}

fn agent(state: &State, agent: &Agent) -> response::get_agents::Agent {
    let mut used = Resources::default();
    for resources in state.used_on(agent).into_values() {
        used += resources;
    }
    response::get_agents::Agent {
        agent_info: AgentInfo::clone(&agent.info),
        active: agent.is_active(),
        deactivated: Some(agent.deactivated),
        version: agent.version.clone(),
        pid: Some(agent.pid.to_string()),
        registered_time: Some(time(agent.registered)),
        reregistered_time: agent.reregistered.map(time),
        total_resources: agent.total.to_protos(),
        allocated_resources: used.to_protos(),
        offered_resources: state.offered_on(agent).to_protos(),
        capabilities: agent.capability_list.clone(),
        resource_providers: Vec::new(),
        drain_info: agent.drain_info.clone(),
        estimated_drain_start_time: None,
    }
}

fn get_frameworks(state: &State) -> GetFrameworks {
    GetFrameworks {
        frameworks: state.frameworks.values().map(|row| framework(state, row)).collect(),
        completed_frameworks: state.completed_frameworks.iter().map(|row| framework(state, row)).collect(),
        recovered_frameworks: Vec::new(),
    }
}

fn framework(state: &State, framework: &Framework) -> response::get_frameworks::Framework {
    let mut used = Resources::default();
    for resources in state.used_by(framework).into_values() {
        used += resources;
    }
    response::get_frameworks::Framework {
        framework_info: v1::FrameworkInfo::clone(&framework.info),
        active: framework.is_active(),
        connected: framework.is_connected(),
        recovered: framework.is_recovered(),
        registered_time: Some(time(framework.registered)),
        reregistered_time: framework.reregistered.map(time),
        unregistered_time: framework.unregistered.map(time),
        offers: framework.offers.iter().filter_map(|id| state.offers.get(id)).map(|row| offer(state, row)).collect(),
        inverse_offers: Vec::new(),
        allocated_resources: used.to_protos(),
        offered_resources: state.offered_to(framework).to_protos(),
        offer_constraints: Some(framework.offer_constraints.as_deref().cloned().unwrap_or_default()),
    }
}

fn offer(state: &State, offer: &master_core::state::Offer) -> v1::Offer {
    let agent = state.agents.get(&offer.agent);
    v1::Offer {
        id: offer.id.to_proto(),
        framework_id: offer.framework.to_proto(),
        agent_id: offer.agent.to_proto(),
        hostname: agent.map(|agent| agent.info.hostname.clone()).unwrap_or_default(),
        resources: offer.resources.to_protos(),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some(offer.role.to_string()) }),
        ..Default::default()
    }
}

fn get_tasks(state: &State) -> GetTasks {
    let mut tasks = GetTasks::default();
    let everyone = state.frameworks.values().chain(state.completed_frameworks.iter().map(AsRef::as_ref));
    for framework in everyone {
        tasks.tasks.extend(framework.tasks.values().map(|task| task.proto.clone()));
        tasks.unreachable_tasks.extend(framework.unreachable_tasks.iter().map(|task| task.proto.clone()));
        tasks.completed_tasks.extend(framework.completed_tasks.iter().map(|task| task.proto.clone()));
    }
    tasks
}

fn get_executors(state: &State) -> GetExecutors {
    let executors = state.agents.values().flat_map(|agent| {
        let id = agent.id.to_proto();
        agent.executors.values().map(move |executor| response::get_executors::Executor {
            executor_info: executor.info.clone(),
            agent_id: id.clone(),
        })
    });
    GetExecutors { executors: executors.collect(), orphan_executors: Vec::new() }
}

fn get_roles(state: &State) -> GetRoles {
    let role = |(name, role): (String, master_core::Role)| v1::Role {
        name,
        weight: role.weight,
        frameworks: role.frameworks.iter().map(model::FrameworkId::to_proto).collect(),
        resources: role.allocated.to_protos(),
    };
    GetRoles { roles: state.roles().into_iter().map(role).collect() }
}

/// None at all while every role weighs 1.
fn get_weights(state: &State) -> Option<response::GetWeights> {
    let info = |(role, weight): (&String, &f64)| v1::WeightInfo { weight: *weight, role: Some(role.clone()) };
    let weight_infos: Vec<_> = state.registry.weights.iter().map(info).collect();
    (!weight_infos.is_empty()).then_some(response::GetWeights { weight_infos })
}

fn get_master(state: &State, started: WallTime) -> response::GetMaster {
    response::GetMaster {
        master_info: Some(v1::MasterInfo::clone(&state.info)),
        start_time: Some(started.as_secs_f64()),
        elected_time: state.elected.map(WallTime::as_secs_f64),
    }
}

fn time(at: WallTime) -> TimeInfo {
    TimeInfo { nanoseconds: at.0 }
}
