//! LAUNCH: each task stands and falls alone.

use std::sync::Arc;

use model::{AgentId, ExecutorId, FrameworkId, Refusal, TaskId};
use proto::{
    internal::{ResourceVersionUuid, RunTaskMessage},
    v1::{self, TaskInfo, offer::operation::Type},
};
use resources::Resources;

use super::Basket;
use crate::{
    Step, publish,
    state::{Agent, Executor, Task},
    tasks::Tasks,
    validate, weight,
};

impl Tasks<'_> {
    pub(super) fn launch_task(&mut self, id: &FrameworkId, task: TaskInfo, basket: &mut Basket, step: &mut Step<'_>) {
        let (Some(framework), Some(agent)) = (self.frameworks.get(id), self.agents.get(&basket.agent)) else {
            return;
        };
        let checked = weight::check_task(self.config, &task)
            .and_then(|()| validate::task::check(&task, framework, agent, &basket.available()));
        let checked = match checked {
            Ok(checked) => checked,
            Err(why) => {
                self.refuse_task(id, &task, Refusal::TaskInvalid, &why, step);
                return;
            }
        };
        let mut message = RunTaskMessage {
            framework: v1::FrameworkInfo::clone(&framework.info),
            resource_version_uuids: resource_versions(agent),
            pid: framework.pid.as_ref().map(ToString::to_string),
            launch_executor: Some(checked.new_executor.is_some() || task.executor.is_none()),
            ..Default::default()
        };
        let (pid, refines) = (agent.pid.clone(), agent.capabilities.reservation_refinement);
        if let (Some(resources), Some(info)) = (checked.new_executor, &task.executor) {
            basket.take(&resources);
            self.add_executor(id, &basket.agent, (**info).clone(), resources);
        }
        basket.take(&checked.resources);
        self.add_task(id, &task, &basket.agent, checked.resources, step);
        self.count_operation(id, Type::Launch);
        message.task = task;
        if !refines {
            downgrade(&mut message.task);
        }
        step.send(&pid, message);
    }

    pub(super) fn add_executor(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        info: v1::ExecutorInfo,
        resources: Resources,
    ) {
        let executor = ExecutorId::from(&info.executor_id);
        if let Some(row) = self.frameworks.get_mut(framework) {
            row.executors.insert((agent.clone(), executor.clone()));
        }
        if let Some(row) = self.agents.get_mut(agent) {
            row.executors.insert((framework.clone(), executor), Arc::new(Executor { info, resources }));
        }
    }

    pub(super) fn add_task(
        &mut self,
        framework: &FrameworkId,
        info: &TaskInfo,
        agent: &AgentId,
        resources: Resources,
        step: &mut Step<'_>,
    ) {
        let id = TaskId::from(&info.task_id);
        let task = Task {
            id: id.clone(),
            framework: framework.clone(),
            agent: agent.clone(),
            executor: info.executor.as_ref().map(|executor| ExecutorId::from(&executor.executor_id)),
            resources,
            proto: task_proto(framework, info),
        };
        publish::task_added(self.config, &task, step);
        if let Some(row) = self.frameworks.get_mut(framework) {
            row.tasks.insert(id.clone(), task);
        }
        if let Some(row) = self.agents.get_mut(agent) {
            row.tasks.insert((framework.clone(), id));
        }
    }

    pub(super) fn count_operation(&mut self, id: &FrameworkId, kind: Type) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            *framework.counters.operations.entry(kind.into()).or_default() += 1;
        }
    }
}

fn task_proto(framework: &FrameworkId, info: &TaskInfo) -> v1::Task {
    let executor = info.executor.as_ref();
    let command = info.command.as_ref().or(executor.and_then(|executor| executor.command.as_ref()));
    model::task::staging(info, framework, executor.map(|executor| executor.executor_id.clone()), command)
}

pub(super) fn resource_versions(agent: &Agent) -> Vec<ResourceVersionUuid> {
    let uuid = agent.resource_version.clone();
    uuid.map(|uuid| ResourceVersionUuid { resource_provider_id: None, uuid }).into_iter().collect()
}

/// Writes the task's resources in the form of agents that know one reservation only. Such an agent's resources have no
/// more, so that nothing is left out.
pub(super) fn downgrade(task: &mut TaskInfo) {
    let of_executor = task.executor.iter_mut().flat_map(|executor| &mut executor.resources);
    for resource in task.resources.iter_mut().chain(of_executor) {
        if resources::format::downgrade(resource).is_err() {
            tracing::warn!(task = %task.task_id.value, "a refined reservation for an agent that knows none");
        }
    }
}
