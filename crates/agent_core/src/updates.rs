//! Status updates, delivered at least once and in order: `stream` is one task's queue. Here they are accepted, made
//! durable, forwarded, resent and acknowledged. What an executor may report: `executor_calls/update`.

pub(crate) mod stream;

use crate::{
    agent::Agent,
    config::{Config, UPDATE_RETRY_MAX, UPDATE_RETRY_MIN},
    effect::Effects,
    link::send,
    pending::Pending,
    recovery::{Record, record},
    state::{Executor, ExecutorPhase, FrameworkPhase, Frameworks, TaskPhase, executor_mut},
    timers::{Timer, Timers, cancel},
};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId, Refusal, TaskId, history, task_state};
use proto::{
    internal::{self, StatusUpdate},
    upid::Upid,
    v1::{
        self, TaskState,
        task_status::{Reason, Source},
    },
};
use std::{collections::BTreeMap, sync::Arc};
use stdx::Tick;
use stream::{Acked, Stream};

/// How the agent itself ends a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub state: TaskState,
    pub reason: Reason,
    pub message: String,
    pub limitation: Option<v1::TaskResourceLimitation>,
}

impl Verdict {
    pub fn refused(refusal: Refusal, partition_aware: bool, message: impl Into<String>) -> Verdict {
        let known = refusal.verdict(partition_aware);
        Verdict { state: known.state, reason: known.reason, message: message.into(), limitation: None }
    }
}

type Key = (FrameworkId, TaskId);

/// Open updates on their way to the master, and all that they may change.
pub(crate) struct Updates<'a> {
    pub frameworks: &'a mut Frameworks,
    pub streams: &'a mut BTreeMap<Key, Stream>,
    pub timers: &'a mut Timers,
    pub config: &'a Config,
    pub master: Option<&'a Upid>,
    /// Whether a master listens.
    pub registered: bool,
    pub now: Tick,
}

impl Agent {
    pub(crate) fn updates(&mut self) -> Updates<'_> {
        let registered = self.is_registered();
        Updates {
            frameworks: &mut self.state.frameworks,
            streams: &mut self.streams,
            timers: &mut self.timers,
            config: &self.config,
            master: self.state.master.as_ref(),
            registered,
            now: self.now,
        }
    }

    /// Makes and accepts an update about a task in the agent's own name.
    pub(crate) fn tell(
        &mut self,
        framework: &FrameworkId,
        executor: Option<ExecutorId>,
        task: &TaskId,
        verdict: Verdict,
        out: &mut Effects,
    ) {
        let uuid = self.uuid();
        let timestamp = self.wall.as_secs_f64();
        let executor_id = executor.as_ref().map(ExecutorId::to_proto);
        let status = v1::TaskStatus {
            task_id: task.to_proto(),
            state: verdict.state as i32,
            message: Some(verdict.message),
            source: Some(Source::Agent as i32),
            reason: Some(verdict.reason as i32),
            agent_id: Some(self.agent_id()),
            executor_id: executor_id.clone(),
            timestamp: Some(timestamp),
            uuid: Some(uuid.clone()),
            limitation: verdict.limitation,
            ..Default::default()
        };
        let update = StatusUpdate {
            framework_id: framework.to_proto(),
            executor_id,
            agent_id: Some(self.agent_id()),
            status,
            timestamp,
            uuid: Some(uuid),
            latest_state: None,
        };
        self.accept_update(framework.clone(), executor, task.clone(), update, out);
    }

    /// Takes an update that was judged legal: into the task's row, the journal and the task's queue.
    pub(crate) fn accept_update(
        &mut self,
        framework: FrameworkId,
        executor: Option<ExecutorId>,
        task: TaskId,
        mut update: StatusUpdate,
        out: &mut Effects,
    ) {
        self.mark_draining(&framework, &mut update.status);
        let state = update.status.state();
        let ended = task_state::is_terminal(state);
        if let Some(id) = &executor
            && let Some(row) = self.state.executor_mut(&framework, id)
        {
            // One task's end is its command executor's end: its container need not shrink first.
            if row.apply_status(&task, &update.status)
                && ended
                && row.is_known_to_master()
                && row.phase == ExecutorPhase::Running
            {
                self.update_limits(&framework, id, out);
            }
        }
        if ended {
            self.state.metrics.count_end(state);
        }
        let recorded = self.records_updates(&framework);
        let uuid = update.uuid.clone().unwrap_or_default();
        let update = Arc::new(update);
        let key = (framework, task);
        self.streams.entry(key.clone()).or_default().push(update.clone(), recorded);
        if recorded {
            self.record_update(key, &update, uuid, out);
        } else {
            self.on_update_durable(key, &uuid, out);
        }
    }

    /// Whether what a framework's tasks say shall survive us.
    fn records_updates(&self, framework: &FrameworkId) -> bool {
        stdx::bug!("updates_not_recorded", return false);
        self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints())
    }

    fn record_update(&mut self, key: Key, update: &StatusUpdate, uuid: Bytes, out: &mut Effects) {
        stdx::bug!("acknowledged_before_durable", self.on_update_durable(key.clone(), &uuid, out));
        let record = Record::Update(record::UpdateRecord { update: update.clone() });
        let (framework, task) = key;
        self.tickets.record_then(record, Pending::Update { framework, task, uuid }, out);
    }

    /// The update will survive us: its executor may forget it, the master may hear of it.
    pub(crate) fn on_update_durable(&mut self, key: Key, uuid: &Bytes, out: &mut Effects) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let Some(update) = stream.on_durable(uuid) else { return };
        if update.status.source() == Source::Executor
            && let Some(executor) = &update.executor_id
        {
            self.acknowledge_to_executor(&key.0, &ExecutorId::from(executor), &key.1, uuid, out);
        }
        self.updates().forward_head(&key, out);
    }

    pub(crate) fn acknowledge_to_executor(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        uuid: &Bytes,
        out: &mut Effects,
    ) {
        let event = v1::executor::Event {
            r#type: Some(v1::executor::event::Type::Acknowledged as i32),
            acknowledged: Some(v1::executor::event::Acknowledged { task_id: task.to_proto(), uuid: uuid.clone() }),
            ..Default::default()
        };
        self.tell_executor(framework, executor, event, out);
    }

    pub(crate) fn on_acknowledgement(
        &mut self,
        message: internal::StatusUpdateAcknowledgementMessage,
        out: &mut Effects,
    ) {
        let key = (FrameworkId::from(&message.framework_id), TaskId::from(&message.task_id));
        let Some(stream) = self.streams.get_mut(&key) else {
            tracing::warn!(framework = %key.0, task = %key.1, "ignoring an acknowledgement: no update of the task is open");
            return;
        };
        let head = match stream.acknowledge(&message.uuid) {
            Acked::Head(head) => head,
            Acked::Repeated => return,
            Acked::Unexpected => {
                tracing::warn!(framework = %key.0, task = %key.1, "ignoring an acknowledgement of something not sent");
                return;
            }
        };
        cancel(&mut self.timers, stream.retry.take());
        let update = head.update;
        if head.recorded {
            let record = Record::Acknowledged(record::AckRecord {
                framework: message.framework_id.value,
                task: message.task_id.value,
                uuid: message.uuid,
            });
            // Once a task's end is told, a crash must not make us repeat what came before it. An end that is accepted
            // later than this needs no care: its record comes after this one.
            if stream.ends_next() {
                stream.held = true;
                let (framework, task) = key.clone();
                self.tickets.record_then(record, Pending::Acknowledged { framework, task }, out);
            } else {
                self.record(record, out);
            }
        }
        if task_state::is_terminal(update.status.state()) {
            let executor = update.executor_id.as_ref().map(ExecutorId::from);
            self.on_end_acknowledged(&key, executor, out);
        } else {
            self.updates().forward_head(&key, out);
        }
    }

    /// The framework knows how the task ended: nobody here needs it any more.
    fn on_end_acknowledged(&mut self, key: &Key, executor: Option<ExecutorId>, out: &mut Effects) {
        self.streams.remove(key);
        if let Some(id) = executor
            && let Some(row) = self.state.executor_mut(&key.0, &id)
        {
            forget_task(row, &key.1);
            if row.phase == ExecutorPhase::Terminated && row.tasks.is_empty() {
                self.complete_executor(&key.0, &id, out);
                return;
            }
        }
        self.retire_framework_if_idle(&key.0, out);
    }

    pub(crate) fn has_updates(&self, framework: &FrameworkId) -> bool {
        keys_of(&self.streams, framework).next().is_some()
    }

    /// Ends a task without telling anybody, as its framework is no more.
    pub(crate) fn end_silently(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let timestamp = self.wall.as_secs_f64();
        let terminating =
            self.state.frameworks.get(framework).is_some_and(|row| row.phase == FrameworkPhase::Terminating);
        let Some(row) = self.state.executor_mut(framework, executor) else { return };
        if !terminating {
            return;
        }
        for task in row.tasks.values_mut().filter(|task| task.phase != TaskPhase::Ended) {
            task.phase = TaskPhase::Ended;
            let status = v1::TaskStatus {
                task_id: task.row.task_id.clone(),
                state: TaskState::TaskKilled as i32,
                source: Some(Source::Agent as i32),
                reason: Some(Reason::FrameworkRemoved as i32),
                timestamp: Some(timestamp),
                ..Default::default()
            };
            history::note(&mut task.row, &status, None);
        }
    }
}

impl Updates<'_> {
    /// Sends the head of a task's queue, unless it is under way already or no master listens.
    fn forward_head(&mut self, key: &Key, out: &mut Effects) {
        let registered = self.registered;
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(head) = stream.head().cloned() else { return };
        if stream.retry.is_some() || stream.held || !registered {
            return;
        }
        stream.backoff = UPDATE_RETRY_MIN;
        let timer = Timer::UpdateRetry { framework: key.0.clone(), task: key.1.clone() };
        stream.retry = Some(self.timers.set(self.now, UPDATE_RETRY_MIN, timer));
        self.forward(key, &head, out);
    }

    fn forward(&mut self, key: &Key, head: &StatusUpdate, out: &mut Effects) {
        let mut update = head.clone();
        let executor = head.executor_id.as_ref().map(ExecutorId::from);
        let row = executor
            .and_then(|id| executor_mut(self.frameworks, &key.0, &id))
            .and_then(|row| row.tasks.get_mut(&key.1));
        if let Some(task) = row {
            history::note_forwarded(&mut task.row, head.status.state, head.uuid.as_ref());
            update.latest_state = Some(task.row.state);
        } else {
            update.latest_state = Some(head.status.state);
        }
        // The acknowledgement comes to us first.
        let pid = Some(self.config.upid.to_string());
        send(self.master, internal::StatusUpdateMessage { update, pid }, out);
    }

    pub(crate) fn on_retry(&mut self, key: Key, out: &mut Effects) {
        let heard = self.may_resend();
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.retry = None;
        let Some(head) = stream.head().cloned() else { return };
        if !heard {
            return;
        }
        stream.backoff = (stream.backoff * 2).clamp(UPDATE_RETRY_MIN, UPDATE_RETRY_MAX);
        let timer = Timer::UpdateRetry { framework: key.0.clone(), task: key.1.clone() };
        stream.retry = Some(self.timers.set(self.now, stream.backoff, timer));
        tracing::warn!(framework = %key.0, task = %key.1, "resending a status update that nobody acknowledged");
        self.forward(&key, &head, out);
    }

    fn may_resend(&self) -> bool {
        stdx::bug!("never_resent", return false);
        self.registered
    }

    pub(crate) fn pause(&mut self) {
        for stream in self.streams.values_mut() {
            cancel(self.timers, stream.retry.take());
        }
    }

    /// A master listens (again): every head is sent at once.
    pub(crate) fn resume(&mut self, out: &mut Effects) {
        self.pause();
        let keys = self.streams.iter().filter(|(_, stream)| !stream.is_empty()).map(|(key, _)| key.clone()).collect();
        self.resend(keys, out);
    }

    /// A framework listens (again): the heads of its tasks are sent at once.
    pub(crate) fn resend_of(&mut self, framework: &FrameworkId, out: &mut Effects) {
        let keys = keys_of(self.streams, framework).cloned().collect();
        self.resend(keys, out);
    }

    fn resend(&mut self, keys: Vec<Key>, out: &mut Effects) {
        stdx::bug!("updates_stay_paused", return);
        for key in keys {
            if let Some(stream) = self.streams.get_mut(&key) {
                cancel(self.timers, stream.retry.take());
                self.forward_head(&key, out);
            }
        }
    }

    pub(crate) fn on_acknowledged(&mut self, key: Key, out: &mut Effects) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.held = false;
            self.forward_head(&key, out);
        }
    }

    /// Drops every open update of a framework that will not acknowledge any.
    pub(crate) fn drop_of(&mut self, framework: &FrameworkId) {
        let keys: Vec<Key> = keys_of(self.streams, framework).cloned().collect();
        for key in keys {
            if let Some(stream) = self.streams.remove(&key) {
                cancel(self.timers, stream.retry);
            }
        }
    }
}

/// The tasks of a framework that have open updates, or may have.
fn keys_of<'a>(
    streams: &'a BTreeMap<Key, Stream>,
    framework: &'a FrameworkId,
) -> impl Iterator<Item = &'a Key> + use<'a> {
    let first = (framework.clone(), TaskId::from(""));
    streams.range(first..).map(|(key, _)| key).take_while(move |key| key.0 == *framework)
}

/// The executor has no such task any more.
fn forget_task(row: &mut Executor, task: &TaskId) {
    stdx::bug!("acknowledged_task_stays", return);
    row.complete_task(task);
}
