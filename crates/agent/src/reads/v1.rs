//! The reads of the v1 operator API, in Mesos's shapes: GET_STATE and its parts, GET_AGENT, GET_CONTAINERS.

use std::sync::Arc;

use crate::reads::{Seen, Usages};
use agent_core::{ContainerId, ContainerLife, Executor, ExecutorPhase, State, TaskPhase};
use containers::{Enforcement, Gap, Usage};
use model::{ExecutorId, FrameworkId};
use proto::{
    meseta::v1 as meseta,
    v1::{
        self, AgentInfo, ResourceStatistics,
        agent::{
            Call, Response as Answer,
            call::Type,
            response::{self, GetContainers, GetExecutors, GetFrameworks, GetState, GetTasks},
        },
    },
};

/// The answer to one of the reads, all but GET_CONTAINERS.
pub fn answer(state: &State, call: Type, isolation: &[Enforcement]) -> Answer {
    let mut answer = answer_of(call);
    match call {
        Type::GetState => {
            answer.get_state = Some(GetState {
                get_tasks: Some(get_tasks(state)),
                get_executors: Some(get_executors(state)),
                get_frameworks: Some(get_frameworks(state)),
            });
        }
        Type::GetFrameworks => answer.get_frameworks = Some(get_frameworks(state)),
        Type::GetTasks => answer.get_tasks = Some(get_tasks(state)),
        Type::GetExecutors => answer.get_executors = Some(get_executors(state)),
        Type::GetOperations => answer.get_operations = Some(response::GetOperations::default()),
        Type::GetResourceProviders => {
            answer.get_resource_providers = Some(response::GetResourceProviders::default());
        }
        _ => answer.get_agent = Some(get_agent(state, isolation)),
    }
    answer
}

fn answer_of(call: Type) -> Answer {
    let kind = response::Type::from_str_name(call.as_str_name()).unwrap_or_default();
    Answer { r#type: Some(kind as i32), ..Default::default() }
}

/// Which containers GET_CONTAINERS shows beside those of executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    nested: bool,
    standalone: bool,
}

impl Shown {
    pub fn new(call: &Call) -> Shown {
        let options = call.get_containers.unwrap_or_default();
        Shown { nested: options.show_nested(), standalone: options.show_standalone() }
    }
}

/// The answer to GET_CONTAINERS.
pub fn containers(state: &State, shown: Shown, usage: &Usages) -> Answer {
    Answer { get_containers: get_containers(state, shown, usage), ..answer_of(Type::GetContainers) }
}

/// Every executor that is remembered: those at work, then those that ended, of active and completed frameworks.
fn all_executors(state: &State) -> impl Iterator<Item = &Arc<Executor>> {
    let frameworks = state.frameworks.values().chain(state.completed_frameworks.iter());
    frameworks.flat_map(|framework| framework.executors.values().chain(framework.completed_executors.iter()))
}

fn get_tasks(state: &State) -> GetTasks {
    let mut tasks = GetTasks::default();
    for executor in all_executors(state) {
        for task in executor.tasks.values() {
            let list = match task.phase {
                TaskPhase::Queued => &mut tasks.queued_tasks,
                TaskPhase::Launched => &mut tasks.launched_tasks,
                TaskPhase::Ended => &mut tasks.terminated_tasks,
            };
            list.push(task.row.clone());
        }
        tasks.completed_tasks.extend(executor.completed_tasks.iter().map(|task| v1::Task::clone(task)));
    }
    tasks
}

fn get_executors(state: &State) -> GetExecutors {
    let row = |executor: &Arc<Executor>| response::get_executors::Executor {
        executor_info: v1::ExecutorInfo::clone(&executor.info),
    };
    let ended = state.frameworks.values().flat_map(|framework| framework.completed_executors.iter());
    let of_ended_frameworks = state
        .completed_frameworks
        .iter()
        .flat_map(|framework| framework.executors.values().chain(framework.completed_executors.iter()));
    GetExecutors {
        executors: state.executors().map(row).collect(),
        completed_executors: ended.chain(of_ended_frameworks).map(row).collect(),
    }
}

fn get_frameworks(state: &State) -> GetFrameworks {
    let row = |framework: &Arc<agent_core::Framework>| response::get_frameworks::Framework {
        framework_info: v1::FrameworkInfo::clone(&framework.info),
    };
    GetFrameworks {
        frameworks: state.frameworks.values().map(row).collect(),
        completed_frameworks: state.completed_frameworks.iter().map(row).collect(),
    }
}

fn get_agent(state: &State, isolation: &[Enforcement]) -> response::GetAgent {
    response::GetAgent {
        agent_info: Some(AgentInfo::clone(&state.info)),
        drain_config: state.drain.as_ref().map(|drain| drain.config),
        estimated_drain_start_time: state.drain.as_ref().map(|drain| v1::TimeInfo { nanoseconds: drain.since.0 }),
        isolation: isolation.iter().map(enforcement).collect(),
    }
}

fn enforcement(one: &Enforcement) -> meseta::Enforcement {
    meseta::Enforcement { isolator: one.name.to_owned(), not_enforced: one.enforced.as_ref().err().cloned() }
}

fn gap(gap: &Gap) -> meseta::IsolationGap {
    meseta::IsolationGap { isolator: gap.isolator.clone(), asked: gap.asked.clone(), why: gap.why.clone() }
}

/// None at all when nothing runs.
fn get_containers(state: &State, shown: Shown, usage: &Usages) -> Option<GetContainers> {
    // Readers expect statistics of every container: one that has none yet, or no more, is not shown.
    let live = state.executors().filter(|executor| executor.phase != ExecutorPhase::Terminated);
    let of_executors = live.filter_map(|executor| {
        let Seen { usage, gaps } = usage.get(&executor.container)?;
        Some(response::get_containers::Container {
            framework_id: Some(executor.framework.to_proto()),
            executor_id: Some(executor.id.to_proto()),
            executor_name: Some(executor.info.name.clone().unwrap_or_default()),
            container_id: executor.container.to_proto(),
            container_status: Some(status(&executor.container, executor.pid)),
            resource_statistics: Some(statistics(usage)),
            isolation_not_enforced: gaps.iter().map(gap).collect(),
        })
    });
    let live = state.containers.values().filter(|container| !matches!(container.life, ContainerLife::Ended(_)));
    let others = live.filter(|container| if container.id.is_nested() { shown.nested } else { shown.standalone });
    let others = others.filter_map(|container| {
        let owner = owner(state, &container.id);
        let Seen { usage, gaps } = usage.get(&container.id)?;
        Some(response::get_containers::Container {
            framework_id: owner.map(|(framework, _)| framework.to_proto()),
            executor_id: owner.map(|(_, executor)| executor.to_proto()),
            executor_name: None,
            container_id: container.id.to_proto(),
            container_status: Some(status(&container.id, container.pid)),
            resource_statistics: Some(statistics(usage)),
            isolation_not_enforced: gaps.iter().map(gap).collect(),
        })
    });
    let containers: Vec<_> = of_executors.chain(others).collect();
    (!containers.is_empty()).then_some(GetContainers { containers })
}

/// The executor in whose container a nested one is.
fn owner<'a>(state: &'a State, container: &ContainerId) -> Option<(&'a FrameworkId, &'a ExecutorId)> {
    let root = container.root();
    let executor = state.executors().find(|executor| executor.container == root)?;
    Some((&executor.framework, &executor.id))
}

fn status(container: &ContainerId, pid: Option<u32>) -> v1::ContainerStatus {
    v1::ContainerStatus { container_id: Some(container.to_proto()), executor_pid: pid, ..Default::default() }
}

fn statistics(usage: &Usage) -> ResourceStatistics {
    ResourceStatistics {
        timestamp: usage.timestamp,
        processes: usage.processes,
        threads: usage.threads,
        cpus_user_time_secs: usage.cpus_user_time_secs,
        cpus_system_time_secs: usage.cpus_system_time_secs,
        cpus_limit: usage.cpus_limit,
        cpus_soft_limit: usage.cpus_soft_limit,
        cpus_nr_periods: usage.cpus_nr_periods,
        cpus_nr_throttled: usage.cpus_nr_throttled,
        cpus_throttled_time_secs: usage.cpus_throttled_time_secs,
        disk_limit_bytes: usage.disk_limit_bytes,
        disk_used_bytes: usage.disk_used_bytes,
        mem_total_bytes: usage.mem_total_bytes,
        mem_limit_bytes: usage.mem_limit_bytes,
        mem_soft_limit_bytes: usage.mem_soft_limit_bytes,
        mem_rss_bytes: usage.mem_rss_bytes,
        mem_anon_bytes: usage.mem_anon_bytes,
        mem_file_bytes: usage.mem_file_bytes,
        mem_cache_bytes: usage.mem_cache_bytes,
        mem_mapped_file_bytes: usage.mem_mapped_file_bytes,
        mem_swap_bytes: usage.mem_swap_bytes,
        mem_unevictable_bytes: usage.mem_unevictable_bytes,
        ..Default::default()
    }
}
