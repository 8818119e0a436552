//! The reads of the v1 operator API, in Mesos's shapes: GET_STATE and its parts, GET_ROLES, GET_MASTER.

use master_core::{Role, State};
use proto::v1::{
    self,
    master::{
        Response as Answer,
        call::Type,
        response::{self, GetAgents, GetExecutors, GetFrameworks, GetRoles, GetState, GetTasks},
    },
};
use resources::Resources;
use stdx::WallTime;

/// The answer to one of the reads. `started` is when this process was.
pub fn answer(state: &State, started: WallTime, call: Type) -> Answer {
    let kind = response::Type::from_str_name(call.as_str_name()).unwrap_or_default();
    let mut answer = Answer { r#type: Some(kind as i32), ..Default::default() };
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
    answer
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
        agents: state.agents.values().map(|agent| state.agent_to_proto(agent)).collect(),
        recovered_agents: state.recovered_agents.values().cloned().collect(),
    }
}

fn get_frameworks(state: &State) -> GetFrameworks {
    let completed = state.completed_frameworks.iter();
    GetFrameworks {
        frameworks: state.frameworks.values().map(|framework| state.framework_to_proto(framework)).collect(),
        completed_frameworks: completed.map(|framework| state.framework_to_proto(framework)).collect(),
        recovered_frameworks: Vec::new(),
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
    let role = |(name, role): (String, Role)| v1::Role {
        name,
        weight: role.weight,
        frameworks: role.frameworks.iter().map(model::FrameworkId::to_proto).collect(),
        resources: amounts(&role.allocated),
    };
    GetRoles { roles: state.roles().into_iter().map(role).collect() }
}

/// The scalars by name, with nothing but their amounts.
fn amounts(resources: &Resources) -> Vec<v1::Resource> {
    let quantities = resources.scalar_quantities();
    let amount = |(name, quantity): (&resources::Name, resources::Quantity)| v1::Resource {
        name: name.as_str().to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: quantity.as_f64() }),
        ..Default::default()
    };
    let mut amounts: Vec<_> = quantities.iter().map(amount).collect();
    amounts.sort_by(|a, b| a.name.cmp(&b.name));
    amounts
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
