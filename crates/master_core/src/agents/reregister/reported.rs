//! What a returning agent brings along: tasks, executors, frameworks, and its memory of ended tasks.

use std::sync::Arc;

use model::{AgentId, ExecutorId, FrameworkId, TaskId, status::Build};
use proto::{
    internal,
    upid::Upid,
    v1::{self, task_status::Reason},
};
use resources::Resources;

use crate::{
    Master, Step, publish,
    state::{Agent, Executor, Framework, Task},
    tasks::Tasks,
};

/// What became of a reported task.
pub(super) enum Reported {
    TakenIn,
    /// Its framework is gone.
    Homeless,
    /// Its framework has a task of this name elsewhere.
    Double(FrameworkId, TaskId),
}

fn tell_killed(agent: &Agent, framework: &FrameworkId, task: &TaskId, step: &mut Step<'_>) {
    stdx::bug!("doubles_live_on", return);
    let (framework_id, task_id) = (framework.to_proto(), task.to_proto());
    step.tell(agent, internal::KillTaskMessage { framework_id, task_id, kill_policy: None });
}

impl Master {
    /// The agent learns of each framework it reported: how it is now, or that it is over.
    pub(super) fn tell_frameworks(&self, to: &Upid, reported: &[v1::FrameworkInfo], step: &mut Step<'_>) {
        for info in reported {
            let Some(id) = &info.id else { continue };
            if let Some(row) = self.state.frameworks.get(id.value.as_str()) {
                let info = v1::FrameworkInfo::clone(&row.info);
                let message = internal::UpdateFrameworkMessage {
                    framework_id: id.clone(),
                    pid: row.pid.as_ref().map(ToString::to_string),
                    framework_info: Some(info),
                };
                step.send(to, message);
            } else {
                step.send(to, internal::ShutdownFrameworkMessage { framework_id: id.clone() });
            }
        }
    }
}

impl Tasks<'_> {
    /// A name stands for one task: of two that a framework gave it while the master could not know of the first, the
    /// one that is reported last ends. Nobody would count what it uses.
    pub(super) fn end_double(&mut self, on: &AgentId, framework: &FrameworkId, task: &TaskId, step: &mut Step<'_>) {
        let Some(agent) = self.agents.get_mut(on) else { return };
        // If it was to end before, it has just been told again.
        if agent.killed.insert((framework.clone(), task.clone())) {
            tell_killed(agent, framework, task, step);
        }
    }

    pub(super) fn tell_reregistered(&mut self, framework: &FrameworkId, task: &TaskId, why: &str, step: &mut Step<'_>) {
        let Some(task) = self.frameworks.get(framework).and_then(|row| row.tasks.get(task)) else { return };
        let status = model::status::reconciled(&task.proto, task.state(), why, step.wall);
        let status = status.with_reason(Reason::AgentReregistered);
        self.forward(framework, status, step);
    }

    /// The ended tasks that the agent still remembers, of frameworks that are known.
    pub(super) fn add_completed(&mut self, archives: Vec<internal::archive::Framework>) {
        let cap = self.config.max_completed_tasks_per_framework;
        for archive in archives {
            let Some(id) = archive.framework_info.id.as_ref().map(FrameworkId::from) else { continue };
            let Some(row) = self.frameworks.get_mut(&id) else { continue };
            for task in archive.tasks {
                let task_id = TaskId::from(&task.task_id);
                if row.tasks.contains(&task_id) || row.completed_tasks.iter().any(|done| done.id == task_id) {
                    continue;
                }
                let resources = Resources::from_protos(&task.resources).unwrap_or_default();
                let done = Task {
                    id: task_id,
                    framework: id.clone(),
                    agent: AgentId::from(&task.agent_id),
                    executor: task.executor_id.as_ref().map(ExecutorId::from),
                    resources,
                    proto: task,
                };
                row.remember(done.into(), cap);
            }
        }
    }

    /// Takes in a task the agent reports, if its framework is there and has no task of this name elsewhere.
    pub(super) fn add_reported_task(&mut self, agent: &mut Agent, task: v1::Task, step: &mut Step<'_>) -> Reported {
        let id = TaskId::from(&task.task_id);
        let Some(row) = self.frameworks.get_mut(task.framework_id.value.as_str()) else {
            return Reported::Homeless;
        };
        let framework = row.id.clone();
        if row.tasks.contains(&id) {
            tracing::warn!(%framework, task = %id, agent = %agent.id, "reported, but runs elsewhere too");
            return Reported::Double(framework, id);
        }
        row.unreachable_tasks.take(&id);
        row.completed_tasks.remove(|done| done.id == id);
        let role = only_role(row);
        let task = Task {
            resources: allocated(&task.resources, role.as_deref()),
            id: id.clone(),
            framework: framework.clone(),
            agent: agent.id.clone(),
            executor: task.executor_id.as_ref().map(ExecutorId::from),
            proto: task,
        };
        publish::task_added(self.config, &task, step);
        row.tasks.insert(id.clone(), task);
        agent.tasks.insert((framework, id));
        Reported::TakenIn
    }

    /// Takes in an executor the agent reports, unless it is known or its framework is not.
    pub(super) fn add_reported_executor(&mut self, agent: &mut Agent, info: v1::ExecutorInfo) {
        let Some(framework) = info.framework_id.as_ref().map(FrameworkId::from) else { return };
        let executor = ExecutorId::from(&info.executor_id);
        let key = (framework, executor);
        if agent.executors.contains_key(&key) {
            return;
        }
        let Some(row) = self.frameworks.get_mut(&key.0) else { return };
        let role = only_role(row);
        let resources = allocated(&info.resources, role.as_deref());
        row.executors.insert((agent.id.clone(), key.1.clone()));
        agent.executors.insert(key, Arc::new(Executor { info, resources }));
    }
}

/// The role that resources of a framework with one role are allocated to when an old agent does not say.
fn only_role(framework: &Framework) -> Option<String> {
    framework.roles.first().filter(|_| framework.roles.len() == 1).cloned()
}

fn allocated(protos: &[v1::Resource], role: Option<&str>) -> Resources {
    let resources = Resources::from_protos(protos).unwrap_or_default();
    match role {
        Some(role) if protos.iter().any(|r| r.allocation_info.is_none()) => resources.allocate(role),
        _ => resources,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_agents_resources_get_the_only_role() {
        let cpus = Resources::from_protos(&[v1::Resource {
            name: "cpus".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            ..Default::default()
        }])
        .expect("valid");
        assert_eq!(allocated(&cpus.to_protos(), Some("a")), cpus.allocate("a"));
        assert_eq!(allocated(&cpus.allocate("b").to_protos(), Some("a")), cpus.allocate("b"));
        assert_eq!(allocated(&cpus.to_protos(), None), cpus);
    }
}
