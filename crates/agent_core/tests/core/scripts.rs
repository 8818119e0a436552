//! Runs `testdata/*.txt`: lines that begin with `>` are commands, what follows each is every effect it had. Where the
//! two differ the test fails, or, with MESETA_BLESS=1, the file is rewritten.

use crate::{
    build,
    text::Names,
    world::{World, config},
};
use agent_core::{
    Caller, ConnectionId, Event, LaunchFailure, Proof, ReconfigurationPolicy, Recover, RequestId, Termination,
};
use bytes::Bytes;
use proto::{
    internal,
    link::{FromExecutor, ToAgent},
    upid::Upid,
    v1::{self, agent, executor::call},
};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

#[test]
fn every_script_has_the_effects_it_says() {
    let bless = std::env::var_os("MESETA_BLESS").is_some();
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty());
    let mut failed = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let actual = play(&expected);
        if actual != expected {
            if bless {
                fs::write(&path, actual).unwrap();
            } else {
                let line = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
                let line = line.unwrap_or_else(|| actual.lines().count().min(expected.lines().count()));
                let at = |text: &str| text.lines().nth(line).unwrap_or("<end>").to_owned();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                failed.push(format!("{name}:{}\n  expected: {}\n  actual:   {}", line + 1, at(&expected), at(&actual)));
            }
        }
    }
    assert!(failed.is_empty(), "rerun with MESETA_BLESS=1 if these are right:\n{}", failed.join("\n"));
}

/// The script with the effects that its commands have now.
fn play(script: &str) -> String {
    let mut player = Player::new();
    let mut text = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            text.push_str(line);
            text.push('\n');
            for line in player.command(command) {
                text.push_str(&format!("{line}\n"));
            }
        } else if line.is_empty() || line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

struct Player {
    world: World,
    names: Names,
    /// Journal and containers answer only when told to.
    manual: bool,
    agent: String,
    requests: u64,
    updates: u64,
    lines: Vec<String>,
    /// The latest stream of each executor.
    streams: BTreeMap<String, u64>,
}

/// The words of a command: positional ones, and `key=value` or flags.
struct Words<'a> {
    plain: Vec<&'a str>,
    keys: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn at(&self, index: usize) -> &'a str {
        self.plain.get(index).unwrap_or_else(|| panic!("word {index} is missing after {:?}", self.plain))
    }

    fn key(&self, name: &str) -> Option<&'a str> {
        self.keys.get(name).copied()
    }

    fn says(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    /// Everything from this word on.
    fn rest(&self, index: usize) -> String {
        self.plain.get(index..).unwrap_or_default().join(" ")
    }
}

impl Player {
    fn new() -> Player {
        Player {
            world: World::new(config(), 7),
            names: Names::default(),
            manual: false,
            agent: "S1".into(),
            requests: 0,
            updates: 0,
            lines: Vec::new(),
            streams: BTreeMap::new(),
        }
    }

    fn command(&mut self, command: &str) -> Vec<String> {
        let (keys, plain): (Vec<&str>, Vec<&str>) = command.split_whitespace().partition(|word| word.contains('='));
        let keys = keys.into_iter().filter_map(|word| word.split_once('=')).collect();
        let words = Words { plain, keys };
        self.run(&words);
        if !self.manual {
            self.settle();
        }
        std::mem::take(&mut self.lines)
    }

    fn step(&mut self, event: Event) {
        for effect in self.world.step(event) {
            let line = self.names.effect(&effect);
            self.lines.push(format!("  {line}"));
        }
    }

    fn master(&mut self, message: impl Into<ToAgent>) {
        self.step(Event::FromMaster { from: build::upid("10.0.0.1"), message: message.into() });
    }

    fn settle(&mut self) {
        let (names, lines) = (&mut self.names, &mut self.lines);
        self.world.settle(|event, effects| {
            lines.push(format!(" {}", names.cause(event)));
            lines.extend(effects.iter().map(|effect| format!("  {}", names.effect(effect))));
        });
    }

    fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    fn uuid(&mut self, words: &Words) -> Bytes {
        match words.key("uuid") {
            Some(name) => match name.strip_prefix('x') {
                Some(n) => build::uuid(n.parse().unwrap()),
                None => Bytes::copy_from_slice(&self.names.uuids[name[1..].parse::<usize>().unwrap() - 1]),
            },
            None => {
                self.updates += 1;
                build::uuid(self.updates)
            }
        }
    }

    fn executor_call(&mut self, words: &Words, kind: call::Type, fill: impl FnOnce(&mut v1::executor::Call)) {
        let req = self.request();
        if kind == call::Type::Subscribe {
            self.streams.insert(format!("{}/{}", words.at(1), words.at(2)), req);
        }
        let mut call = build::executor_call(words.at(1), words.at(2), kind);
        fill(&mut call);
        self.step(Event::FromExecutor {
            req: RequestId(req),
            conn: Some(ConnectionId(req)),
            caller: self.caller(words),
            call: Box::new(call),
        });
    }

    /// What a v0 executor says from the address that comes first.
    fn driver(&mut self, words: &Words, message: impl Into<FromExecutor>) {
        let (from, caller) = (words.at(1).parse().unwrap(), self.caller(words));
        self.step(Event::FromDriver { from, caller, message: message.into() });
    }

    /// `by=c1`, `by=network`, `by=user` or `by=stranger`; else an operator.
    fn caller(&self, words: &Words) -> Caller {
        match words.key("by") {
            None => Caller::Operator,
            Some("network") => Caller::Network,
            Some("user") => Caller::User(1000),
            Some("stranger") => Caller::Stranger("its process has ended".into()),
            Some(container) => Caller::Container(self.names.container(container)),
        }
    }

    fn operator_call(&mut self, words: &Words, call: agent::Call) {
        let req = self.request();
        self.step(Event::FromOperator {
            req: RequestId(req),
            conn: ConnectionId(req),
            caller: self.caller(words),
            call: Box::new(call),
        });
    }

    fn tasks(&self, names: &str) -> Vec<v1::TaskInfo> {
        names.split(',').filter(|name| !name.is_empty()).map(|name| build::task(name, &self.agent)).collect()
    }

    fn run(&mut self, words: &Words) {
        let framework =
            |words: &Words| build::framework(words.at(1), words.key("checkpoint") != Some("no"), words.says("aware"));
        let launch = match words.key("launch") {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        };
        match words.at(0) {
            "config" => self.configure(words),
            "start" => {
                let event = Event::Recovered { state: Box::default(), found: Vec::new(), boot_id: "boot-1".into() };
                self.step(event);
            }
            "restart" => {
                if let Some(boot) = words.key("boot") {
                    self.world.boot_id = boot.into();
                    self.world.containers.clear();
                }
                if words.says("too-early") {
                    self.world.containers.retain(|_, state| *state != crate::world::ContainerState::Launching);
                }
                for effect in self.world.restart() {
                    let line = self.names.effect(&effect);
                    self.lines.push(format!("  {line}"));
                }
            }
            "compact" => self.world.compact(),
            "manual" => self.manual = true,
            "auto" => self.manual = false,
            "details" => self.names.details = words.says("on"),
            "sync" => {
                for event in self.world.sync() {
                    self.step(event);
                }
            }
            "journal-fails" => {
                let ticket = self.world.unsynced.iter().find_map(|(ticket, _)| *ticket).unwrap();
                self.step(Event::Checkpointed { ticket, outcome: Err("disk full".into()) });
            }
            "wait" => {
                let time = Duration::from_secs_f64(words.at(1).trim_end_matches('s').parse().unwrap());
                let (names, lines) = (&mut self.names, &mut self.lines);
                self.world.wait(time, |at, effects| {
                    lines.push(format!(" at {:.3}", at.0 as f64 / 1e9).replace(" at 0.000", " then"));
                    lines.extend(effects.iter().map(|effect| format!("  {}", names.effect(effect))));
                });
            }
            "master" => {
                let master = (words.at(1) != "none").then(|| build::upid(words.at(1)));
                self.step(Event::MasterDetected { master });
            }
            "registered" => {
                self.agent = words.at(1).into();
                let seconds = words.key("ping").map(|seconds| seconds.parse().unwrap());
                let connection = Some(internal::MasterSlaveConnection { total_ping_timeout_seconds: seconds });
                self.master(internal::SlaveRegisteredMessage { agent_id: build::agent_id(words.at(1)), connection });
            }
            "reregistered" => {
                let mut message =
                    internal::SlaveReregisteredMessage { agent_id: build::agent_id(words.at(1)), ..Default::default() };
                if let Some((framework, task)) = words.key("reconcile").and_then(|pair| pair.split_once('/')) {
                    message.reconciliations.push(internal::ReconcileTasksMessage {
                        framework_id: build::framework_id(framework),
                        statuses: vec![v1::TaskStatus { task_id: build::task_id(task), ..Default::default() }],
                        framework: None,
                    });
                }
                self.master(message);
            }
            "ping" => {
                let from = proto::upid::Upid::new("slave-observer(1)", words.key("from").unwrap_or("10.0.0.1"), 5050);
                let message = internal::PingSlaveMessage { connected: words.key("connected") != Some("no") };
                self.step(Event::FromMaster { from, message: message.into() });
            }
            "authenticated" => {
                let proof = match words.at(2) {
                    "taken" => Proof::Taken,
                    "refused" => Proof::Refused,
                    why => Proof::Failed(why.into()),
                };
                self.step(Event::Authenticated { master: build::upid(words.at(1)), proof });
            }
            "v0-register" => {
                let (framework_id, executor_id) = (build::framework_id(words.at(2)), build::executor_id(words.at(3)));
                self.driver(words, internal::RegisterExecutorMessage { framework_id, executor_id });
            }
            "v0-reregister" => {
                let tasks = self.tasks(words.key("tasks").unwrap_or_default());
                let update = words.key("update").map(|update| {
                    let parts: Vec<&str> = update.split(':').collect();
                    build::driver_update(words.at(2), words.at(3), parts[0], parts[1], parts[2][1..].parse().unwrap())
                });
                let message = internal::ReregisterExecutorMessage {
                    framework_id: build::framework_id(words.at(2)),
                    executor_id: build::executor_id(words.at(3)),
                    tasks,
                    updates: update.into_iter().collect(),
                };
                self.driver(words, message);
            }
            "v0-update" => {
                self.updates += 1;
                let (framework, executor) = (words.at(2), words.at(3));
                let update = build::driver_update(framework, executor, words.at(4), words.at(5), self.updates);
                self.driver(words, internal::StatusUpdateMessage { update, pid: None });
            }
            "v0-message" => {
                let message = internal::ExecutorToFrameworkMessage {
                    agent_id: build::agent_id(&self.agent),
                    framework_id: build::framework_id(words.at(2)),
                    executor_id: build::executor_id(words.at(3)),
                    data: Bytes::from(words.rest(4)),
                };
                self.driver(words, message);
            }
            "v0-exited" => self.step(Event::Exited { peer: words.at(1).parse().unwrap() }),
            "driver-acks" | "driver-says" => {
                let from = Upid::new("scheduler-1", "10.0.0.7", 7000);
                let (agent_id, framework_id) = (build::agent_id(&self.agent), build::framework_id(words.at(1)));
                let message: ToAgent = if words.at(0) == "driver-acks" {
                    let key = (words.at(1).to_owned(), words.at(2).to_owned());
                    let uuid = self.names.forwarded.get(&key).cloned().unwrap_or_default();
                    build::acknowledgement(words.at(1), words.at(2), &self.agent, uuid).into()
                } else {
                    let executor_id = build::executor_id(words.at(2));
                    let data = Bytes::from(words.rest(3));
                    internal::FrameworkToExecutorMessage { agent_id, framework_id, executor_id, data }.into()
                };
                self.step(Event::FromMaster { from, message });
            }
            "exited" => self.step(Event::Exited { peer: build::upid(words.at(1)) }),
            "from" => {
                let message = internal::ShutdownMessage::default();
                self.step(Event::FromMaster { from: build::upid(words.at(1)), message: message.into() });
            }
            "run" => {
                let mut message = build::run_command(framework(words), words.at(2), &self.agent);
                message.launch_executor = launch;
                message.pid = words.key("pid").map(Into::into);
                if let (Some(variable), Some(command)) = (words.key("env"), &mut message.task.command) {
                    command.environment = Some(build::environment(variable));
                }
                if let Some(executor) = words.key("executor") {
                    message.task.command = None;
                    message.task.executor = Some(Box::new(build::executor(executor, v1::executor_info::Type::Custom)));
                }
                if let Some(limit) = words.key("mem_limit") {
                    let value = if limit == "inf" { f64::INFINITY } else { limit.parse().unwrap() };
                    message.task.limits.insert("mem".into(), v1::value::Scalar { value });
                }
                if let Some(what) = words.key("volume") {
                    message.task.resources.push(volume(what));
                }
                if let Some(user) = words.key("user") {
                    message.task.command.as_mut().unwrap().user = Some(user.into());
                }
                if let Some(agent) = words.key("agent") {
                    message.task.agent_id.value = agent.into();
                }
                if words.says("stale") {
                    let uuid = v1::Uuid { value: build::uuid(99) };
                    message.resource_version_uuids.push(internal::ResourceVersionUuid { uuid, ..Default::default() });
                }
                self.master(message);
            }
            "group" => {
                let mut tasks = self.tasks(words.at(3));
                if let Some(user) = words.key("user") {
                    for task in &mut tasks {
                        task.command.get_or_insert_with(|| build::command("work")).user = Some(user.into());
                    }
                }
                let message = internal::RunTaskGroupMessage {
                    framework: framework(words),
                    executor: build::executor(words.at(2), v1::executor_info::Type::Default),
                    task_group: v1::TaskGroupInfo { tasks },
                    launch_executor: launch,
                    ..Default::default()
                };
                self.master(message);
            }
            "kill" => self.master(internal::KillTaskMessage {
                framework_id: build::framework_id(words.at(1)),
                task_id: build::task_id(words.at(2)),
                kill_policy: words.key("grace").map(|seconds| v1::KillPolicy {
                    grace_period: Some(v1::DurationInfo {
                        nanoseconds: seconds.parse::<i64>().unwrap() * 1_000_000_000,
                    }),
                }),
            }),
            "ack" => {
                let uuid = match words.key("uuid") {
                    Some(_) => self.uuid(words),
                    None => {
                        let key = (words.at(1).to_owned(), words.at(2).to_owned());
                        self.names.forwarded.get(&key).cloned().unwrap_or_default()
                    }
                };
                let message = build::acknowledgement(words.at(1), words.at(2), &self.agent, uuid);
                self.master(message);
            }
            "shutdown-executor" => self.master(internal::ShutdownExecutorMessage {
                framework_id: Some(build::framework_id(words.at(1))),
                executor_id: Some(build::executor_id(words.at(2))),
            }),
            "shutdown-framework" => {
                self.master(internal::ShutdownFrameworkMessage { framework_id: build::framework_id(words.at(1)) });
            }
            "update-framework" => self.master(internal::UpdateFrameworkMessage {
                framework_id: build::framework_id(words.at(1)),
                pid: words.key("pid").map(Into::into),
                framework_info: Some(build::framework(words.at(1), false, true)),
            }),
            "shutdown" => self.master(internal::ShutdownMessage { message: Some(words.rest(1)) }),
            "stop" => self.step(Event::Shutdown { why: words.rest(1) }),
            "to-executor" => self.master(internal::FrameworkToExecutorMessage {
                agent_id: build::agent_id(&self.agent),
                framework_id: build::framework_id(words.at(1)),
                executor_id: build::executor_id(words.at(2)),
                data: Bytes::from(words.rest(3)),
            }),
            "drain" => self.master(internal::DrainSlaveMessage {
                config: v1::DrainConfig {
                    max_grace_period: words.key("grace").map(|seconds| v1::DurationInfo {
                        nanoseconds: seconds.parse::<i64>().unwrap() * 1_000_000_000,
                    }),
                    mark_gone: Some(words.says("gone")),
                },
            }),
            "apply" => self.master(internal::ApplyOperationMessage {
                framework_id: Some(build::framework_id("f")),
                operation_info: operation(words.at(2), words.at(3)),
                operation_uuid: operation_uuid(words.at(1)),
                ..Default::default()
            }),
            "ack-operation" => {
                let operation_uuid = operation_uuid(words.at(1));
                let row = self.world.agent.view().operations.get(&operation_uuid.value).cloned();
                let told = row.and_then(|row| row.proto.latest_status.uuid.clone());
                let status_uuid = told.unwrap_or_else(|| v1::Uuid { value: build::uuid(9) });
                self.master(internal::AcknowledgeOperationStatusMessage {
                    status_uuid,
                    operation_uuid,
                    resource_provider_id: None,
                });
            }
            "reconcile-operations" => self.master(internal::ReconcileOperationsMessage {
                operations: vec![internal::reconcile_operations_message::Operation::default()],
                ..Default::default()
            }),
            "checkpoint-resources" => {
                let resources = words.key("volume").map(|text| vec![volume(text)]).unwrap_or_default();
                self.master(internal::CheckpointResourcesMessage { resources });
            }
            "subscribe" => {
                let mut subscribe = call::Subscribe {
                    unacknowledged_tasks: self.tasks(words.key("tasks").unwrap_or_default()),
                    ..Default::default()
                };
                if let Some(update) = words.key("update") {
                    let parts: Vec<&str> = update.split(':').collect();
                    let uuid = build::uuid(parts[2][1..].parse().unwrap());
                    let status = build::status(parts[0], build::state(parts[1]), uuid);
                    subscribe.unacknowledged_updates.push(call::Update { status });
                }
                self.executor_call(words, call::Type::Subscribe, |call| call.subscribe = Some(subscribe));
            }
            "update" => {
                let uuid = self.uuid(words);
                let mut status = build::status(words.at(3), build::state(words.at(4)), uuid);
                if words.says("from-agent") {
                    status.source = Some(v1::task_status::Source::Agent as i32);
                }
                self.executor_call(words, call::Type::Update, |call| call.update = Some(call::Update { status }));
            }
            "message" => {
                let data = Bytes::from(words.rest(3));
                self.executor_call(words, call::Type::Message, |call| call.message = Some(call::Message { data }));
            }
            "heartbeat" => self.executor_call(words, call::Type::Heartbeat, |_| {}),
            "unknown-call" => self.executor_call(words, call::Type::Unknown, |_| {}),
            "close" => {
                let last = self.requests;
                let conn = match words.at(1) {
                    "last" => last,
                    framework => self.streams.get(&format!("{framework}/{}", words.at(2))).copied().unwrap_or(0),
                };
                self.step(Event::Closed { conn: ConnectionId(conn) });
            }
            "launched" => {
                let container = self.names.container(words.at(1));
                self.world.containers.insert(container.clone(), crate::world::ContainerState::Running);
                self.step(Event::Launched { container, outcome: Ok(agent_core::Launched { pid: Some(100) }) });
            }
            "launch-fails" => {
                let container = self.names.container(words.at(1));
                self.world.containers.remove(&container);
                let failure = LaunchFailure {
                    message: words.rest(2),
                    not_supported: words.key("supported") == Some("no"),
                    ..Default::default()
                };
                self.step(Event::Launched { container, outcome: Err(failure) });
            }
            "terminated" => {
                let container = self.names.container(words.at(1));
                self.world.containers.retain(|id, _| *id != container && !id.is_inside(&container));
                let termination = Termination {
                    status: words.key("status").map(|status| status.parse().unwrap()),
                    state: words.key("state").map(build::state),
                    reason: words.key("reason").and_then(v1::task_status::Reason::from_str_name),
                    message: words.key("message").map(Into::into),
                    limitation: None,
                };
                self.step(Event::Terminated { container, termination });
            }
            "limits-refused" => {
                let container = self.names.container(words.at(1));
                self.step(Event::LimitsRefused { container, message: words.rest(2) });
            }
            "launch-nested" | "launch" | "session" | "wait-nested" | "wait-container" | "signal-nested" | "signal"
            | "remove-nested" | "remove" => self.container_call(words),
            "links-done" | "links-fail" => {
                let outcome = if words.at(0) == "links-done" { Ok(()) } else { Err(words.rest(1)) };
                for ticket in std::mem::take(&mut self.world.linking) {
                    self.step(Event::VolumesLinked { ticket, outcome: outcome.clone() });
                }
            }
            "sessions" => self.sessions(words.at(1), words.at(2).parse().unwrap()),
            "get-state" => {
                self.operator_call(
                    words,
                    agent::Call { r#type: Some(agent::call::Type::GetState as i32), ..Default::default() },
                );
            }
            "disk" => self.step(Event::DiskMeasured { used: words.at(1).parse().unwrap() }),
            "show" => {
                let lines = self.names.state(self.world.agent.view());
                self.lines.extend(lines.into_iter().map(|line| format!("  {line}")));
            }
            other => panic!("no command {other}"),
        }
    }

    /// So many sessions that are over at once, of which only what is removed is shown.
    fn sessions(&mut self, root: &str, count: usize) {
        for n in 1..=count {
            let name = format!("{root}.s{n}");
            self.container_call(&Words { plain: vec!["session", &name], keys: BTreeMap::new() });
            self.settle();
            let container = self.names.container(&name);
            self.world.containers.remove(&container);
            self.world.now = self.world.now + Duration::from_millis(1);
            self.step(Event::Terminated { container, termination: Termination::default() });
        }
        self.lines.retain(|line| line.contains("Remove"));
    }

    fn container_call(&mut self, words: &Words) {
        let container_id = self.names.container(words.at(1)).to_proto();
        let command = (!words.says("no-command")).then(|| v1::CommandInfo {
            user: words.key("user").map(str::to_owned),
            environment: words.key("env").map(build::environment),
            ..build::command("work")
        });
        let signal = words.key("signal").map(|signal| signal.parse().unwrap());
        let mut call = agent::Call::default();
        use agent::call::{self, Type};
        let kind = match words.at(0) {
            "launch-nested" => {
                call.launch_nested_container =
                    Some(call::LaunchNestedContainer { container_id, command, ..Default::default() });
                Type::LaunchNestedContainer
            }
            "launch" => {
                call.launch_container = Some(call::LaunchContainer {
                    container_id,
                    command,
                    resources: vec![build::scalar("cpus", 0.5), build::scalar("mem", 16.0)],
                    ..Default::default()
                });
                Type::LaunchContainer
            }
            "session" => {
                call.launch_nested_container_session =
                    Some(call::LaunchNestedContainerSession { container_id, command, ..Default::default() });
                Type::LaunchNestedContainerSession
            }
            "wait-nested" => {
                call.wait_nested_container = Some(call::WaitNestedContainer { container_id });
                Type::WaitNestedContainer
            }
            "wait-container" => {
                call.wait_container = Some(call::WaitContainer { container_id });
                Type::WaitContainer
            }
            "signal-nested" => {
                call.kill_nested_container = Some(call::KillNestedContainer { container_id, signal });
                Type::KillNestedContainer
            }
            "signal" => {
                call.kill_container = Some(call::KillContainer { container_id, signal });
                Type::KillContainer
            }
            "remove-nested" => {
                call.remove_nested_container = Some(call::RemoveNestedContainer { container_id });
                Type::RemoveNestedContainer
            }
            _ => {
                call.remove_container = Some(call::RemoveContainer { container_id });
                Type::RemoveContainer
            }
        };
        call.r#type = Some(kind as i32);
        self.operator_call(words, call);
    }

    fn configure(&mut self, words: &Words) {
        let config = &mut self.world.config;
        for (key, value) in &words.keys {
            match *key {
                "recover" => config.recover = if *value == "cleanup" { Recover::Cleanup } else { Recover::Reconnect },
                "socket" => config.domain_socket = Some((*value).to_owned()),
                "socket_for" => config.http_executor_domain_sockets = *value == "all",
                "policy" => config.reconfiguration_policy = ReconfigurationPolicy::Additive,
                "cpus" => {
                    config.info.resources =
                        vec![build::scalar("cpus", value.parse().unwrap()), build::scalar("mem", 1024.0)]
                }
                "backoff" => config.registration_backoff_factor = Duration::from_secs_f64(value.parse().unwrap()),
                "cpu_limits" => config.cpu_limits = *value == "yes",
                "mem_limits" => config.mem_limits = *value == "yes",
                "authenticate" => config.authenticate = *value == "yes",
                other => panic!("no setting {other}"),
            }
        }
        if self.world.durable.is_empty() {
            self.world.agent = agent_core::Agent::new(config.clone(), 7);
        }
    }
}

/// `reserve NAME:N`, `unreserve NAME:N`, `create ID:N`, `destroy ID:N`, all for the role `r/x`.
fn operation(kind: &str, what: &str) -> v1::offer::Operation {
    use v1::offer::operation::{Create, Destroy, Reserve, Type, Unreserve};
    let mut operation = v1::offer::Operation::default();
    match kind {
        "reserve" => {
            operation.set_type(Type::Reserve);
            operation.reserve = Some(Reserve { resources: vec![reserved(what)], source: Vec::new() });
        }
        "unreserve" => {
            operation.set_type(Type::Unreserve);
            operation.unreserve = Some(Unreserve { resources: vec![reserved(what)] });
        }
        "create" => {
            operation.set_type(Type::Create);
            operation.create = Some(Create { volumes: vec![volume(what)] });
        }
        "destroy" => {
            operation.set_type(Type::Destroy);
            operation.destroy = Some(Destroy { volumes: vec![volume(what)] });
        }
        other => panic!("no operation {other}"),
    }
    operation
}

fn reserved(what: &str) -> v1::Resource {
    let (name, amount) = what.split_once(':').unwrap();
    let mut resource = build::scalar(name, amount.parse().unwrap());
    resource.reservations = vec![v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some("r/x".into()),
        ..Default::default()
    }];
    resource
}

fn volume(what: &str) -> v1::Resource {
    let (id, amount) = what.split_once(':').unwrap();
    let mut resource = reserved(&format!("disk:{amount}"));
    resource.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
        volume: Some(v1::Volume {
            mode: v1::volume::Mode::Rw as i32,
            container_path: "data".into(),
            ..Default::default()
        }),
        source: None,
    }));
    resource
}

/// A test's name for an operation: one digit.
fn operation_uuid(name: &str) -> v1::Uuid {
    v1::Uuid { value: build::uuid(100 + name.parse::<u64>().unwrap()) }
}
