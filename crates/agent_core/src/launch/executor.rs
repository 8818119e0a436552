//! Starting an executor: its row and record, then (once that is durable) its container, then the wait for it to
//! subscribe. How it ends: `../end`.

use super::{
    Order, environment, kind_of, limits, paths,
    spec::{Class, ExecutorKind, LaunchSpec, Output, Program, VolumeLink},
};
use crate::{
    agent::Agent,
    config::{COMMAND_EXECUTOR_CPUS, COMMAND_EXECUTOR_MEM_MB},
    container_id::ContainerId,
    effect::{Effect, Effects},
    event::{LaunchFailure, Launched, Termination},
    operations::volumes::links_of,
    pending::Pending,
    recovery::{Record, record},
    state::{Executor, ExecutorPhase, Progress, Stage},
    timers::Timer,
};
use model::{ExecutorId, FrameworkId, Refusal};
use proto::v1::{self, TaskState, task_status::Reason};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Whether a container starts only when its executor's record is durable.
fn awaits_record(checkpoints: bool) -> bool {
    stdx::bug!("started_before_recorded", return false);
    checkpoints
}

impl Agent {
    pub(crate) fn start_executor(&mut self, framework: FrameworkId, id: ExecutorId, order: Order, out: &mut Effects) {
        let (Some(agent), Some(row)) = (self.state.agent_id.clone(), self.state.frameworks.get(&framework)) else {
            return;
        };
        let checkpoints = row.checkpoints();
        let framework_user = row.info.user.clone();
        let (mut info, kind) = match order.executor {
            Some(info) => {
                let kind = kind_of(&info);
                (info, kind)
            }
            None => (command_executor(&order.tasks), ExecutorKind::Command),
        };
        info.framework_id = Some(framework.to_proto());
        let command_user = info.command.as_ref().and_then(|command| command.user.clone());
        let user =
            self.config.switch_user.then(|| command_user.unwrap_or(framework_user)).filter(|user| !user.is_empty());
        if kind == ExecutorKind::Pod && info.command.is_none() {
            info.command = Some(pod_executor(user.as_deref()));
        }
        let container = ContainerId::root_of(&self.rng.uuid_text());
        let runs = paths::runs(&self.config.work_dir, &agent, &framework, &id);
        let mut executor = Executor {
            id: id.clone(),
            framework: framework.clone(),
            info: Arc::new(info),
            kind,
            sandbox: format!("{runs}/{container}").into(),
            container: container.clone(),
            user,
            phase: ExecutorPhase::Registering,
            pid: None,
            tasks: BTreeMap::new(),
            completed_tasks: VecDeque::new(),
            stage: Stage::Checkpointing,
            connection: None,
            address: None,
            limits: None,
            timer: None,
            used: false,
            deliveries: Vec::new(),
            pending_termination: None,
        };
        if checkpoints {
            let record = Record::Executor(record::ExecutorRecord {
                framework: framework.as_str().to_owned(),
                info: (*executor.info).clone(),
                kind: record::kind_number(kind),
                container: container.as_str().to_owned(),
                user: executor.user.clone(),
                sandbox: executor.sandbox.as_ref().to_owned(),
                deliveries: vec![record::DeliveryRecord { tasks: order.tasks.clone(), group: order.group }],
            });
            self.tickets.record_then(record, Pending::LaunchExecutor { container: container.clone() }, out);
        }
        // The container starts after the record is durable, so its first tasks need no ticket of their own.
        executor.queue(order.tasks, order.group, Progress::Ready);
        self.roots.insert(container.clone(), (framework.clone(), id.clone()));
        if let Some(row) = self.state.framework_mut(&framework) {
            row.executors.insert(id, Arc::new(executor));
        }
        if !awaits_record(checkpoints) {
            self.launch_executor(&container, out);
        }
    }

    /// The record of an executor is durable (or shall not be).
    pub(crate) fn launch_executor(&mut self, container: &ContainerId, out: &mut Effects) {
        let Some((framework, id)) = self.roots.get(container).cloned() else { return };
        let Some(row) = self.state.find_executor(&framework, &id) else { return };
        if row.stage != Stage::Checkpointing {
            return;
        }
        if row.phase == ExecutorPhase::Terminating {
            self.executor_gone(&framework, &id, Termination::default(), out);
            return;
        }
        let checkpoints = self.state.frameworks.get(&framework).is_some_and(|row| row.checkpoints());
        let spec = match self.executor_spec(row, checkpoints) {
            Ok(spec) => spec,
            Err(message) => {
                if let Some(row) = self.state.executor_mut(&framework, &id) {
                    row.stage = Stage::Launching;
                }
                let failure = LaunchFailure { reason: None, message, not_supported: false };
                return self.on_launched(container, Err(failure), out);
            }
        };
        let waits = row.phase == ExecutorPhase::Registering;
        let key = waits.then(|| {
            let timer = Timer::ExecutorRegistration { container: container.clone() };
            self.timers.set(self.now, self.config.executor_registration_timeout, timer)
        });
        if let Some(row) = self.state.executor_mut(&framework, &id) {
            row.stage = Stage::Launching;
            row.timer = key;
            row.limits = Some(spec.limits);
        }
        out.push(Effect::Launch { spec: Box::new(spec) });
    }

    fn executor_spec(&self, executor: &Executor, checkpoints: bool) -> Result<LaunchSpec, String> {
        let command = executor.info.command.as_ref();
        let sandbox = executor.sandbox.as_ref();
        let program = match executor.kind {
            ExecutorKind::Command | ExecutorKind::Pod => Program::Executor(executor.kind),
            ExecutorKind::Custom => program_of(command),
        };
        Ok(LaunchSpec {
            container: executor.container.clone(),
            class: Class::Executor,
            program,
            environment: environment::of_executor(&self.config, &self.agent_id(), executor, checkpoints)?,
            user: executor.user.clone(),
            sandbox: sandbox.to_owned(),
            latest_link: sandbox.rsplit_once('/').map(|(runs, _)| format!("{runs}/latest")),
            uris: command.map(|command| command.uris.clone()).unwrap_or_default(),
            volumes: self.volumes_for(executor),
            limits: limits::of_executor(executor),
            share_cgroups: false,
            container_info: executor.info.container.clone(),
            output: Output::Sandbox,
        })
    }

    /// The volumes of an executor and of the tasks it begins with.
    fn volumes_for(&self, executor: &Executor) -> Vec<VolumeLink> {
        let mut links = links_of(&self.config.work_dir, &executor.info.resources);
        for task in executor.tasks.values() {
            links.extend(links_of(&self.config.work_dir, &task.info.resources));
        }
        links
    }

    pub(crate) fn on_launched(
        &mut self,
        container: &ContainerId,
        outcome: Result<Launched, LaunchFailure>,
        out: &mut Effects,
    ) {
        let Some((framework, id)) = self.roots.get(container).cloned() else {
            return self.on_container_launched(container, outcome, out);
        };
        let Some(row) = self.state.executor_mut(&framework, &id).filter(|row| row.stage == Stage::Launching) else {
            return;
        };
        match outcome {
            Ok(launched) => {
                row.stage = Stage::Up;
                row.pid = launched.pid;
            }
            Err(failure) => {
                let termination = Termination {
                    state: Some(TaskState::TaskFailed),
                    reason: Some(failure.reason.unwrap_or(Reason::ContainerLaunchFailed)),
                    message: Some(format!("Failed to launch container: {}", failure.message)),
                    ..Default::default()
                };
                // A launch given up on purpose has its reason already.
                if row.pending_termination.is_none() {
                    row.pending_termination = Some(termination);
                    self.state.metrics.container_launch_errors += 1;
                }
                self.executor_gone(&framework, &id, Termination::default(), out);
            }
        }
    }

    pub(crate) fn on_registration_timeout(&mut self, container: &ContainerId, out: &mut Effects) {
        let timeout = stdx::units::print_duration(self.config.executor_registration_timeout);
        self.give_up_executor(
            container,
            Refusal::ExecutorRegistrationTimeout,
            format!("Executor did not register within {timeout}"),
            out,
        );
    }

    /// Destroys the container of an executor that has not subscribed in time.
    pub(crate) fn give_up_executor(
        &mut self,
        container: &ContainerId,
        refusal: Refusal,
        message: String,
        out: &mut Effects,
    ) {
        let Some((framework, id)) = self.roots.get(container).cloned() else { return };
        let aware = self.state.frameworks.get(&framework).is_some_and(|row| row.is_partition_aware());
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        row.timer = None;
        if row.phase != ExecutorPhase::Registering {
            return;
        }
        tracing::warn!(%framework, executor = %id, "{message}");
        row.phase = ExecutorPhase::Terminating;
        row.pending_termination = Some(Termination::refused(refusal, aware, message));
        out.push(Effect::Destroy { container: container.clone() });
    }
}

/// A container may be asked for without a command (an image may bring one); without either it fails as soon as it runs.
const NO_COMMAND: &str = "echo 'There is nothing to run: the container has no command' >&2; exit 1";

/// What a `CommandInfo` runs.
pub(crate) fn program_of(command: Option<&v1::CommandInfo>) -> Program {
    let Some((command, value)) = command.and_then(|command| Some((command, command.value.clone()?))) else {
        return Program::Shell(NO_COMMAND.to_owned());
    };
    if command.shell() {
        return Program::Shell(value);
    }
    let arguments = match command.arguments.is_empty() {
        true => vec![value.clone()],
        false => command.arguments.clone(),
    };
    Program::Argv { path: value, arguments }
}

/// What runs a pod, in the words that tools know. It is no program with a path of its own here.
fn pod_executor(user: Option<&str>) -> v1::CommandInfo {
    const NAME: &str = "mesos-default-executor";
    v1::CommandInfo {
        shell: Some(false),
        value: Some(NAME.to_owned()),
        arguments: vec![NAME.to_owned()],
        user: user.map(ToOwned::to_owned),
        ..Default::default()
    }
}

/// How much longer than a task's grace period its executor lives, to tell how it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The executor of a command task, which nobody has described. Its resources come on top of the task's.
fn command_executor(tasks: &[v1::TaskInfo]) -> v1::ExecutorInfo {
    let empty = v1::TaskInfo::default();
    let task = tasks.first().unwrap_or(&empty);
    let command = task.command.clone().unwrap_or_default();
    let allocation = task.resources.iter().find_map(|resource| resource.allocation_info.clone());
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: allocation.clone(),
        ..Default::default()
    };
    let mut text: String = if command.shell() {
        format!("sh -c '{}'", shortened(command.value()))
    } else {
        command.arguments.iter().fold(command.value().to_owned(), |text, argument| format!("{text} {argument}"))
    };
    if !command.shell() {
        text = shortened(&text);
    }
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: task.task_id.value.clone() },
        name: Some(format!("Command Executor (Task: {}) (Command: {text})", task.task_id.value)),
        source: Some(task.task_id.value.clone()),
        command: Some(v1::CommandInfo { uris: command.uris, user: command.user, ..Default::default() }),
        container: task.container.clone(),
        resources: vec![scalar("cpus", COMMAND_EXECUTOR_CPUS), scalar("mem", COMMAND_EXECUTOR_MEM_MB)],
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        shutdown_grace_period: task.kill_policy.as_ref().and_then(|policy| policy.grace_period).map(|grace| {
            v1::DurationInfo { nanoseconds: grace.nanoseconds.saturating_add(LAST_WORDS.as_nanos() as i64) }
        }),
        ..Default::default()
    }
}

/// The beginning of a command, for a name.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(15) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
