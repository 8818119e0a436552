//! A light agent: the same messages as a full one that runs command tasks, from some hundred bytes. It has no journal,
//! no containers and no executors; it forgets everything when its process ends. A test compares the two.

use std::{collections::VecDeque, time::Duration};

use agent_core::{Effect, Effects, Event, Input};
use bytes::Bytes;
use model::{Refusal, task_state};
use proto::{
    internal,
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1::{self, TaskState, task_status::Source},
};
use stdx::{Rng, Tick, WallTime};

#[cfg(test)]
mod comparison;

use super::executor::work_of;

const RETRY_MIN: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(600);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How long a container and its executor take to start.
const START: Duration = Duration::from_millis(25);

pub(crate) struct Light {
    info: Box<v1::AgentInfo>,
    /// Its address, as updates give it.
    pid: String,
    master: Option<Upid>,
    rng: Rng,
    registered: bool,
    register: Option<Tick>,
    backoff: Duration,
    ping: Option<Tick>,
    ping_timeout: Duration,
    tasks: Vec<Task>,
    frameworks: Vec<v1::FrameworkInfo>,
}

struct Task {
    row: v1::Task,
    /// It was refused: there is something to say about it, and nothing else of it.
    refused: bool,
    /// When its next step is due, and where it ends.
    due: Option<Tick>,
    length: Duration,
    end: TaskState,
    /// What is said and not acknowledged.
    open: VecDeque<(TaskState, Bytes)>,
    retry: Option<Tick>,
    backoff: Duration,
}

impl Light {
    pub fn new(info: v1::AgentInfo, upid: Upid, seed: u64) -> Light {
        Light {
            info: Box::new(info),
            pid: upid.to_string(),
            master: None,
            rng: Rng::new(seed),
            registered: false,
            register: None,
            backoff: BACKOFF_MIN,
            ping: None,
            ping_timeout: Duration::from_secs(75),
            tasks: Vec::new(),
            frameworks: Vec::new(),
        }
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        let of_tasks = self.tasks.iter().flat_map(|task| [task.due, task.retry]);
        of_tasks.chain([self.register, self.ping]).flatten().min()
    }

    /// The tasks that take its resources, and those whose end is not acknowledged.
    pub fn tasks(&self) -> impl Iterator<Item = &v1::Task> {
        self.tasks.iter().filter(|task| !task.refused).map(|task| &task.row)
    }

    pub fn is_registered(&self) -> bool {
        self.registered
    }

    pub fn id(&self) -> Option<&v1::AgentId> {
        self.info.id.as_ref()
    }

    pub fn handle(&mut self, input: Input, out: &mut Effects) {
        let Input { now, wall, event } = input;
        match event {
            Event::MasterDetected { master } => {
                if let Some(former) = self.master.take().filter(|former| Some(former) != master.as_ref()) {
                    out.push(Effect::Unlink { peer: former });
                }
                self.master = master;
                self.start_registration(now, out);
            }
            Event::Exited { .. } if self.register.is_none() => self.start_registration(now, out),
            Event::FromMaster { from, message } => self.on_message(now, wall, &from, message, out),
            _ => {}
        }
        self.on_time(now, wall, out);
    }

    fn on_time(&mut self, now: Tick, wall: WallTime, out: &mut Effects) {
        if self.register.is_some_and(|at| at <= now) {
            self.try_to_register(now, out);
        }
        if self.ping.is_some_and(|at| at <= now) {
            self.start_registration(now, out);
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].due.is_some_and(|at| at <= now) {
                self.advance(index, now, wall, out);
            }
            if self.tasks[index].retry.is_some_and(|at| at <= now) {
                let task = &mut self.tasks[index];
                task.backoff = (task.backoff * 2).clamp(RETRY_MIN, RETRY_MAX);
                task.retry = Some(now + task.backoff);
                self.forward(index, wall, out);
            }
        }
    }

    fn start_registration(&mut self, now: Tick, out: &mut Effects) {
        self.registered = false;
        self.ping = None;
        self.register = None;
        self.tasks.iter_mut().for_each(|task| task.retry = None);
        if let Some(peer) = self.master.clone() {
            out.push(Effect::Link { peer });
            self.backoff = BACKOFF_MIN;
            self.register = Some(now + self.backoff.mul_f64(self.rng.unit()));
        }
    }

    fn try_to_register(&mut self, now: Tick, out: &mut Effects) {
        let Some(peer) = self.master.clone() else { return };
        out.push(Effect::Link { peer });
        let version = Some("1.11.0".to_owned());
        let agent_capabilities = capabilities();
        let resource_version_uuid = Some(resource_version());
        let agent = (*self.info).clone();
        let message: ToMaster = if agent.id.is_some() {
            let tasks = self.tasks.iter().filter(|task| !task.refused).map(|task| task.row.clone()).collect();
            let frameworks = self.frameworks.clone();
            let rest = internal::ReregisterSlaveMessage::default();
            internal::ReregisterSlaveMessage {
                agent,
                tasks,
                frameworks,
                version,
                agent_capabilities,
                resource_version_uuid,
                ..rest
            }
            .into()
        } else {
            let checkpointed_resources = Vec::new();
            internal::RegisterSlaveMessage {
                agent,
                checkpointed_resources,
                version,
                agent_capabilities,
                resource_version_uuid,
            }
            .into()
        };
        self.say(message, out);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.register = Some(now + self.backoff.mul_f64(self.rng.unit()));
    }

    fn say(&self, message: ToMaster, out: &mut Effects) {
        if let Some(to) = self.master.clone() {
            out.push(Effect::ToMaster { to, message });
        }
    }

    fn on_message(&mut self, now: Tick, wall: WallTime, from: &Upid, message: ToAgent, out: &mut Effects) {
        if let ToAgent::PingSlave(ping) = message {
            out.push(Effect::ToMaster { to: from.clone(), message: internal::PongSlaveMessage {}.into() });
            let ours = self.master.as_ref().is_some_and(|m| m.host == from.host && m.port == from.port);
            if ours && self.registered {
                match ping.connected {
                    true => self.ping = Some(now + self.ping_timeout),
                    false => self.start_registration(now, out),
                }
            }
            return;
        }
        if self.master.as_ref() != Some(from) {
            return;
        }
        match message {
            ToAgent::SlaveRegistered(message) => {
                if self.info.id.get_or_insert(message.agent_id.clone()) != &message.agent_id {
                    return exit_renamed(out);
                }
                self.on_accepted(now, wall, message.connection, out);
            }
            ToAgent::SlaveReregistered(message) => {
                if self.info.id.as_ref() != Some(&message.agent_id) {
                    return exit_renamed(out);
                }
                self.on_accepted(now, wall, message.connection, out);
                for reconciliation in message.reconciliations {
                    self.reconcile(now, wall, reconciliation, out);
                }
            }
            ToAgent::RunTask(message) if self.registered && self.info.id.as_ref() == Some(&message.task.agent_id) => {
                self.run(now, *message);
            }
            ToAgent::KillTask(message) => {
                let of =
                    |task: &Task| task.row.task_id == message.task_id && task.row.framework_id == message.framework_id;
                if let Some(task) = self.tasks.iter_mut().find(|task| of(task))
                    && !task_state::is_terminal(task.row.state())
                {
                    task.end = TaskState::TaskKilled;
                    task.length = Duration::ZERO;
                    task.due = Some(now);
                }
            }
            ToAgent::StatusUpdateAcknowledgement(message) if self.registered => {
                self.on_acknowledgement(now, wall, &message, out)
            }
            ToAgent::ShutdownFramework(message) if self.registered => {
                self.tasks.retain(|task| task.row.framework_id != message.framework_id);
                self.frameworks.retain(|info| info.id.as_ref() != Some(&message.framework_id));
            }
            ToAgent::UpdateFramework(message) => {
                let known = self.frameworks.iter_mut().find(|info| info.id.as_ref() == Some(&message.framework_id));
                if let (Some(known), Some(info)) = (known, message.framework_info) {
                    *known = info;
                }
            }
            ToAgent::DrainSlave(_) => {
                for task in self.tasks.iter_mut().filter(|task| !task_state::is_terminal(task.row.state())) {
                    task.end = TaskState::TaskKilled;
                    task.length = Duration::ZERO;
                    task.due = Some(now);
                }
            }
            ToAgent::Shutdown(message) => {
                out.push(Effect::Exit { code: 0, why: message.message.unwrap_or_default() });
            }
            _ => {}
        }
    }

    fn on_accepted(
        &mut self,
        now: Tick,
        wall: WallTime,
        connection: Option<internal::MasterSlaveConnection>,
        out: &mut Effects,
    ) {
        let seconds = connection.and_then(|connection| connection.total_ping_timeout_seconds).unwrap_or(0.0);
        if seconds > 0.0 {
            self.ping_timeout = crate::scenario::secs(seconds);
        }
        self.registered = true;
        self.register = None;
        self.ping = Some(now + self.ping_timeout);
        let message = internal::UpdateSlaveMessage {
            agent_id: self.info.id.clone().unwrap_or_default(),
            operations: Some(Default::default()),
            resource_version_uuid: Some(resource_version()),
            ..Default::default()
        };
        self.say(message.into(), out);
        for index in 0..self.tasks.len() {
            self.send_head(index, now, wall, out);
        }
    }

    fn run(&mut self, now: Tick, message: internal::RunTaskMessage) {
        let Some(framework_id) = message.framework.id.clone() else { return };
        let info = message.task;
        let known = |task: &Task| task.row.task_id == info.task_id && task.row.framework_id == framework_id;
        if self.tasks.iter().any(known) {
            return;
        }
        if !self.frameworks.iter().any(|known| known.id == message.framework.id) {
            self.frameworks.push(message.framework);
        }
        let (length, end) = work_of(&info);
        let row = v1::Task {
            name: info.name,
            task_id: info.task_id,
            framework_id,
            agent_id: info.agent_id,
            state: TaskState::TaskStaging as i32,
            resources: info.resources,
            ..v1::Task::default()
        };
        let due = Some(now + START);
        let (open, retry, backoff) = (VecDeque::with_capacity(3), None, RETRY_MIN);
        self.tasks.push(Task { row, refused: false, due, length, end, open, retry, backoff });
    }

    /// The next step of a task: it starts, runs, or ends.
    fn advance(&mut self, index: usize, now: Tick, wall: WallTime, out: &mut Effects) {
        let Some(task) = self.tasks.get_mut(index) else { return };
        task.due = None;
        let ended = task.row.state() != TaskState::TaskStaging || task.end == TaskState::TaskKilled;
        let states: &[TaskState] = if ended { &[task.end] } else { &[TaskState::TaskStarting, TaskState::TaskRunning] };
        for state in states {
            task.row.state = *state as i32;
            task.open.push_back((*state, Bytes::copy_from_slice(&self.rng.uuid())));
        }
        if !ended {
            task.due = Some(now + task.length);
        }
        self.send_head(index, now, wall, out);
    }

    /// Sends the first open update, unless it is under way.
    fn send_head(&mut self, index: usize, now: Tick, wall: WallTime, out: &mut Effects) {
        let registered = self.registered;
        let Some(task) = self.tasks.get_mut(index) else { return };
        if registered && task.retry.is_none() && !task.open.is_empty() {
            task.backoff = RETRY_MIN;
            task.retry = Some(now + RETRY_MIN);
            self.forward(index, wall, out);
        }
    }

    fn forward(&mut self, index: usize, wall: WallTime, out: &mut Effects) {
        let agent_id = self.info.id.clone();
        let pid = Some(self.pid.clone());
        let Some(task) = self.tasks.get_mut(index) else { return };
        let Some((state, uuid)) = task.open.front().cloned() else { return };
        task.row.status_update_state = Some(state as i32);
        task.row.status_update_uuid = Some(uuid.clone());
        let timestamp = wall.as_secs_f64();
        let executor_id = Some(v1::ExecutorId { value: task.row.task_id.value.clone() });
        let status = v1::TaskStatus {
            task_id: task.row.task_id.clone(),
            state: state as i32,
            source: Some(Source::Executor as i32),
            agent_id: agent_id.clone(),
            executor_id: executor_id.clone(),
            timestamp: Some(timestamp),
            uuid: Some(uuid.clone()),
            ..v1::TaskStatus::default()
        };
        let update = internal::StatusUpdate {
            framework_id: task.row.framework_id.clone(),
            executor_id,
            agent_id,
            status,
            timestamp,
            uuid: Some(uuid),
            latest_state: Some(task.row.state),
        };
        self.say(internal::StatusUpdateMessage { update, pid }.into(), out);
    }

    fn on_acknowledgement(
        &mut self,
        now: Tick,
        wall: WallTime,
        message: &internal::StatusUpdateAcknowledgementMessage,
        out: &mut Effects,
    ) {
        let of = |task: &Task| task.row.task_id == message.task_id && task.row.framework_id == message.framework_id;
        let Some(index) = self.tasks.iter().position(of) else { return };
        let task = &mut self.tasks[index];
        let Some((state, _)) = task.open.pop_front_if(|(_, uuid)| *uuid == message.uuid) else { return };
        task.retry = None;
        if task_state::is_terminal(state) {
            let task = self.tasks.remove(index);
            let still = self.tasks.iter().any(|other| other.row.framework_id == task.row.framework_id);
            if !still {
                self.frameworks.retain(|info| info.id.as_ref() != Some(&task.row.framework_id));
            }
        } else {
            self.send_head(index, now, wall, out);
        }
    }

    /// Says of each task the master believes here, and that is not, that it never was.
    fn reconcile(&mut self, now: Tick, wall: WallTime, message: internal::ReconcileTasksMessage, out: &mut Effects) {
        let aware = message.framework.as_ref().is_some_and(|info| {
            let aware = v1::framework_info::capability::Type::PartitionAware;
            info.capabilities.iter().any(|capability| capability.r#type() == aware)
        });
        let end = Refusal::UnknownOnAgent.verdict(aware).state;
        for status in message.statuses {
            let known =
                |task: &Task| task.row.task_id == status.task_id && task.row.framework_id == message.framework_id;
            if self.tasks.iter().any(known) {
                continue;
            }
            let row = v1::Task {
                task_id: status.task_id,
                framework_id: message.framework_id.clone(),
                agent_id: self.info.id.clone().unwrap_or_default(),
                state: end as i32,
                ..v1::Task::default()
            };
            let open = VecDeque::from([(end, Bytes::copy_from_slice(&self.rng.uuid()))]);
            let length = Duration::ZERO;
            self.tasks.push(Task { row, refused: true, due: None, length, end, open, retry: None, backoff: RETRY_MIN });
            let index = self.tasks.len() - 1;
            self.send_head(index, now, wall, out);
        }
    }
}

fn exit_renamed(out: &mut Effects) {
    out.push(Effect::Exit { code: 1, why: "the master calls us by another id".to_owned() });
}

fn resource_version() -> v1::Uuid {
    v1::Uuid { value: Bytes::from_static(b"light agent\0\0\0\0\0") }
}

fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    let known = [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement, Type::AgentDraining];
    known.iter().map(|kind| v1::agent_info::Capability { r#type: Some(*kind as i32) }).collect()
}
