//! An agent, a master and executors that mean well, with the agent killed at every single step in turn: whatever the
//! moment, each task is run at most once, ends exactly once, and its updates arrive in order.

use crate::{
    build,
    world::{ContainerState, World, config},
};
use agent_core::{Caller, ContainerId, Effect, Event, ExecutorKind, Program, Termination};
use bytes::Bytes;
use proto::{
    internal,
    link::{ToAgent, ToMaster},
    v1::{self, TaskState, executor::call, executor::event},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use stdx::{ConnectionId, RequestId, Rng};

/// The order of states in which a well-meaning executor reports.
const REPORTS: [TaskState; 3] = [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished];

/// A process in a container: it survives the agent.
#[derive(Debug, Default)]
struct Process {
    framework: String,
    executor: String,
    conn: Option<ConnectionId>,
    /// Events on their way to it.
    inbox: VecDeque<v1::executor::Event>,
    /// Calls on their way to the agent.
    outbox: VecDeque<v1::executor::Call>,
    /// What it ever received.
    received: Vec<String>,
    unacknowledged_tasks: BTreeMap<String, v1::TaskInfo>,
    unacknowledged_updates: Vec<v1::TaskStatus>,
    told_to_end: bool,
}

/// What the master knows of a task.
#[derive(Default)]
struct Known {
    framework: String,
    /// Distinct updates, in order of arrival.
    updates: Vec<(Bytes, TaskState)>,
    acknowledged: bool,
}

struct Cluster {
    world: World,
    processes: BTreeMap<ContainerId, Process>,
    tasks: BTreeMap<String, Known>,
    to_master: VecDeque<ToMaster>,
    to_agent: VecDeque<ToAgent>,
    rng: Rng,
    request: u64,
    uuid: u64,
    crashes: u32,
    started: BTreeMap<String, u32>,
    /// Every effect, for the report of a failure.
    log: Vec<Effect>,
}

impl Cluster {
    fn new(seed: u64) -> Cluster {
        let mut config = config();
        config.registration_backoff_factor = Duration::from_millis(10);
        let mut cluster = Cluster {
            world: World::new(config, seed),
            processes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            to_master: VecDeque::new(),
            to_agent: VecDeque::new(),
            rng: Rng::new(seed),
            request: 0,
            uuid: 0,
            crashes: 0,
            started: BTreeMap::new(),
            log: Vec::new(),
        };
        let effects = cluster.world.restart();
        cluster.carry_out(effects);
        cluster.detect();
        cluster
    }

    fn detect(&mut self) {
        let master = Some(build::upid("10.0.0.1"));
        self.step(Event::MasterDetected { master });
    }

    fn step(&mut self, event: Event) {
        let effects = self.world.step(event);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.log.push(effect.clone());
            match effect {
                Effect::ToMaster { message, .. } => self.to_master.push_back(message),
                Effect::ToExecutor { conn, event } => {
                    if let Some(process) = self.processes.values_mut().find(|process| process.conn == Some(conn)) {
                        process.inbox.push_back(*event);
                    }
                }
                Effect::Close { conn } => {
                    if let Some(process) = self.processes.values_mut().find(|process| process.conn == Some(conn)) {
                        process.conn = None;
                        process.inbox.clear();
                    }
                }
                Effect::Launch { spec } => {
                    let value = |name: &str| {
                        let found = spec.environment.iter().rev().find(|(key, _)| key == name);
                        found.map(|(_, value)| value.clone()).unwrap()
                    };
                    assert!(matches!(
                        spec.program,
                        Program::Executor(ExecutorKind::Command | ExecutorKind::Pod) | Program::Shell(_)
                    ));
                    let process = Process {
                        framework: value("MESOS_FRAMEWORK_ID"),
                        executor: value("MESOS_EXECUTOR_ID"),
                        ..Default::default()
                    };
                    self.processes.insert(spec.container.clone(), process);
                }
                Effect::Reply { reply, .. } => {
                    let fine = matches!(
                        reply,
                        agent_core::Reply::Accepted
                            | agent_core::Reply::Stream
                            | agent_core::Reply::Unavailable(_)
                            | agent_core::Reply::Forbidden(_)
                    );
                    assert!(fine || self.crashes > 0, "{reply:?}");
                }
                Effect::Exit { why, .. } => panic!("the agent gave up: {why}"),
                _ => {}
            }
        }
    }

    /// One thing that can happen now, at random. False when nothing can.
    fn advance(&mut self) -> bool {
        let mut choices: Vec<u8> = Vec::new();
        if !self.world.unsynced.is_empty() {
            choices.push(0);
        }
        if self.world.containers.values().any(|state| *state != ContainerState::Running) {
            choices.push(1);
        }
        if !self.to_master.is_empty() {
            choices.push(2);
        }
        if !self.to_agent.is_empty() {
            choices.push(3);
        }
        let running: Vec<ContainerId> = self
            .processes
            .iter()
            .filter(|(id, process)| self.world.containers.contains_key(*id) && process.can_act())
            .map(|(id, _)| id.clone())
            .collect();
        if !running.is_empty() {
            choices.extend([4, 4]);
        }
        if choices.is_empty() {
            return false;
        }
        match choices[self.rng.below(choices.len() as u64) as usize] {
            0 => {
                let (ticket, bytes) = self.world.unsynced.remove(0);
                self.world.durable.push(bytes);
                if let Some(ticket) = ticket {
                    self.step(Event::Checkpointed { ticket, outcome: Ok(()) });
                }
            }
            1 => self.advance_container(),
            2 => {
                if let Some(message) = self.to_master.pop_front() {
                    self.on_master(message);
                }
            }
            3 => {
                if let Some(message) = self.to_agent.pop_front() {
                    self.step(Event::FromMaster { from: build::upid("10.0.0.1"), message });
                }
            }
            _ => {
                let id = running[self.rng.below(running.len() as u64) as usize].clone();
                self.advance_process(&id);
            }
        }
        true
    }

    fn advance_container(&mut self) {
        let waiting = self.world.containers.iter().find(|(_, state)| **state != ContainerState::Running);
        let Some((id, state)) = waiting.map(|(id, state)| (id.clone(), *state)) else { return };
        if state == ContainerState::Launching {
            self.world.containers.insert(id.clone(), ContainerState::Running);
            self.step(Event::Launched { container: id, outcome: Ok(Default::default()) });
        } else {
            self.end(&id, 9);
        }
    }

    fn end(&mut self, id: &ContainerId, status: i32) {
        self.world.containers.remove(id);
        if let Some(conn) = self.processes.remove(id).and_then(|process| process.conn) {
            self.step(Event::Closed { conn });
        }
        let termination = Termination { status: Some(status), ..Default::default() };
        self.step(Event::Terminated { container: id.clone(), termination });
    }

    fn advance_process(&mut self, id: &ContainerId) {
        self.request += 1;
        let (req, conn) = (RequestId(self.request), ConnectionId(self.request));
        let Some(process) = self.processes.get_mut(id) else { return };
        if process.conn.is_none() {
            process.outbox.clear();
            process.conn = Some(conn);
            let mut call = build::executor_call(&process.framework, &process.executor, call::Type::Subscribe);
            let updates = process.unacknowledged_updates.iter().cloned();
            call.subscribe = Some(call::Subscribe {
                unacknowledged_tasks: process.unacknowledged_tasks.values().cloned().collect(),
                unacknowledged_updates: updates.map(|status| call::Update { status }).collect(),
            });
            return self.step(Event::FromExecutor {
                req,
                conn: Some(conn),
                caller: Caller::Operator,
                call: Box::new(call),
            });
        }
        if let Some(call) = process.outbox.pop_front() {
            return self.step(Event::FromExecutor {
                req,
                conn: Some(conn),
                caller: Caller::Operator,
                call: Box::new(call),
            });
        }
        if let Some(event) = process.inbox.pop_front() {
            return self.on_process(id, event);
        }
        if process.is_done() {
            self.end(&id.clone(), 0);
        }
    }

    fn on_process(&mut self, id: &ContainerId, event: v1::executor::Event) {
        let Some(process) = self.processes.get_mut(id) else { return };
        match event.r#type() {
            event::Type::Launch => {
                let task = event.launch.unwrap().task;
                run(process, vec![task], &mut self.uuid, &mut self.started);
            }
            event::Type::LaunchGroup => {
                let tasks = event.launch_group.unwrap().task_group.tasks;
                run(process, tasks, &mut self.uuid, &mut self.started);
            }
            event::Type::Acknowledged => {
                let acknowledged = event.acknowledged.unwrap();
                process.unacknowledged_tasks.remove(&acknowledged.task_id.value);
                process.unacknowledged_updates.retain(|status| status.uuid() != acknowledged.uuid);
            }
            event::Type::Shutdown => process.told_to_end = true,
            _ => {}
        }
    }

    fn on_master(&mut self, message: ToMaster) {
        let agent_id = build::agent_id("S1");
        match message {
            ToMaster::RegisterSlave(_) => {
                self.to_agent.push_back(internal::SlaveRegisteredMessage { agent_id, connection: None }.into());
            }
            ToMaster::ReregisterSlave(message) => {
                let mut reply = internal::SlaveReregisteredMessage { agent_id, ..Default::default() };
                for (id, known) in self.tasks.iter().filter(|(_, known)| !known.acknowledged) {
                    if !message.tasks.iter().any(|task| task.task_id.value == *id) {
                        reply.reconciliations.push(internal::ReconcileTasksMessage {
                            framework_id: build::framework_id(&known.framework),
                            statuses: vec![v1::TaskStatus { task_id: build::task_id(id), ..Default::default() }],
                            framework: Some(build::framework(&known.framework, true, true)),
                        });
                    }
                }
                self.to_agent.push_back(reply.into());
            }
            ToMaster::StatusUpdate(message) => {
                let status = message.update.status;
                let id = status.task_id.value.clone();
                let known = self.tasks.get_mut(&id).unwrap();
                let uuid = status.uuid.clone().unwrap();
                match known.updates.iter().position(|(known, _)| *known == uuid) {
                    // After a crash an older one may come again, but none after the end.
                    Some(position) => {
                        let newest = position + 1 == known.updates.len();
                        assert!(newest || self.crashes > 0, "{id}: updates out of order");
                        let ended = known.updates.iter().any(|(_, state)| model::task_state::is_terminal(*state));
                        assert!(newest || !ended, "{id}: an older update after the end");
                    }
                    None => {
                        let ended = known.updates.iter().any(|(_, state)| model::task_state::is_terminal(*state));
                        assert!(!ended, "{id}: an update after the end: {:?} {:?}", known.updates, status.state());
                        known.updates.push((uuid.clone(), status.state()));
                    }
                }
                known.acknowledged |= model::task_state::is_terminal(status.state());
                let framework = known.framework.clone();
                self.to_agent.push_back(build::acknowledgement(&framework, &id, "S1", uuid).into());
            }
            _ => {}
        }
    }

    /// kill -9 of the agent. Whatever was on its way is lost; so may be launches that had not come about.
    fn crash(&mut self) {
        self.crashes += 1;
        self.to_agent.clear();
        if self.rng.below(2) == 0 {
            self.to_master.clear();
        }
        // Some of what was written has reached the disk.
        let synced = self.rng.below(self.world.unsynced.len() as u64 + 1) as usize;
        for (_, bytes) in self.world.unsynced.drain(..synced) {
            self.world.durable.push(bytes);
        }
        for (id, state) in self.world.containers.clone() {
            let untouched = self.processes.get(&id).is_none_or(|process| process.conn.is_none());
            if state == ContainerState::Launching && untouched && self.rng.below(2) == 0 {
                self.world.containers.remove(&id);
            }
        }
        let live: Vec<ContainerId> = self
            .world
            .containers
            .iter()
            .filter(|(_, s)| **s != ContainerState::Destroying)
            .map(|(id, _)| id.clone())
            .collect();
        self.processes.retain(|id, _| live.contains(id));
        for process in self.processes.values_mut() {
            process.conn = None;
            process.inbox.clear();
            process.outbox.clear();
        }
        let effects = self.world.restart();
        self.carry_out(effects);
        self.detect();
    }

    /// Runs until all tasks have ended, advancing time when nothing else can happen.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            if self.advance() {
                continue;
            }
            // A framework's own executor stays until it is told to end.
            let done = self.tasks.values().all(|known| known.acknowledged);
            if done && let Some(process) = self.processes.values_mut().find(|process| process.executor == "e") {
                process.told_to_end = true;
                continue;
            }
            if self.tasks.values().all(|known| known.acknowledged) && self.world.agent.view().frameworks.is_empty() {
                return;
            }
            let (deadline, _) = self.world.agent.next_deadline().unwrap();
            self.world.now = deadline.max(self.world.now);
            self.step(Event::Wake);
        }
        let open: Vec<&String> = self.tasks.iter().filter(|(_, known)| !known.acknowledged).map(|(id, _)| id).collect();
        let mut names = crate::text::Names::default();
        let state = names.state(self.world.agent.view()).join("\n");
        panic!("no end in sight: {open:?}\n{:#?}\n{state}", self.processes);
    }

    fn order(&mut self, framework: &str, id: &str, message: impl Into<ToAgent>) {
        let ids = id.split(',');
        for id in ids {
            self.tasks.insert(id.into(), Known { framework: framework.into(), ..Default::default() });
        }
        self.to_agent.push_back(message.into());
    }

    fn order_all(&mut self) {
        let f = build::framework("f", true, true);
        self.order("f", "t1", build::run_command(f.clone(), "t1", "S1"));
        self.order("f", "t2", build::run_command(f.clone(), "t2", "S1"));
        let pod = build::executor("pod", v1::executor_info::Type::Default);
        let tasks = vec![build::task("p1", "S1"), build::task("p2", "S1")];
        let group = internal::RunTaskGroupMessage {
            framework: f.clone(),
            executor: pod,
            task_group: v1::TaskGroupInfo { tasks },
            launch_executor: Some(true),
            ..Default::default()
        };
        self.order("f", "p1,p2", group);
        for (id, launch) in [("e1", true), ("e2", false)] {
            let task = v1::TaskInfo {
                executor: Some(Box::new(build::executor("e", v1::executor_info::Type::Custom))),
                ..build::task(id, "S1")
            };
            let message = internal::RunTaskMessage {
                framework: f.clone(),
                task,
                launch_executor: Some(launch),
                ..Default::default()
            };
            self.order("f", id, message);
        }
    }

    fn report(&self) -> String {
        let mut names = crate::text::Names::default();
        self.log.iter().map(|effect| names.effect(effect) + "\n").collect()
    }

    fn check(&self) {
        for (id, known) in &self.tasks {
            let ends: Vec<TaskState> = known
                .updates
                .iter()
                .map(|(_, state)| *state)
                .filter(|state| model::task_state::is_terminal(*state))
                .collect();
            assert_eq!(ends.len(), 1, "{id}: {:?}", known.updates);
            let runs = self.started.get(id).copied().unwrap_or(0);
            assert!(runs <= 1, "{id} ran {runs} times");
            // What an executor has begun is finished; the others were never heard of by the agent that came back.
            let finished = ends[0] == TaskState::TaskFinished;
            assert_eq!(finished, runs == 1, "{id}: {:?} after {runs} runs\n{}", known.updates, self.report());
            let never_arrived = ends[0] == TaskState::TaskDropped && self.crashes > 0;
            assert!(finished || never_arrived, "{id}: {:?}\n{}", known.updates, self.report());
        }
        assert!(self.world.containers.is_empty(), "{:?}", self.world.containers);
    }
}

impl Process {
    fn can_act(&self) -> bool {
        self.conn.is_none() || !self.inbox.is_empty() || !self.outbox.is_empty() || self.is_done()
    }

    /// Custom executors, too, end after their work here.
    fn is_done(&self) -> bool {
        let work_over = !self.received.is_empty() && self.unacknowledged_updates.is_empty();
        self.told_to_end || work_over && (self.executor != "e" || self.received.len() == 2)
    }
}

fn run(process: &mut Process, tasks: Vec<v1::TaskInfo>, uuid: &mut u64, started: &mut BTreeMap<String, u32>) {
    for task in &tasks {
        let id = task.task_id.value.clone();
        assert!(!process.received.contains(&id), "{id} is delivered twice");
        *started.entry(id.clone()).or_default() += 1;
        process.received.push(id.clone());
        process.unacknowledged_tasks.insert(id, task.clone());
    }
    for state in REPORTS {
        for task in &tasks {
            *uuid += 1;
            let mut status = build::status(&task.task_id.value, state, build::uuid(*uuid));
            status.uuid = Some(build::uuid(*uuid));
            process.unacknowledged_updates.push(status.clone());
            let mut call = build::executor_call(&process.framework, &process.executor, call::Type::Update);
            call.update = Some(call::Update { status });
            process.outbox.push_back(call);
        }
    }
}

/// Orders everything once the agent is registered, and kills it after `crash_at` further steps.
fn run_with_crash(seed: u64, crash_at: Option<u32>, compact: bool) -> u32 {
    let mut cluster = Cluster::new(seed);
    while cluster.world.agent.view().phase != agent_core::Phase::Running {
        if !cluster.advance() {
            let (deadline, _) = cluster.world.agent.next_deadline().unwrap();
            cluster.world.now = deadline;
            cluster.step(Event::Wake);
        }
    }
    cluster.order_all();
    let mut steps = 0;
    while cluster.advance() {
        steps += 1;
        if crash_at == Some(steps) {
            if compact {
                // What waits for the disk is in the snapshot already.
                let tickets: Vec<_> = cluster.world.unsynced.drain(..).filter_map(|(ticket, _)| ticket).collect();
                cluster.world.compact();
                for ticket in tickets {
                    cluster.step(Event::Checkpointed { ticket, outcome: Ok(()) });
                }
            }
            cluster.crash();
        }
    }
    cluster.finish();
    cluster.check();
    steps
}

#[test]
fn without_a_crash_everything_finishes() {
    for seed in 0..20 {
        run_with_crash(seed, None, false);
    }
}

#[test]
fn a_crash_at_any_step_loses_nothing_and_runs_nothing_twice() {
    for seed in 0..12 {
        let steps = run_with_crash(seed, None, false);
        assert!(steps > 80, "{steps}");
        for crash_at in 1..=steps {
            run_with_crash(seed, Some(crash_at), false);
        }
    }
}

#[test]
fn a_compacted_journal_is_as_good_as_the_long_one() {
    for seed in 100..106 {
        let steps = run_with_crash(seed, None, false);
        for crash_at in 1..=steps {
            run_with_crash(seed, Some(crash_at), true);
        }
    }
}
