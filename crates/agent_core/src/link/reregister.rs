//! Telling a master what we run, and hearing what it misses.

use crate::{
    agent::Agent,
    effect::Effects,
    state::{Executor, ExecutorPhase, FrameworkPhase, Phase, is_partition_aware},
    updates::Verdict,
};
use model::{AgentId, FrameworkId, Refusal, TaskId};
use proto::{internal, v1};

/// An executor as its framework described it, which is what masters compare: they refuse the command that readers of
/// this agent see of an executor that runs pods.
fn as_launched(info: &v1::ExecutorInfo) -> v1::ExecutorInfo {
    let mut info = info.clone();
    if info.r#type() == v1::executor_info::Type::Default {
        info.command = None;
    }
    info
}

/// Names an executor and its tasks to the master.
fn report(executor: &Executor, message: &mut internal::ReregisterSlaveMessage) {
    stdx::bug!("tasks_not_reported", return);
    if executor.is_known_to_master() && executor.phase != ExecutorPhase::Terminated {
        message.executor_infos.push(as_launched(&executor.info));
    }
    message.tasks.extend(executor.tasks.values().map(|task| task.row.clone()));
}

impl Agent {
    pub(crate) fn reregistration(&self) -> internal::ReregisterSlaveMessage {
        let mut message = internal::ReregisterSlaveMessage {
            agent: (*self.state.info).clone(),
            checkpointed_resources: self.state.checkpointed.to_protos(),
            version: Some(self.config.version.clone()),
            agent_capabilities: self.capabilities(),
            resource_version_uuid: Some(self.resource_version()),
            ..Default::default()
        };
        for framework in self.state.frameworks.values() {
            message.frameworks.push((*framework.info).clone());
            for executor in framework.executors.values() {
                report(executor, &mut message);
            }
        }
        for framework in self.state.completed_frameworks.iter() {
            let tasks = framework.completed_executors.iter().flat_map(|executor| executor.completed_tasks.iter());
            message.completed_frameworks.push(internal::archive::Framework {
                framework_info: (*framework.info).clone(),
                pid: framework.pid.clone(),
                tasks: tasks.map(|row| (**row).clone()).collect(),
            });
        }
        message
    }

    pub(crate) fn on_reregistered(&mut self, message: internal::SlaveReregisteredMessage, out: &mut Effects) {
        let id = AgentId::from(&message.agent_id);
        if self.state.phase == Phase::Recovering {
            return;
        }
        if self.state.agent_id.as_ref() != Some(&id) {
            let known = self.state.agent_id.as_ref().map_or("nobody", AgentId::as_str);
            let why = format!("the master calls us {id}, and we are {known}");
            return self.exit(1, why, out);
        }
        tracing::info!(%id, "reregistered");
        self.on_accepted(message.connection, out);
        for reconciliation in message.reconciliations {
            self.reconcile_tasks(reconciliation, out);
        }
    }

    /// Says of each task the master believes here, and that is not, that it never was.
    fn reconcile_tasks(&mut self, message: internal::ReconcileTasksMessage, out: &mut Effects) {
        stdx::bug!("silent_about_the_unknown", return);
        let framework = FrameworkId::from(&message.framework_id);
        let aware = match (self.state.frameworks.get(&framework), &message.framework) {
            (Some(row), _) => row.is_partition_aware(),
            (None, Some(info)) => is_partition_aware(info),
            (None, None) => false,
        };
        if self.state.frameworks.get(&framework).is_some_and(|row| row.phase == FrameworkPhase::Terminating) {
            return;
        }
        for status in message.statuses {
            let task = TaskId::from(&status.task_id);
            if self.is_known(&framework, &task) {
                continue;
            }
            let verdict = Verdict::refused(Refusal::NeverArrived, aware, "Reconciliation: task unknown to the agent");
            let executor = status.executor_id.as_ref().map(|id: &v1::ExecutorId| id.into());
            self.tell(&framework, executor, &task, verdict, out);
        }
    }
}
