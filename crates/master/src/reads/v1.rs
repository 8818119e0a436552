//! The reads of the v1 operator API, in Mesos's shapes: GET_STATE and its parts, GET_ROLES, GET_MASTER, quotas,
//! maintenance.

use allocator::InverseAnswer;
use master_core::{Role, State};
use model::FrameworkId;
use proto::v1::{
    self,
    allocator::{InverseOfferStatus, inverse_offer_status},
    machine_info::Mode,
    maintenance::{ClusterStatus, Schedule, cluster_status::DrainingMachine},
    master::{
        Response as Answer,
        call::Type,
        response::{self, GetAgents, GetExecutors, GetFrameworks, GetRoles, GetState, GetTasks},
    },
    quota::{QuotaInfo, QuotaStatus},
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
        Type::GetOperations => {
            let operations = state.operations.values().map(|row| row.proto.clone()).collect();
            answer.get_operations = Some(response::GetOperations { operations });
        }
        Type::GetQuota => answer.get_quota = Some(response::GetQuota { status: quota_status(state) }),
        Type::GetMaintenanceSchedule => {
            answer.get_maintenance_schedule = Some(response::GetMaintenanceSchedule { schedule: schedule(state) });
        }
        Type::GetMaintenanceStatus => {
            answer.get_maintenance_status = Some(response::GetMaintenanceStatus { status: maintenance_status(state) });
        }
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

/// Every quota in the new form, and in the old one, which knows guarantees only.
pub fn quota_status(state: &State) -> QuotaStatus {
    let mut status = QuotaStatus::default();
    for config in state.registry.quotas.values() {
        let scalar = |(name, scalar): (&String, &v1::value::Scalar)| v1::Resource {
            name: name.clone(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(*scalar),
            ..Default::default()
        };
        let guarantee = config.guarantees.iter().map(scalar).collect();
        status.infos.push(QuotaInfo { role: Some(config.role.clone()), principal: None, guarantee });
        status.configs.push(config.clone());
    }
    status
}

/// All windows as one schedule.
pub fn schedule(state: &State) -> Schedule {
    Schedule { windows: state.registry.schedules.iter().flat_map(|schedule| schedule.windows.clone()).collect() }
}

/// Which machines drain, with what frameworks say to it, and which are down.
pub fn maintenance_status(state: &State) -> ClusterStatus {
    let mut status = ClusterStatus::default();
    for (key, machine) in &state.registry.machines {
        match machine.mode() {
            Mode::Up => {}
            Mode::Down => status.down_machines.push(machine.id.clone()),
            Mode::Draining => {
                let statuses = state.agents_on(key).flat_map(|agent| &agent.inverse_answers).map(inverse_status);
                let statuses = statuses.collect();
                status.draining_machines.push(DrainingMachine { id: machine.id.clone(), statuses });
            }
        }
    }
    status
}

fn inverse_status((framework, (answer, since)): (&FrameworkId, &(InverseAnswer, WallTime))) -> InverseOfferStatus {
    let status = match answer {
        InverseAnswer::Accept => inverse_offer_status::Status::Accept,
        InverseAnswer::Decline => inverse_offer_status::Status::Decline,
    };
    InverseOfferStatus {
        status: status.into(),
        framework_id: framework.to_proto(),
        timestamp: v1::TimeInfo { nanoseconds: since.0 },
    }
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
