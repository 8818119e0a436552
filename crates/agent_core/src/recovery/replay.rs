//! Adds up the records of a journal. What is done with the sum: the parent module.

use super::record::{self, Record, class_of, kind_of};
use crate::{
    config::MAX_COMPLETED_TASKS_PER_EXECUTOR,
    container_id::ContainerId,
    operations::volumes::Volume,
    state::{
        Container, ContainerLife, Drain, Executor, ExecutorPhase, Framework, FrameworkPhase, Kill, Operation, Progress,
        Stage, Task, TaskPhase,
    },
    updates::stream::{Acked, Stream},
};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId, TaskId, history, task_state};
use proto::v1::{self, TaskState, task_status::Source};
use resources::Resources;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use stdx::WallTime;

/// What the journal says about the agent's last life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveredState {
    pub(crate) boot_id: Option<String>,
    pub(crate) agent: Option<v1::AgentInfo>,
    pub(crate) drain: Option<Drain>,
    pub(crate) frameworks: BTreeMap<FrameworkId, Arc<Framework>>,
    pub(crate) containers: BTreeMap<ContainerId, Arc<Container>>,
    pub(crate) streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    pub(crate) checkpointed: Resources,
    pub(crate) operations: BTreeMap<Bytes, Arc<Operation>>,
    /// Volumes whose removal may have been cut short.
    pub(crate) removed: BTreeSet<Volume>,
    /// Records that make no sense after those before them.
    pub(crate) oddities: u64,
}

/// More finished executors than any history shows need not be kept while replaying.
const COMPLETED_EXECUTORS: usize = 150;

/// Adds up the records of a journal, oldest first.
pub fn replay(records: impl IntoIterator<Item = Record>) -> RecoveredState {
    let mut state = RecoveredState::default();
    for record in records {
        if state.apply(record).is_none() {
            state.oddities += 1;
        }
    }
    state
}

impl RecoveredState {
    /// Every container that may still live, executors' and others'.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerId> {
        let executors = self.frameworks.values().flat_map(|row| row.executors.values()).map(|row| &row.container);
        let others = self.containers.values().filter(|row| !matches!(row.life, ContainerLife::Ended(_)));
        executors.chain(others.map(|row| &row.id))
    }

    /// The id masters know the agent by.
    pub fn agent_id(&self) -> Option<&v1::AgentId> {
        self.agent.as_ref()?.id.as_ref()
    }

    /// How many records made no sense after those before them.
    pub fn oddities(&self) -> u64 {
        self.oddities
    }

    fn framework(&mut self, id: &str) -> Option<&mut Framework> {
        self.frameworks.get_mut(id).map(Arc::make_mut)
    }

    fn executor(&mut self, framework: &str, id: &str) -> Option<&mut Executor> {
        self.framework(framework)?.executors.get_mut(id).map(Arc::make_mut)
    }

    /// `None` when the record speaks of something unknown.
    fn apply(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Boot(boot) => self.boot_id = Some(boot.boot_id),
            Record::Agent(agent) => self.agent = Some(agent.info),
            Record::Forgotten(_) => *self = std::mem::take(self).forget(),
            Record::Framework(record) => self.apply_framework(record)?,
            Record::FrameworkShutdown(name) => {
                let row = self.framework(&name.framework)?;
                row.phase = FrameworkPhase::Terminating;
                self.streams.retain(|(framework, _), _| framework.as_str() != name.framework);
            }
            Record::Executor(record) => self.apply_executor(record)?,
            Record::Tasks(record) => {
                self.place(&record.framework, &record.executor, &record.delivery.tasks);
                let row = self.executor(&record.framework, &record.executor)?;
                row.queue(record.delivery.tasks, record.delivery.group, Progress::Sent);
            }
            Record::ExecutorShutdown(name) => {
                self.executor(&name.framework, &name.executor)?.phase = ExecutorPhase::Terminating;
            }
            Record::ExecutorAddress(record) => {
                self.executor(&record.framework, &record.executor)?.address = Some(record.address.parse().ok()?);
            }
            Record::ExecutorCompleted(name) => {
                let row = self.framework(&name.framework)?;
                let id = ExecutorId::from(&*name.executor);
                let container = row.executors.get(&id)?.container.clone();
                let tasks = row.complete_executor(&id, COMPLETED_EXECUTORS)?;
                let framework = FrameworkId::from(name.framework);
                for task in tasks {
                    self.streams.remove(&(framework.clone(), task));
                }
                self.containers.retain(|id, _| !id.is_inside(&container));
            }
            Record::Update(record) => self.apply_update(record),
            Record::Acknowledged(record) => self.apply_ack(record)?,
            Record::Kill(record) => {
                let kill = Kill { policy: record.policy };
                let task = TaskId::from(&*record.task);
                let key = (FrameworkId::from(&*record.framework), task.clone());
                let executor = self.streams.get(&key)?.executor.clone()?;
                let row = self.executor(&record.framework, executor.as_str())?;
                row.tasks.get_mut(&task)?.kill = Some(kill);
            }
            Record::Container(record) => {
                let id = ContainerId::from_joined(&record.container);
                let row = Container {
                    id: id.clone(),
                    class: class_of(record.class),
                    sandbox: record.sandbox.into(),
                    user: record.user,
                    pid: None,
                    life: ContainerLife::Launching,
                    ended: None,
                    environment: Arc::default(),
                };
                self.containers.insert(id, Arc::new(row));
            }
            Record::ContainerEnded(record) => {
                let id = ContainerId::from_joined(&record.container);
                self.containers.retain(|inside, _| !inside.is_inside(&id));
                let row = self.containers.get_mut(&id)?;
                Arc::make_mut(row).life = ContainerLife::Ended(record.termination.to_termination());
            }
            Record::ContainerRemoved(name) => {
                let id = ContainerId::from_joined(&name.container);
                self.containers.retain(|known, _| *known != id && !known.is_inside(&id));
            }
            Record::Drain(record) => {
                self.drain = record.config.map(|config| Drain { config, since: WallTime(record.since) });
            }
            Record::Task(record) => self.apply_task(*record)?,
            Record::Stream(record) => {
                let key = (FrameworkId::from(record.framework), TaskId::from(record.task));
                let stream = self.streams.entry(key).or_default();
                record.acknowledged.into_iter().for_each(|uuid| stream.remember(uuid));
                record.open.into_iter().for_each(|update| stream.restore(Arc::new(update)));
            }
            Record::Resources(record) => {
                self.checkpointed = Resources::from_protos(&record.checkpointed).ok()?;
                self.removed.extend(record.removed.iter().map(record::VolumeRecord::to_volume));
                record.operation.into_iter().for_each(|operation| self.add_operation(operation));
            }
            Record::Operation(record) => self.add_operation(record.operation),
            Record::OperationEnded(name) => {
                self.operations.remove(&name.uuid)?;
            }
            Record::CompletedTask(record) => {
                let row = self.executor(&record.framework, &record.executor)?;
                row.used = true;
                row.completed_tasks.push_back(Arc::new(record.row));
                while row.completed_tasks.len() > MAX_COMPLETED_TASKS_PER_EXECUTOR {
                    row.completed_tasks.pop_front();
                }
            }
        }
        Some(())
    }

    /// What a new agent on this machine takes over: its reservations and volumes.
    pub(crate) fn forget(self) -> RecoveredState {
        RecoveredState {
            boot_id: self.boot_id,
            checkpointed: self.checkpointed,
            removed: self.removed,
            ..Default::default()
        }
    }

    fn add_operation(&mut self, proto: v1::Operation) {
        let uuid = proto.uuid.value.clone();
        let row = Operation { proto, durable: true, retry: None, backoff: Default::default() };
        self.operations.insert(uuid, Arc::new(row));
    }

    fn place(&mut self, framework: &str, executor: &str, tasks: &[v1::TaskInfo]) {
        for task in tasks {
            let key = (FrameworkId::from(framework), TaskId::from(&task.task_id));
            self.streams.entry(key).or_default().executor = Some(ExecutorId::from(executor));
        }
    }

    fn apply_framework(&mut self, record: record::FrameworkRecord) -> Option<()> {
        let id = FrameworkId::from(record.info.id.as_ref()?);
        let info = Arc::new(record.info);
        let row = self.frameworks.entry(id.clone()).or_insert_with(|| Arc::new(Framework::new(id, info.clone(), None)));
        let row = Arc::make_mut(row);
        row.info = info;
        row.pid = record.pid;
        row.phase = FrameworkPhase::Active;
        row.recorded = true;
        Some(())
    }

    fn apply_executor(&mut self, record: record::ExecutorRecord) -> Option<()> {
        let id = ExecutorId::from(&record.info.executor_id);
        for delivery in &record.deliveries {
            self.place(&record.framework, id.as_str(), &delivery.tasks);
        }
        let row = self.framework(&record.framework)?;
        // An older one of the same name must have ended before.
        row.complete_executor(&id, COMPLETED_EXECUTORS);
        let mut executor = Executor {
            id: id.clone(),
            framework: row.id.clone(),
            info: Arc::new(record.info),
            kind: kind_of(record.kind),
            container: ContainerId::from_joined(&record.container),
            user: record.user,
            sandbox: record.sandbox.into(),
            phase: ExecutorPhase::Registering,
            pid: None,
            tasks: BTreeMap::new(),
            completed_tasks: VecDeque::new(),
            stage: Stage::Up,
            connection: None,
            address: None,
            limits: None,
            timer: None,
            used: false,
            deliveries: Vec::new(),
            pending_termination: None,
        };
        for delivery in record.deliveries {
            // Whether it reached the executor, the executor knows.
            executor.queue(delivery.tasks, delivery.group, Progress::Sent);
        }
        row.executors.insert(id, Arc::new(executor));
        Some(())
    }

    fn apply_update(&mut self, record: record::UpdateRecord) {
        let update = record.update;
        let (framework, task) = (&update.framework_id.value, TaskId::from(&update.status.task_id));
        let from_executor = update.status.source() == Source::Executor;
        if let Some(executor) = update.executor_id.as_ref()
            && let Some(row) = self.executor(framework, &executor.value)
        {
            row.used |= from_executor;
            row.apply_status(&task, &update.status);
        }
        let key = (FrameworkId::from(&update.framework_id), task);
        self.streams.entry(key).or_default().restore(Arc::new(update));
    }

    fn apply_ack(&mut self, record: record::AckRecord) -> Option<()> {
        let key = (FrameworkId::from(record.framework), TaskId::from(record.task));
        let Acked::Head(head) = self.streams.get_mut(&key)?.acknowledge(&record.uuid) else { return None };
        let update = head.update;
        let forwarded = update.status.state;
        let executor = update.executor_id.as_ref().map(|id| id.value.clone());
        let row = executor.and_then(|executor| self.executor(key.0.as_str(), &executor));
        let ended = task_state::is_terminal(update.status.state());
        if let Some(row) = row
            && let Some(task) = row.tasks.get_mut(&key.1)
        {
            history::note_forwarded(&mut task.row, forwarded, update.uuid.as_ref());
            if ended {
                row.complete_task(&key.1);
            }
        }
        if ended {
            self.streams.remove(&key);
        }
        Some(())
    }

    fn apply_task(&mut self, record: record::TaskRecord) -> Option<()> {
        let framework = record.row.framework_id.value.clone();
        self.place(&framework, &record.executor, std::slice::from_ref(&record.info));
        let row = self.executor(&framework, &record.executor)?;
        let id = TaskId::from(&record.info.task_id);
        let state = record.row.state();
        let phase = match state {
            TaskState::TaskStaging if row.tasks.contains_key(&id) => TaskPhase::Queued,
            state if task_state::is_terminal(state) => TaskPhase::Ended,
            _ => TaskPhase::Launched,
        };
        row.used |= record.row.statuses.iter().any(|status| status.source() == Source::Executor);
        let kill = record.kill.map(|kill| Kill { policy: kill.policy });
        row.tasks.insert(id, Task { info: Arc::new(record.info), row: record.row, phase, kill });
        Some(())
    }
}
