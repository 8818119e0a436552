//! Starting tasks: RunTask and RunTaskGroup are judged here, then `executor` starts a new executor or `deliver` hands
//! the tasks to one that runs. `limits`, `environment` and `paths` say what a container gets, `spec` what it shall be.

mod deliver;
pub(crate) mod environment;
pub(crate) mod executor;
pub(crate) mod limits;
pub(crate) mod paths;
pub mod spec;

use crate::{
    agent::Agent,
    effect::Effects,
    recovery::{Record, record},
    state::{Framework, FrameworkPhase, is_partition_aware},
    updates::{Verdict, stream::Stream},
};
use model::{ExecutorId, FrameworkId, Refusal, TaskId, parse::ids};
use proto::{internal, v1};
use spec::ExecutorKind;
use std::{collections::BTreeSet, sync::Arc};

/// RunTask and RunTaskGroup, told alike.
pub(crate) struct Order {
    framework: v1::FrameworkInfo,
    pid: Option<String>,
    /// `None`: a command task, whose executor we make up.
    executor: Option<v1::ExecutorInfo>,
    tasks: Vec<v1::TaskInfo>,
    group: bool,
    /// Whether the master believes that the executor must be started; `None` from masters that do not say.
    launch_executor: Option<bool>,
    versions: Vec<internal::ResourceVersionUuid>,
}

impl Agent {
    pub(crate) fn on_run_task(&mut self, message: internal::RunTaskMessage, out: &mut Effects) {
        let order = Order {
            framework: message.framework,
            pid: message.pid.filter(|pid| !pid.is_empty()),
            executor: message.task.executor.as_deref().cloned(),
            tasks: vec![message.task],
            group: false,
            launch_executor: message.launch_executor,
            versions: message.resource_version_uuids,
        };
        self.run(order, out);
    }

    pub(crate) fn on_run_task_group(&mut self, message: internal::RunTaskGroupMessage, out: &mut Effects) {
        let order = Order {
            framework: message.framework,
            pid: None,
            executor: Some(message.executor),
            tasks: message.task_group.tasks,
            group: true,
            launch_executor: message.launch_executor,
            versions: message.resource_version_uuids,
        };
        self.run(order, out);
    }

    fn run(&mut self, order: Order, out: &mut Effects) {
        let Some(framework) = order.framework.id.as_ref().map(FrameworkId::from) else {
            tracing::warn!("ignoring tasks of a framework without an id");
            return;
        };
        let Some(first) = order.tasks.first() else { return };
        if self.state.agent_id.as_ref().is_some_and(|id| order.tasks.iter().any(|task| *id != task.agent_id)) {
            tracing::warn!(%framework, "ignoring tasks that are meant for another agent");
            return;
        }
        let executor = match &order.executor {
            Some(info) => ExecutorId::from(&info.executor_id),
            None => ExecutorId::from(first.task_id.value.as_str()),
        };
        if ids::id(framework.as_str()).is_err() {
            tracing::warn!(%framework, "ignoring tasks of a framework whose id cannot name a directory");
            return;
        }
        if self.state.frameworks.get(&framework).is_some_and(|row| row.phase == FrameworkPhase::Terminating) {
            tracing::warn!(%framework, "ignoring tasks of a framework that is being shut down");
            return;
        }
        if let Some(known) = order.tasks.iter().find(|task| self.is_known(&framework, &TaskId::from(&task.task_id))) {
            tracing::warn!(%framework, task = known.task_id.value, "ignoring a task that is known already");
            return;
        }
        match self.check_order(&framework, &executor, &order) {
            Err((refusal, why)) => self.drop_tasks(&framework, &executor, &order, refusal, why, out),
            Ok(()) => {
                self.ensure_framework(&framework, &order, out);
                self.place(&framework, &executor, &order.tasks);
                if self.state.find_executor(&framework, &executor).is_some() {
                    self.deliver_more(&framework, &executor, order.tasks, order.group, out);
                } else {
                    self.start_executor(framework, executor, order, out);
                }
            }
        }
    }

    /// Whether a task lives here, or its end is not yet acknowledged.
    pub(crate) fn is_known(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        stdx::bug!("known_task_taken_again", return false);
        self.streams.contains_key(&(framework.clone(), task.clone()))
    }

    /// Notes who has these tasks.
    fn place(&mut self, framework: &FrameworkId, executor: &ExecutorId, tasks: &[v1::TaskInfo]) {
        for task in tasks {
            let key = (framework.clone(), TaskId::from(&task.task_id));
            self.streams.insert(key, Stream::of(executor.clone()));
        }
    }

    /// Whether the tasks may start as things stand.
    fn check_order(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        order: &Order,
    ) -> Result<(), (Refusal, &'static str)> {
        let bad_id = order.tasks.iter().any(|task| ids::id(&task.task_id.value).is_err());
        if bad_id || ids::id(executor.as_str()).is_err() {
            return Err((Refusal::TaskInvalid, "The task's or executor's id cannot name a directory"));
        }
        let unique: BTreeSet<&str> = order.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
        if unique.len() < order.tasks.len() {
            return Err((Refusal::TaskInvalid, "Two tasks of the group have the same id"));
        }
        if self.state.drain.is_some() {
            return Err((Refusal::AgentDraining, "The agent is draining"));
        }
        let ours = order.versions.iter().find(|version| version.resource_provider_id.is_none());
        if ours.is_some_and(|version| version.uuid.value != self.link.resource_version.as_slice()) {
            return Err((
                Refusal::StaleResources,
                "The task assumes resources that have changed since they were offered",
            ));
        }
        let limits =
            |name: &str| order.tasks.iter().filter(|task| !is_docker(task)).any(|task| task.limits.contains_key(name));
        if limits("cpus") && !self.config.cpu_limits {
            let why = "CPU limits can only be set on tasks launched in Mesos containers when the agent has loaded the \
                       'cgroups/cpu' isolator";
            return Err((Refusal::LimitsUnsupported, why));
        }
        if limits("mem") && !self.config.mem_limits {
            let why = "Memory limits can only be set on tasks launched in Mesos containers when the agent has loaded the \
                       'cgroups/mem' isolator";
            return Err((Refusal::LimitsUnsupported, why));
        }
        match (self.state.find_executor(framework, executor), order.launch_executor) {
            (None, Some(false)) => {
                Err((Refusal::ExecutorTerminating, "No executor is expected to launch and there is none running"))
            }
            (None, _) => Ok(()),
            (Some(_), _) if order.executor.is_none() => {
                Err((Refusal::ExecutorReused, "The executor of a former task of this id still lives"))
            }
            (Some(_), Some(true)) => {
                Err((Refusal::ExecutorTerminating, "An executor of this id exists, and the master expects none"))
            }
            (Some(row), _) if row.is_ending() => Err((Refusal::ExecutorTerminating, "The executor is terminating")),
            (Some(_), _) => Ok(()),
        }
    }

    /// Says of each task that it never started.
    fn drop_tasks(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        order: &Order,
        refusal: Refusal,
        why: &str,
        out: &mut Effects,
    ) {
        tracing::warn!(%framework, %executor, "dropping {} task(s): {why}", order.tasks.len());
        let aware = is_partition_aware(&order.framework);
        for task in &order.tasks {
            let task = TaskId::from(&task.task_id);
            if !self.is_known(framework, &task) {
                self.tell(framework, Some(executor.clone()), &task, Verdict::refused(refusal, aware, why), out);
            }
        }
        // The master has charged an executor that will not be.
        let absent = self.state.find_executor(framework, executor).is_none_or(|row| row.is_ending());
        if order.launch_executor == Some(true) && order.executor.is_some() && absent {
            let message = internal::ExitedExecutorMessage {
                agent_id: self.agent_id(),
                framework_id: framework.to_proto(),
                executor_id: executor.to_proto(),
                status: -1,
            };
            self.to_master(message, out);
        }
    }

    /// Makes sure that the framework has a row, and the journal knows it.
    fn ensure_framework(&mut self, id: &FrameworkId, order: &Order, out: &mut Effects) {
        if self.state.frameworks.contains_key(id) {
            return;
        }
        let completed = Arc::make_mut(&mut self.state.completed_frameworks);
        let returning = completed.iter().position(|row| row.id == *id).and_then(|position| completed.remove(position));
        let mut row = match returning {
            Some(row) => row,
            None => Arc::new(Framework::new(id.clone(), Arc::new(order.framework.clone()), order.pid.clone())),
        };
        let known = &mut *Arc::make_mut(&mut row);
        // The journal has it as shut down.
        let was_shut_down = std::mem::replace(&mut known.phase, FrameworkPhase::Active) == FrameworkPhase::Terminating;
        if was_shut_down || *known.info != order.framework || known.pid != order.pid {
            known.info = Arc::new(order.framework.clone());
            known.pid = order.pid.clone();
            known.recorded = false;
        }
        if known.checkpoints() && !known.recorded {
            known.recorded = true;
            let record = record::FrameworkRecord { info: order.framework.clone(), pid: order.pid.clone() };
            self.record(Record::Framework(record), out);
        }
        Arc::make_mut(&mut self.state.frameworks).insert(id.clone(), row);
    }

    pub(crate) fn on_update_framework(&mut self, message: internal::UpdateFrameworkMessage, out: &mut Effects) {
        let id = FrameworkId::from(&message.framework_id);
        let Some(row) = self.state.framework_mut(&id).filter(|row| row.phase == FrameworkPhase::Active) else { return };
        row.pid = message.pid.filter(|pid| !pid.is_empty());
        if let Some(mut info) = message.framework_info {
            // Fixed for life: what is on disk depends on it.
            info.checkpoint = row.info.checkpoint;
            info.id = Some(id.to_proto());
            row.info = Arc::new(info);
        }
        if row.checkpoints() {
            let record = record::FrameworkRecord { info: (*row.info).clone(), pid: row.pid.clone() };
            self.record(Record::Framework(record), out);
        }
        // It may have just come back: what nobody could hear before need not wait for its next turn.
        self.updates().resend_of(&id, out);
    }
}

/// What kind of executor this is to us.
fn kind_of(info: &v1::ExecutorInfo) -> ExecutorKind {
    match info.r#type() {
        v1::executor_info::Type::Default => ExecutorKind::Pod,
        _ => ExecutorKind::Custom,
    }
}

fn is_docker(task: &v1::TaskInfo) -> bool {
    task.container.as_ref().is_some_and(|container| container.r#type() == v1::container_info::Type::Docker)
}
