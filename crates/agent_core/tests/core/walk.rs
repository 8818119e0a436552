//! Nonsense in bulk: random events from peers who say anything at any time. After each step the laws hold, nothing
//! panics, and once the noise is over the agent still does its work.

use crate::{
    build,
    world::{ContainerState, World, config},
};
use agent_core::{Caller, ContainerId, Effect, Event, LaunchFailure, Launched, Termination};
use proto::{
    internal,
    link::{FromExecutor, ToAgent},
    upid::Upid,
    v1::{self, TaskState, agent, executor::call},
};
use std::time::Duration;
use stdx::{ConnectionId, RequestId, Rng, Ticket};

const NAMES: [&str; 6] = ["a", "b", "c", "..", "x/y", ""];

struct Walker {
    world: World,
    rng: Rng,
    request: u64,
    /// Uuids that were seen and may be used again.
    uuids: Vec<bytes::Bytes>,
    containers: Vec<ContainerId>,
}

impl Walker {
    fn new(seed: u64) -> Walker {
        Walker {
            world: World::new(config(), seed),
            rng: Rng::new(seed),
            request: 0,
            uuids: vec![build::uuid(1)],
            containers: vec![ContainerId::root_of("alone")],
        }
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.rng.below(items.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn name(&mut self) -> &'static str {
        if self.chance(90) { NAMES[self.rng.below(3) as usize] } else { NAMES[self.rng.below(6) as usize] }
    }

    fn uuid(&mut self) -> bytes::Bytes {
        match self.rng.below(4) {
            0 => bytes::Bytes::from_static(b"short"),
            1 => {
                let fresh = build::uuid(self.rng.next_u64());
                self.uuids.push(fresh.clone());
                fresh
            }
            _ => {
                let last = self.uuids.len() - 1;
                let index = last - self.rng.below(self.uuids.len().min(8) as u64) as usize;
                self.uuids[index].clone()
            }
        }
    }

    fn state(&mut self) -> TaskState {
        *self.pick(&model::task_state::ALL)
    }

    fn container(&mut self) -> ContainerId {
        let last = self.containers.len() - 1;
        let known = self.containers[last - self.rng.below(self.containers.len().min(6) as u64) as usize].clone();
        if self.chance(40) { known.child(if self.chance(50) { "n" } else { "m" }) } else { known }
    }

    fn step(&mut self, event: Event) {
        for effect in self.world.step(event) {
            match effect {
                Effect::Launch { spec } => self.containers.push(spec.container.clone()),
                Effect::ToMaster { message: proto::link::ToMaster::StatusUpdate(message), .. } => {
                    self.uuids.extend(message.update.uuid);
                }
                _ => {}
            }
        }
    }

    fn framework(&mut self) -> v1::FrameworkInfo {
        let name = self.name();
        let mut info = build::framework(name, !name.starts_with('c'), self.rng.below(2) == 0);
        if self.chance(3) {
            info.id = None;
        }
        info
    }

    fn task(&mut self) -> v1::TaskInfo {
        let mut task = build::task(&format!("{}{}", self.name(), self.rng.below(4)), "S1");
        if self.chance(3) {
            task.task_id.value = "../..".into();
        }
        if self.chance(20) {
            task.resources.clear();
        }
        if self.chance(20) {
            task.resources.push(build::scalar("cpus", f64::NAN));
            task.limits.insert("cpus".into(), v1::value::Scalar { value: f64::NEG_INFINITY });
        }
        task
    }

    fn executor(&mut self) -> v1::ExecutorInfo {
        let kind = if self.chance(50) { v1::executor_info::Type::Default } else { v1::executor_info::Type::Custom };
        let mut info = build::executor(self.name(), kind);
        if self.chance(20) {
            info.command = None;
            info.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: i64::MIN });
        }
        info
    }

    fn launch_executor(&mut self) -> Option<bool> {
        *self.pick(&[None, Some(true), Some(false)])
    }

    fn master_message(&mut self) -> ToAgent {
        let framework_id = build::framework_id(self.name());
        let executor_id = build::executor_id(self.name());
        let task_id = self.task().task_id;
        let agent_id = build::agent_id(if self.chance(95) { "S1" } else { "S2" });
        match self.rng.below(20) {
            0 => internal::SlaveRegisteredMessage { agent_id, connection: None }.into(),
            1 => {
                let connection = internal::MasterSlaveConnection { total_ping_timeout_seconds: Some(f64::NAN) };
                let reconciliation = internal::ReconcileTasksMessage {
                    framework_id,
                    statuses: vec![v1::TaskStatus { task_id, ..Default::default() }],
                    framework: None,
                };
                let reconciliations = vec![reconciliation];
                internal::SlaveReregisteredMessage { agent_id, reconciliations, connection: Some(connection) }.into()
            }
            2 => internal::PingSlaveMessage { connected: self.chance(80) }.into(),
            3..=6 => {
                let executor = self.chance(50).then(|| self.executor());
                let task = v1::TaskInfo {
                    executor: executor.map(Box::new),
                    command: Some(build::command("true")),
                    ..self.task()
                };
                let launch_executor = self.launch_executor();
                internal::RunTaskMessage { framework: self.framework(), task, launch_executor, ..Default::default() }
                    .into()
            }
            7 | 8 => {
                let tasks = (0..self.rng.below(3)).map(|_| self.task()).collect();
                internal::RunTaskGroupMessage {
                    framework: self.framework(),
                    executor: self.executor(),
                    task_group: v1::TaskGroupInfo { tasks },
                    launch_executor: self.launch_executor(),
                    ..Default::default()
                }
                .into()
            }
            9 | 10 => internal::KillTaskMessage { framework_id, task_id, kill_policy: None }.into(),
            11 => internal::ShutdownExecutorMessage {
                executor_id: self.chance(90).then_some(executor_id),
                framework_id: self.chance(90).then_some(framework_id),
            }
            .into(),
            12 if self.chance(30) => internal::ShutdownFrameworkMessage { framework_id }.into(),
            13 => {
                internal::FrameworkToExecutorMessage { agent_id, framework_id, executor_id, data: self.uuid() }.into()
            }
            14 => internal::UpdateFrameworkMessage { framework_id, pid: None, framework_info: Some(self.framework()) }
                .into(),
            15 if self.chance(20) => internal::DrainSlaveMessage { config: v1::DrainConfig::default() }.into(),
            16 => internal::ApplyOperationMessage::default().into(),
            17 => internal::ReconcileOperationsMessage::default().into(),
            _ => internal::StatusUpdateAcknowledgementMessage { agent_id, framework_id, task_id, uuid: self.uuid() }
                .into(),
        }
    }

    fn executor_call(&mut self) -> v1::executor::Call {
        let kind = *self.pick(&[
            call::Type::Subscribe,
            call::Type::Subscribe,
            call::Type::Update,
            call::Type::Update,
            call::Type::Update,
            call::Type::Message,
            call::Type::Heartbeat,
            call::Type::Unknown,
        ]);
        // Mostly a real executor's.
        let known: Vec<(String, String)> = self
            .world
            .agent
            .view()
            .executors()
            .map(|row| (row.framework.as_str().to_owned(), row.id.as_str().to_owned()))
            .collect();
        let (framework, executor) = match known.is_empty() || self.chance(20) {
            true => (self.name().to_owned(), self.name().to_owned()),
            false => self.pick(&known).clone(),
        };
        let mut call = build::executor_call(&framework, &executor, kind);
        let mut status = build::status(&self.task().task_id.value, self.state(), self.uuid());
        let tasks: Vec<String> = self
            .world
            .agent
            .view()
            .executors()
            .flat_map(|row| row.tasks.keys())
            .map(|id| id.as_str().to_owned())
            .collect();
        if !tasks.is_empty() && self.chance(80) {
            let task: &String = self.pick(&tasks);
            status.task_id = build::task_id(task);
        }
        if self.chance(10) {
            status.source = None;
        }
        match kind {
            call::Type::Subscribe if self.chance(95) => {
                let mut subscribe = call::Subscribe::default();
                if self.chance(40) {
                    subscribe.unacknowledged_updates.push(call::Update { status });
                }
                if self.chance(40) {
                    subscribe.unacknowledged_tasks.push(self.task());
                }
                call.subscribe = Some(subscribe);
            }
            call::Type::Update if self.chance(95) => call.update = Some(call::Update { status }),
            call::Type::Message if self.chance(95) => call.message = Some(call::Message { data: self.uuid() }),
            _ => {}
        }
        call
    }

    fn operator_call(&mut self) -> agent::Call {
        let mut container_id = self.container().to_proto();
        if self.chance(5) {
            container_id.value = "../x".into();
        }
        let command = self.chance(90).then(|| build::command("work"));
        let mut call = agent::Call::default();
        use agent::call::{self, Type};
        let kind = match self.rng.below(11) {
            0..=2 => {
                call.launch_nested_container =
                    Some(call::LaunchNestedContainer { container_id, command, ..Default::default() });
                Type::LaunchNestedContainer
            }
            3 => {
                call.launch_container = Some(call::LaunchContainer { container_id, command, ..Default::default() });
                Type::LaunchContainer
            }
            4 => {
                call.launch_nested_container_session =
                    Some(call::LaunchNestedContainerSession { container_id, command, ..Default::default() });
                Type::LaunchNestedContainerSession
            }
            5 | 6 => {
                call.wait_container = Some(call::WaitContainer { container_id });
                Type::WaitContainer
            }
            7 => {
                call.kill_container = Some(call::KillContainer { container_id, signal: Some(i32::MIN) });
                Type::KillContainer
            }
            8 => {
                call.remove_container = Some(call::RemoveContainer { container_id });
                Type::RemoveContainer
            }
            9 => Type::AttachContainerOutput,
            _ => Type::Unknown,
        };
        call.r#type = self.chance(97).then_some(kind as i32);
        call
    }

    fn driver(&mut self) -> Upid {
        Upid::new(format!("executor({})", self.rng.below(3)), "10.0.0.5", 7001)
    }

    /// What a v0 executor says, which may be any of the names from any of the addresses.
    fn driver_message(&mut self) -> (Upid, FromExecutor) {
        let (from, framework, executor) = (self.driver(), self.name(), self.name());
        let (framework_id, executor_id) = (build::framework_id(framework), build::executor_id(executor));
        let update = internal::StatusUpdate {
            framework_id: framework_id.clone(),
            executor_id: self.chance(70).then(|| executor_id.clone()),
            agent_id: None,
            status: build::status(&self.task().task_id.value, self.state(), self.uuid()),
            timestamp: f64::NAN,
            uuid: self.chance(80).then(|| self.uuid()),
            latest_state: None,
        };
        let message = match self.rng.below(5) {
            0 => internal::RegisterExecutorMessage { framework_id, executor_id }.into(),
            1 => {
                let (tasks, updates) = (vec![self.task()], vec![update]);
                internal::ReregisterExecutorMessage { framework_id, executor_id, tasks, updates }.into()
            }
            2 | 3 => internal::StatusUpdateMessage { update, pid: None }.into(),
            _ => {
                let (agent_id, data) = (build::agent_id("S1"), bytes::Bytes::from_static(b"hello"));
                internal::ExecutorToFrameworkMessage { agent_id, framework_id, executor_id, data }.into()
            }
        };
        (from, message)
    }

    fn walk(&mut self) {
        self.request += 1;
        let (req, conn) = (RequestId(self.request), ConnectionId(self.request));
        match self.rng.below(100) {
            0..=34 => {
                let from = match self.rng.below(20) {
                    0 => build::upid("10.0.0.9"),
                    1 => Upid::new("slave-observer(1)", "10.0.0.1", 5050),
                    _ => build::upid("10.0.0.1"),
                };
                let message = self.master_message();
                self.step(Event::FromMaster { from, message });
            }
            35..=44 => {
                let (from, message) = self.driver_message();
                self.step(Event::FromDriver { from, caller: Caller::Operator, message });
            }
            45..=59 => {
                let call = Box::new(self.executor_call());
                self.step(Event::FromExecutor { req, conn: Some(conn), caller: Caller::Operator, call });
            }
            60..=67 => {
                let call = Box::new(self.operator_call());
                self.step(Event::FromOperator { req, conn, caller: Caller::Operator, call });
            }
            68..=72 => {
                let conn = self.request.saturating_sub(self.rng.below(30));
                self.step(Event::Closed { conn: ConnectionId(conn) });
            }
            73..=82 => self.settle(),
            83..=85 => {
                let container = self.container();
                let outcome = if self.chance(50) { Ok(Launched::default()) } else { Err(LaunchFailure::default()) };
                // The program reports on what it was asked to launch only.
                if self.world.containers.get(&container) == Some(&ContainerState::Launching) {
                    match outcome {
                        Ok(_) => self.world.containers.insert(container.clone(), ContainerState::Running),
                        Err(_) => self.world.containers.remove(&container),
                    };
                    self.step(Event::Launched { container, outcome });
                }
            }
            86..=89 => {
                let container = self.container();
                self.world.containers.retain(|id, _| *id != container && !id.is_inside(&container));
                self.step(Event::Terminated { container, termination: Termination::default() });
            }
            90 => {
                let container = self.container();
                self.step(Event::LimitsRefused { container, message: "no".into() });
            }
            91 => self.step(Event::DiskMeasured { used: f64::NAN }),
            92 => {
                let peer = if self.chance(50) { build::upid("10.0.0.1") } else { self.driver() };
                self.step(Event::Exited { peer });
            }
            93 => {
                let master = self.chance(80).then(|| build::upid("10.0.0.1"));
                self.step(Event::MasterDetected { master });
            }
            94 => self
                .step(Event::Checkpointed { ticket: Ticket(u64::MAX), outcome: Err("nobody waits for this".into()) }),
            95 if self.chance(30) => {
                self.world.restart();
            }
            96 => {
                if self.world.unsynced.is_empty() {
                    self.world.compact();
                }
            }
            _ => {
                let time = Duration::from_millis(self.rng.below(20_000));
                self.world.wait(time, |_, _| {});
            }
        }
    }

    fn settle(&mut self) {
        let (mut launched, mut uuids) = (Vec::new(), Vec::new());
        self.world.settle(|_, effects| {
            for effect in effects {
                match effect {
                    Effect::Launch { spec } => launched.push(spec.container.clone()),
                    Effect::ToMaster { message: proto::link::ToMaster::StatusUpdate(message), .. } => {
                        uuids.extend(message.update.uuid.clone());
                    }
                    _ => {}
                }
            }
        });
        self.containers.extend(launched);
        self.uuids.extend(uuids);
    }

    /// The noise is over: master and containers behave, and everything comes to its end.
    fn heal(&mut self) {
        self.step(Event::MasterDetected { master: Some(build::upid("10.0.0.1")) });
        self.settle();
        self.world.wait(Duration::from_secs(20), |_, _| {});
        let known = self.world.agent.view().agent_id.as_ref().map_or("S1".into(), |id| id.as_str().to_owned());
        let message = internal::SlaveRegisteredMessage { agent_id: build::agent_id(&known), connection: None };
        self.step(Event::FromMaster { from: build::upid("10.0.0.1"), message: message.into() });
        assert_eq!(self.world.agent.view().phase, agent_core::Phase::Running);
        let ids: Vec<model::FrameworkId> = self.world.agent.view().frameworks.keys().cloned().collect();
        for id in ids {
            let message = internal::ShutdownFrameworkMessage { framework_id: id.to_proto() };
            self.step(Event::FromMaster { from: build::upid("10.0.0.1"), message: message.into() });
        }
        self.settle();
        self.world.wait(Duration::from_secs(20), |_, _| {});
        let mut names = crate::text::Names::default();
        let state = names.state(self.world.agent.view()).join("\n");
        assert!(self.world.agent.view().frameworks.is_empty(), "{state}\n{:?}", self.world.containers);
    }
}

#[test]
fn nonsense_breaks_no_law_and_the_agent_recovers_from_it() {
    let seeds = std::env::var("MESETA_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        let mut walker = Walker::new(seed);
        walker.world.restart();
        walker.step(Event::MasterDetected { master: Some(build::upid("10.0.0.1")) });
        for _ in 0..400 {
            walker.walk();
            if let Some((code, why)) = walker.world.exited.clone() {
                assert!(code == 1 && why.starts_with("the master calls us"), "seed {seed}: {why}");
                walker.world.restart();
            }
        }
        walker.heal();
    }
    assert_eq!(stdx::never::reached(), 0);
}
