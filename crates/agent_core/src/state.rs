//! The tables of an agent: frameworks, executors, tasks, containers. Rows are shared (`Arc`), a change copies a row
//! only while somebody still reads an older snapshot, so that `State::clone` is cheap. Who changes them: the steps.

use crate::{
    config::MAX_COMPLETED_TASKS_PER_EXECUTOR,
    container_id::ContainerId,
    launch::spec::{Class, ExecutorKind, Limits},
    termination::Termination,
    timers::TimerKey,
};
use bytes::Bytes;
use model::{AgentId, ExecutorId, FrameworkId, TaskId};
use proto::{upid::Upid, v1};
use resources::Resources;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use stdx::{ConnectionId, Tick, Ticket, WallTime};

/// What the agent as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// Waiting for `Recovered`, then for executors to come back.
    #[default]
    Recovering,
    /// No master has accepted us, or the link to it broke.
    Disconnected,
    /// Registered with the current master.
    Running,
    /// Told to shut down; waits for the executors to end.
    Terminating,
}

pub type Frameworks = Arc<BTreeMap<FrameworkId, Arc<Framework>>>;
pub type Operations = Arc<BTreeMap<Bytes, Arc<Operation>>>;

/// A snapshot of everything an operator may read.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub phase: Phase,
    /// With the id once a master has given one.
    pub info: Arc<v1::AgentInfo>,
    pub agent_id: Option<AgentId>,
    pub master: Option<Upid>,
    pub frameworks: Frameworks,
    /// Oldest first.
    pub completed_frameworks: Arc<VecDeque<Arc<Framework>>>,
    /// Nested and standalone containers; those of executors stand in their rows.
    pub containers: Arc<BTreeMap<ContainerId, Arc<Container>>>,
    pub drain: Option<Drain>,
    /// What a drain that has ended every task still waits for.
    pub drain_waits: Arc<[DrainWait]>,
    /// Dynamic reservations and persistent volumes, allocated to nobody.
    pub checkpointed: Resources,
    /// Operations whose outcome is not yet acknowledged, by the master's names for them.
    pub operations: Operations,
    pub metrics: Metrics,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    pub config: v1::DrainConfig,
    pub since: WallTime,
}

/// An update that a framework has not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainWait {
    pub framework: FrameworkId,
    pub task: TaskId,
    pub state: v1::TaskState,
    /// When it is told again, if nobody acknowledges it until then; unknown while no master listens.
    pub told_again: Option<WallTime>,
}

/// An operation that was applied, or could not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub proto: v1::Operation,
    /// Nobody hears of it before it is.
    pub(crate) durable: bool,
    pub(crate) retry: Option<TimerKey>,
    pub(crate) backoff: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameworkPhase {
    Active,
    /// Being shut down: gets no tasks, and its updates go nowhere.
    Terminating,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Framework {
    pub id: FrameworkId,
    pub info: Arc<v1::FrameworkInfo>,
    /// The libprocess address of a v0 scheduler.
    pub pid: Option<String>,
    pub phase: FrameworkPhase,
    pub executors: BTreeMap<ExecutorId, Arc<Executor>>,
    /// Oldest first.
    pub completed_executors: VecDeque<Arc<Executor>>,
    /// The journal knows this row.
    pub(crate) recorded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorPhase {
    /// Its container is being prepared or it has not subscribed yet (or not again, after a restart of the agent).
    Registering,
    Running,
    /// Told to end; killed after its grace period.
    Terminating,
    /// Its container is gone; some terminal update is not yet acknowledged.
    Terminated,
}

/// How far the container of an executor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its record is not yet durable.
    Checkpointing,
    Launching,
    Up,
    Gone,
}

/// Where an executor hears us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// A stream of the executor API.
    Stream(ConnectionId),
    /// A v0 executor: messages go to its driver.
    Driver(Upid),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Executor {
    pub id: ExecutorId,
    pub framework: FrameworkId,
    pub info: Arc<v1::ExecutorInfo>,
    pub kind: ExecutorKind,
    pub container: ContainerId,
    pub user: Option<String>,
    /// Absolute path on the host.
    pub sandbox: Arc<str>,
    pub phase: ExecutorPhase,
    pub pid: Option<u32>,
    /// Queued, launched, and ended but not yet acknowledged tasks.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Oldest first.
    pub completed_tasks: VecDeque<Arc<v1::Task>>,
    pub(crate) stage: Stage,
    /// Where it listens, while it does.
    pub(crate) connection: Option<Connection>,
    /// The libprocess address of a v0 executor, also while it does not listen.
    pub address: Option<Upid>,
    /// What its container was last given.
    pub(crate) limits: Option<Limits>,
    /// Until when it must subscribe, or end.
    pub(crate) timer: Option<TimerKey>,
    /// It was sent a task, or has spoken of one.
    pub(crate) used: bool,
    /// What the executor has not been seen to have received, in launch order.
    pub(crate) deliveries: Vec<Delivery>,
    /// What its tasks shall say if the container's end says nothing itself.
    pub(crate) pending_termination: Option<Termination>,
}

/// Tasks that go to an executor in one event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    pub tasks: Vec<TaskId>,
    /// LAUNCH_GROUP, not LAUNCH.
    pub group: bool,
    pub sent: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its record is not yet durable.
    Checkpointing(Ticket),
    /// To be sent to whoever listens, once its volumes are there.
    Ready,
    /// Its volumes are not there yet.
    Linking(Ticket),
    /// To be sent to whoever listens.
    Linked,
    /// On some stream; the executor has not yet spoken of it.
    Sent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// The executor has not got it.
    Queued,
    Launched,
    /// Its last state is terminal, and the framework has not acknowledged that.
    Ended,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub info: Arc<v1::TaskInfo>,
    /// The task as masters and operators see it: latest state, forwarded state, history.
    pub row: v1::Task,
    pub phase: TaskPhase,
    /// A kill that has not reached the executor.
    pub(crate) kill: Option<Kill>,
}

/// A kill to be passed on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kill {
    pub policy: Option<v1::KillPolicy>,
}

/// A nested or standalone container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub id: ContainerId,
    pub class: Class,
    pub sandbox: Arc<str>,
    pub user: Option<String>,
    pub pid: Option<u32>,
    pub life: ContainerLife,
    /// When it ended, if that was in this life of the agent.
    pub(crate) ended: Option<Tick>,
    /// What it was launched with, if that was in this life of the agent: sessions in it have the same.
    pub(crate) environment: Arc<[(String, String)]>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ContainerLife {
    Launching,
    Running,
    Destroying,
    Ended(Termination),
}

impl State {
    pub fn find_executor(&self, framework: &FrameworkId, executor: &ExecutorId) -> Option<&Arc<Executor>> {
        self.frameworks.get(framework)?.executors.get(executor)
    }

    pub(crate) fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        Arc::make_mut(&mut self.frameworks).get_mut(id).map(Arc::make_mut)
    }

    pub(crate) fn executor_mut(&mut self, framework: &FrameworkId, id: &ExecutorId) -> Option<&mut Executor> {
        executor_mut(&mut self.frameworks, framework, id)
    }

    pub(crate) fn operation_mut(&mut self, uuid: &Bytes) -> Option<&mut Operation> {
        operation_mut(&mut self.operations, uuid)
    }

    pub(crate) fn container_mut(&mut self, id: &ContainerId) -> Option<&mut Container> {
        Arc::make_mut(&mut self.containers).get_mut(id).map(Arc::make_mut)
    }

    /// Every executor that is not completed.
    pub fn executors(&self) -> impl Iterator<Item = &Arc<Executor>> {
        self.frameworks.values().flat_map(|framework| framework.executors.values())
    }
}

pub(crate) fn executor_mut<'a>(
    frameworks: &'a mut Frameworks,
    framework: &FrameworkId,
    id: &ExecutorId,
) -> Option<&'a mut Executor> {
    let row = Arc::make_mut(frameworks).get_mut(framework).map(Arc::make_mut)?;
    row.executors.get_mut(id).map(Arc::make_mut)
}

pub(crate) fn operation_mut<'a>(operations: &'a mut Operations, uuid: &Bytes) -> Option<&'a mut Operation> {
    Arc::make_mut(operations).get_mut(uuid).map(Arc::make_mut)
}

impl Framework {
    pub(crate) fn new(id: FrameworkId, info: Arc<v1::FrameworkInfo>, pid: Option<String>) -> Framework {
        Framework {
            id,
            info,
            pid,
            phase: FrameworkPhase::Active,
            executors: BTreeMap::new(),
            completed_executors: VecDeque::new(),
            recorded: false,
        }
    }

    /// Whether its executors outlive the agent.
    pub fn checkpoints(&self) -> bool {
        self.info.checkpoint()
    }

    pub fn is_partition_aware(&self) -> bool {
        is_partition_aware(&self.info)
    }

    /// Moves an executor to the history, together with the tasks it still had, whose ids are returned.
    pub(crate) fn complete_executor(&mut self, id: &ExecutorId, keep: usize) -> Option<Vec<TaskId>> {
        let mut executor = self.executors.remove(id)?;
        let row = Arc::make_mut(&mut executor);
        row.phase = ExecutorPhase::Terminated;
        row.stage = Stage::Gone;
        row.connection = None;
        row.deliveries = Vec::new();
        let tasks: Vec<TaskId> = row.tasks.keys().cloned().collect();
        tasks.iter().for_each(|task| row.complete_task(task));
        row.timer = None;
        self.completed_executors.push_back(executor);
        while self.completed_executors.len() > keep {
            self.completed_executors.pop_front();
        }
        Some(tasks)
    }
}

/// Lost tasks of these frameworks are told more exactly than TASK_LOST.
pub(crate) fn is_partition_aware(info: &v1::FrameworkInfo) -> bool {
    info.capabilities.iter().any(|c| c.r#type() == v1::framework_info::capability::Type::PartitionAware)
}

impl Executor {
    /// Whether a master knows it: those of command tasks are the agent's own business.
    pub fn is_known_to_master(&self) -> bool {
        self.kind != ExecutorKind::Command
    }

    /// Whether all that is known of it is that it should start.
    pub(crate) fn awaits_launch(&self) -> bool {
        let has_work = self.tasks.values().any(|task| task.phase == TaskPhase::Queued);
        self.phase == ExecutorPhase::Registering && !self.used && has_work
    }

    /// Whether it has not come back since the agent restarted. One that was launched since has a timer of its own.
    pub(crate) fn is_missing(&self) -> bool {
        self.phase == ExecutorPhase::Registering && self.timer.is_none()
    }

    /// Whether it takes no more tasks.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, ExecutorPhase::Terminating | ExecutorPhase::Terminated)
    }

    /// Adds tasks that shall be delivered together.
    pub(crate) fn queue(&mut self, infos: Vec<v1::TaskInfo>, group: bool, sent: Progress) {
        let mut tasks = Vec::with_capacity(infos.len());
        for info in infos {
            let id = TaskId::from(&info.task_id);
            let row = task_row(&info, &self.framework, &self.info, self.kind);
            tasks.push(id.clone());
            self.tasks.insert(id, Task { info: Arc::new(info), row, phase: TaskPhase::Queued, kill: None });
        }
        self.deliveries.push(Delivery { tasks, group, sent });
    }

    /// Moves an ended task to the history.
    pub(crate) fn complete_task(&mut self, id: &TaskId) {
        if let Some(task) = self.tasks.remove(id) {
            self.completed_tasks.push_back(Arc::new(task.row));
            while self.completed_tasks.len() > MAX_COMPLETED_TASKS_PER_EXECUTOR {
                self.completed_tasks.pop_front();
            }
        }
    }

    /// Takes a status into the task's row. False when the task is unknown or had ended.
    pub(crate) fn apply_status(&mut self, id: &TaskId, status: &v1::TaskStatus) -> bool {
        let Some(task) = self.tasks.get_mut(id) else { return false };
        if task.phase == TaskPhase::Ended {
            return false;
        }
        model::history::note(&mut task.row, status, None);
        let ended = model::task_state::is_terminal(status.state());
        task.phase = if ended { TaskPhase::Ended } else { TaskPhase::Launched };
        if ended {
            task.kill = None;
        }
        self.forget_delivery(id);
        true
    }

    /// The executor has this task (or the task is over): it need not be delivered again.
    pub(crate) fn forget_delivery(&mut self, id: &TaskId) {
        if !self.deliveries.is_empty() {
            for delivery in &mut self.deliveries {
                delivery.tasks.retain(|task| task != id);
            }
            self.deliveries.retain(|delivery| !delivery.tasks.is_empty());
        }
    }
}

/// The row of a task that was just accepted.
pub(crate) fn task_row(
    info: &v1::TaskInfo,
    framework: &FrameworkId,
    executor: &v1::ExecutorInfo,
    kind: ExecutorKind,
) -> v1::Task {
    let named = (kind != ExecutorKind::Command).then(|| executor.executor_id.clone());
    model::task::staging(info, framework, named, info.command.as_ref().or(executor.command.as_ref()))
}

/// Counters since the start of the agent; gauges are computed from the tables (`State::metrics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub tasks_finished: u64,
    pub tasks_failed: u64,
    pub tasks_killed: u64,
    pub tasks_lost: u64,
    pub tasks_gone: u64,
    pub executors_terminated: u64,
    pub valid_status_updates: u64,
    pub invalid_status_updates: u64,
    pub valid_framework_messages: u64,
    pub invalid_framework_messages: u64,
    pub container_launch_errors: u64,
    pub recovery_errors: u64,
    pub registrations: u64,
    /// How old a retired sandbox may become at present.
    pub executor_directory_max_allowed_age_secs: u64,
}
