//! An executor's process, as an agent sees it: it subscribes, runs what it is given, says how that goes until it is
//! acknowledged, and comes back when its agent was away. The kinds differ in when they leave.

use std::{collections::BTreeMap, time::Duration};

use agent_core::{ConnectionId, ContainerId, ExecutorKind, Reply, RequestId, Termination};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId, TaskId};
use proto::{
    link::ToExecutor,
    v1::{
        self, TaskState,
        executor::{Call, Event, call, event},
        framework_info::capability,
    },
};
use stdx::Tick;

use super::{World, driver, happening::Local, machine::Stage};
use crate::{observation::Fact, scenario::secs};

/// How long an executor waits for an agent that is away.
const RECOVERY: Duration = Duration::from_secs(900);
/// How long one stays for the acknowledgement of the last thing it said.
const SETTLE: Duration = Duration::from_secs(60);
/// How long one of a framework's stays without work.
const IDLE: Duration = Duration::from_secs(3);

pub(crate) struct Executor {
    pub framework: FrameworkId,
    id: ExecutorId,
    kind: ExecutorKind,
    checkpoints: bool,
    /// It speaks libprocess.
    pub is_v0: bool,
    /// The stream that is open, or asked for.
    conn: Option<ConnectionId>,
    asked: Option<RequestId>,
    was_subscribed: bool,
    away_since: Option<Tick>,
    retry: Option<Tick>,
    resend: Option<Tick>,
    tells_killing: bool,
    tasks: BTreeMap<TaskId, Run>,
    /// Had work, and when it last had.
    used: Option<Tick>,
    /// When it is woken next.
    wake: Option<Tick>,
    unacknowledged: Vec<v1::TaskStatus>,
    held: Vec<v1::TaskInfo>,
}

struct Run {
    ends: Tick,
    state: TaskState,
}

impl Executor {
    pub fn new(framework: FrameworkId, id: ExecutorId, kind: ExecutorKind, checkpoints: bool, is_v0: bool) -> Executor {
        Executor {
            framework,
            id,
            kind,
            checkpoints,
            is_v0,
            conn: None,
            asked: None,
            was_subscribed: false,
            away_since: None,
            retry: Some(Tick::ZERO),
            resend: None,
            tells_killing: false,
            tasks: BTreeMap::new(),
            used: None,
            wake: None,
            unacknowledged: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The tasks it works on, which end with it.
    pub fn take_live(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.tasks).into_keys().collect()
    }

    pub fn live(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.keys()
    }

    fn is_open(&self) -> bool {
        self.conn.is_some() && self.asked.is_none()
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.id.to_proto(),
            framework_id: self.framework.to_proto(),
            r#type: Some(kind as i32),
            ..Call::default()
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        let ends = self.tasks.values().map(|run| run.ends);
        let waits = self.used.filter(|_| self.tasks.is_empty()).and_then(|used| match self.kind {
            // It leaves with the last acknowledgement, or later.
            ExecutorKind::Custom => self.unacknowledged.is_empty().then(|| used + IDLE),
            ExecutorKind::Command | ExecutorKind::Pod => Some(used + SETTLE),
        });
        let gives_up = self.away_since.map(|since| since + RECOVERY + Duration::from_millis(1));
        ends.chain(self.retry).chain(self.resend).chain(waits).chain(gives_up.filter(|_| self.is_v0)).min()
    }
}

/// One executor and where it is, while it acts.
struct Actor<'a> {
    world: &'a mut World,
    agent: u32,
    container: &'a ContainerId,
    executor: Executor,
    /// It has left, with this word for wait(2).
    left: Option<i32>,
}

impl World {
    fn with_executor(&mut self, agent: u32, container: &ContainerId, act: impl FnOnce(&mut Actor<'_>)) {
        let Some(row) = self.machine(agent).and_then(|machine| machine.containers.get_mut(container)) else { return };
        if row.stage != Stage::Running {
            return;
        }
        let Some(executor) = row.executor.take() else { return };
        let mut actor = Actor { world: self, agent, container, executor, left: None };
        act(&mut actor);
        actor.leave_if_done();
        let Actor { mut executor, left, .. } = actor;
        let earliest = self.now + Duration::from_millis(1);
        let deadline = executor.next_deadline().map(|deadline| deadline.max(earliest));
        let deadline = deadline.filter(|deadline| executor.wake.is_none_or(|wake| *deadline < wake));
        executor.wake = deadline.or(executor.wake);
        if let Some(row) = self.machine(agent).and_then(|machine| machine.containers.get_mut(container)) {
            row.executor = Some(executor);
        }
        if let Some(status) = left {
            let termination = Termination { status: Some(status), ..Termination::default() };
            self.end_container(agent, container, termination, Duration::from_millis(2));
        } else if let Some(deadline) = deadline {
            self.plan(agent, deadline.since(self.now), Local::Executor(container.clone()));
        }
    }

    pub(crate) fn wake_executor(&mut self, agent: u32, container: &ContainerId) {
        self.with_executor(agent, container, |actor| {
            if actor.executor.wake.is_none_or(|wake| wake <= actor.world.now) {
                actor.executor.wake = None;
                actor.on_wake();
            }
        });
    }

    pub(crate) fn on_executor_answer(
        &mut self,
        agent: u32,
        container: &ContainerId,
        req: RequestId,
        reply: Option<Reply>,
    ) {
        self.with_executor(agent, container, |actor| actor.on_answer(req, reply));
    }

    pub(crate) fn on_executor_event(&mut self, agent: u32, container: &ContainerId, conn: ConnectionId, event: Event) {
        self.with_executor(agent, container, |actor| {
            if actor.executor.conn == Some(conn) {
                actor.on_event(event);
            }
        });
    }

    /// A v0 executor hears from its agent.
    pub(crate) fn on_executor_told(&mut self, agent: u32, container: &ContainerId, message: ToExecutor) {
        self.with_executor(agent, container, |actor| match driver::event_of(message) {
            None => actor.subscribe(),
            Some(event) => {
                if event.r#type() == event::Type::Subscribed {
                    actor.on_subscribed();
                }
                actor.on_event(event);
            }
        });
    }

    pub(crate) fn on_executor_stream_end(&mut self, agent: u32, container: &ContainerId, conn: ConnectionId) {
        self.with_executor(agent, container, |actor| {
            if actor.executor.conn == Some(conn) {
                actor.lose();
            }
        });
    }
}

impl Actor<'_> {
    fn on_wake(&mut self) {
        let now = self.world.now;
        if self.executor.away_since.is_some_and(|since| now.since(since) > RECOVERY) {
            return self.leave(256);
        }
        let due: Vec<TaskId> =
            self.executor.tasks.iter().filter(|(_, run)| run.ends <= now).map(|(id, _)| id.clone()).collect();
        for task in due {
            self.end(&task);
        }
        if self.executor.retry.is_some_and(|at| at <= now) {
            self.subscribe();
        }
        if self.executor.resend.is_some_and(|at| at <= now) {
            self.executor.resend = None;
            if self.executor.is_open() {
                for status in self.executor.unacknowledged.clone() {
                    self.send(status);
                }
            }
        }
    }

    fn subscribe(&mut self) {
        let (req, conn) = (self.world.mint_req(), self.world.mint_conn());
        let executor = &mut self.executor;
        executor.retry = None;
        executor.conn = Some(conn);
        executor.asked = Some(req);
        let updates = executor.unacknowledged.iter().map(|status| call::Update { status: status.clone() });
        let subscribe =
            call::Subscribe { unacknowledged_tasks: executor.held.clone(), unacknowledged_updates: updates.collect() };
        let call = Call { subscribe: Some(subscribe), ..executor.call(call::Type::Subscribe) };
        self.request(req, Some(conn), call);
    }

    fn request(&mut self, req: RequestId, conn: Option<ConnectionId>, call: Call) {
        let life = self.world.agents[self.agent as usize].life;
        let container = self.container.clone();
        if self.executor.is_v0 {
            let Some(message) = driver::message_of(call, self.executor.was_subscribed) else { return };
            return self.world.plan(self.agent, World::LOOPBACK, Local::Said { life, container, conn, message });
        }
        let call = Box::new(call);
        self.world.plan(self.agent, World::LOOPBACK, Local::Call { life, container, req, conn, call });
    }

    fn on_answer(&mut self, req: RequestId, reply: Option<Reply>) {
        if self.executor.asked == Some(req) {
            match reply {
                Some(Reply::Stream) => self.on_subscribed(),
                Some(Reply::BadRequest(_)) if !self.executor.was_subscribed => self.leave(256),
                _ => self.lose(),
            }
        } else if !matches!(reply, Some(Reply::Accepted)) && self.executor.is_open() {
            self.executor.resend = Some(self.world.now + Duration::from_millis(100));
        }
    }

    fn on_subscribed(&mut self) {
        self.executor.asked = None;
        self.executor.was_subscribed = true;
        self.executor.away_since = None;
    }

    /// The stream is gone.
    fn lose(&mut self) {
        let executor = &mut self.executor;
        executor.conn = None;
        executor.asked = None;
        if executor.was_subscribed && !executor.checkpoints {
            return self.leave(9);
        }
        executor.away_since.get_or_insert(self.world.now);
        // A driver waits to be asked back, if it may expect that.
        if executor.is_v0 {
            if !executor.was_subscribed {
                self.leave(9);
            }
            return;
        }
        let wait = Duration::from_millis(50 + self.world.draws.machines.below(900));
        executor.retry = Some(self.world.now + wait);
    }

    fn on_event(&mut self, event: Event) {
        match event.r#type() {
            event::Type::Subscribed => {
                // A driver that comes back is not told again.
                let Some(subscribed) = event.subscribed else { return };
                let killing = capability::Type::TaskKillingState;
                self.executor.tells_killing =
                    subscribed.framework_info.capabilities.iter().any(|c| c.r#type() == killing);
            }
            event::Type::Launch => event.launch.into_iter().for_each(|launch| self.start(launch.task)),
            event::Type::LaunchGroup => {
                let tasks = event.launch_group.map(|launch| launch.task_group.tasks);
                tasks.unwrap_or_default().into_iter().for_each(|task| self.start(task));
            }
            event::Type::Kill => event.kill.into_iter().for_each(|kill| self.kill(&TaskId::from(&kill.task_id))),
            event::Type::Acknowledged => {
                let Some(ack) = event.acknowledged else { return };
                self.executor.unacknowledged.retain(|status| status.uuid() != ack.uuid);
                self.executor.held.retain(|task| task.task_id != ack.task_id);
            }
            event::Type::Shutdown => {
                let tasks: Vec<TaskId> = self.executor.tasks.keys().cloned().collect();
                for task in tasks {
                    self.conclude(&task, TaskState::TaskKilled);
                }
                self.leave(0);
            }
            event::Type::Message | event::Type::Error | event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    fn start(&mut self, info: v1::TaskInfo) {
        let task = TaskId::from(&info.task_id);
        let amount = |name: &str| {
            let of_name = info.resources.iter().filter(|resource| resource.name == name);
            of_name.filter_map(|resource| resource.scalar.as_ref()).map(|scalar| scalar.value).sum()
        };
        let fact = Fact::TaskStarted {
            agent: self.agent,
            container: self.container.clone(),
            framework: self.executor.framework.clone(),
            task: task.clone(),
            cpus: amount("cpus"),
            mem_mb: amount("mem"),
        };
        self.world.fact(fact);
        let (length, state) = work_of(&info);
        let ends = self.world.now + length;
        self.executor.held.push(info);
        self.executor.tasks.insert(task.clone(), Run { ends, state });
        self.executor.used = Some(self.world.now);
        self.tell(&task, TaskState::TaskStarting);
        self.tell(&task, TaskState::TaskRunning);
    }

    fn kill(&mut self, task: &TaskId) {
        let grace = Duration::from_millis(self.world.draws.machines.below(800));
        let ends = self.world.now + grace;
        let Some(run) = self.executor.tasks.get_mut(task) else { return };
        if run.state == TaskState::TaskKilled {
            return;
        }
        run.state = TaskState::TaskKilled;
        run.ends = run.ends.min(ends);
        if self.executor.tells_killing {
            self.tell(task, TaskState::TaskKilling);
        }
    }

    fn end(&mut self, task: &TaskId) {
        let Some(state) = self.executor.tasks.get(task).map(|run| run.state) else { return };
        self.conclude(task, state);
        if self.executor.kind == ExecutorKind::Pod && state != TaskState::TaskFinished {
            let siblings: Vec<TaskId> = self.executor.tasks.keys().cloned().collect();
            for sibling in siblings {
                self.conclude(&sibling, TaskState::TaskKilled);
            }
        }
    }

    fn conclude(&mut self, task: &TaskId, state: TaskState) {
        if self.executor.tasks.remove(task).is_none() {
            return;
        }
        self.executor.used = Some(self.world.now);
        let (framework, container) = (self.executor.framework.clone(), self.container.clone());
        self.world.fact(Fact::TaskStopped { agent: self.agent, container, framework, task: task.clone() });
        self.tell(task, state);
    }

    fn tell(&mut self, task: &TaskId, state: TaskState) {
        let uuid = Bytes::copy_from_slice(&self.world.draws.machines.uuid());
        let status = v1::TaskStatus {
            task_id: task.to_proto(),
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            executor_id: Some(self.executor.id.to_proto()),
            uuid: Some(uuid.clone()),
            ..v1::TaskStatus::default()
        };
        let framework = self.executor.framework.clone();
        self.world.fact(Fact::ExecutorSaid { agent: self.agent, framework, task: task.clone(), state, uuid });
        self.executor.unacknowledged.push(status.clone());
        if self.executor.is_open() && self.executor.resend.is_none() {
            self.send(status);
        }
    }

    fn send(&mut self, status: v1::TaskStatus) {
        let req = self.world.mint_req();
        let call = Call { update: Some(call::Update { status }), ..self.executor.call(call::Type::Update) };
        self.request(req, None, call);
    }

    fn leave(&mut self, status: i32) {
        self.left.get_or_insert(status);
    }

    fn leave_if_done(&mut self) {
        let executor = &self.executor;
        let Some(used) = executor.used.filter(|_| executor.tasks.is_empty()) else { return };
        let idle = self.world.now.since(used);
        let heard = executor.unacknowledged.is_empty();
        let done = match executor.kind {
            ExecutorKind::Custom => heard && idle >= IDLE,
            ExecutorKind::Command | ExecutorKind::Pod => heard || idle >= SETTLE,
        };
        if done {
            self.leave(0);
        }
    }
}

/// What a simulated task does, written in its data: how long it takes and how it ends.
pub(crate) fn work_of(info: &v1::TaskInfo) -> (Duration, TaskState) {
    let text = info.data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned()).unwrap_or_default();
    let mut words = text.split_whitespace();
    let length = words.next().and_then(|word| word.parse().ok()).map_or(Duration::from_secs(1), secs);
    let state = if words.next() == Some("fails") { TaskState::TaskFailed } else { TaskState::TaskFinished };
    (length, state)
}

/// The other way: what goes into a task's data.
pub(crate) fn data_of(seconds: f64, fails: bool) -> Bytes {
    Bytes::from(format!("{seconds:.6} {}", if fails { "fails" } else { "ends" }))
}
