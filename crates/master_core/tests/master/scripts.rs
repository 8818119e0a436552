//! Runs `testdata/*.txt`: commands, `----`, and every effect they have, in the words of `short`. `MESETA_BLESS=1`
//! writes the effects down anew. An indented line goes on with the one above.
//!
//! Commands: `manual` (writes wait for `persist [fail]`), `set OPTION VALUE`, `admitted ID N RESOURCES` (before
//! `elected`), `recorded ID {FRAMEWORK INFO}`, `removed ID` (frameworks of the registry, too),
//! `elected`, `failover` (another master `m1000` takes over), `deposed`,
//! `advance SECONDS` (without heartbeats and answered pings), `watch SECONDS` (with them), `silent N...` (answer no
//! pings), `register N [host=H] [RESOURCES]`, `reregister N ID [port=P] {MORE}`,
//! `from N MESSAGE {JSON}`, `update N TASK STATE [FIELD=VALUE]`, `pong N [OBSERVER]`, `exited N`,
//! `subscribe CONN {FRAMEWORK INFO}`, `suppressed CONN ROLE {FRAMEWORK INFO}`, `call CONN {JSON}`, `stream CONN ID
//! {JSON}`, `launch CONN OFFER
//! TASK RESOURCES`, `ack CONN AGENT TASK UPDATE`, `finish N [STATE]` (of the agent's operations), `operator {JSON}`,
//! `whitelist H...` (`*`: all), `close CONN`, `state`, `metrics PREFIX`, `weights` (of what is kept).
//! N is an agent at 10.0.0.N.
//! `#300#` stands for a text of 300 letters.
//! Of v0 drivers, D at 10.0.1.D: `driver D [force] CALL {JSON}` (a call's type or an old message's name),
//! `broken D`, `authenticating D|agent N`, `authenticated D|agent N [PRINCIPAL]`.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use master_core::{Actor, ConnectionId, Effect, Event, PersistError};
use proto::{
    Message,
    driver::FromDriver,
    internal, json,
    link::ToMaster,
    scheduler_v0,
    upid::Upid,
    v1::{self, TaskState},
    wire,
};
use registry::{Admitted, Registry};
use stdx::WallTime;

use crate::{
    render,
    world::{World, config, pid, pinged, resources},
};

/// As wide as a line of a script may be, so that a difference can be read.
const COLUMNS_MAX: usize = 200;

#[test]
fn scripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let wide = |text: &str| text.lines().any(|line| line.chars().count() > COLUMNS_MAX);
    let bless = std::env::var_os("MESETA_BLESS").is_some();
    let mut failures = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let actual = run(&text);
        assert!(!wide(&actual), "{}: a line has more than {COLUMNS_MAX} columns", file.display());
        if actual == text {
            continue;
        }
        if bless {
            fs::write(&file, actual).unwrap();
        } else {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            failures.push(format!("{name}:\n{}", difference(&text, &actual)));
        }
    }
    assert!(failures.is_empty(), "{}\n(MESETA_BLESS=1 writes what happens now)", failures.join("\n"));
}

/// Writes out what `#300#` stands for.
fn long_texts(line: &str) -> String {
    let mut out = String::new();
    for (i, part) in line.split('#').enumerate() {
        match part.parse() {
            Ok(letters) if i % 2 == 1 => out += &"x".repeat(letters),
            _ => out += part,
        }
    }
    out
}

fn difference(expected: &str, actual: &str) -> String {
    let at = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_owned();
    format!("line {}:\n  expected {}\n  happened {}", at + 1, line(expected), line(actual))
}

/// Runs a script and returns it with what happened in place of what was expected.
fn run(text: &str) -> String {
    let mut script = Script { world: World::new(config(), 1), registry: Registry::default(), uuids: 0 };
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mut effects, mut command) = (Vec::new(), line.to_owned());
        for next in lines.by_ref() {
            out.push_str(next);
            out.push('\n');
            if let Some(more) = next.strip_prefix("    ") {
                command.push_str(more);
                continue;
            }
            effects.extend(script.run(&command));
            if next == "----" {
                break;
            }
            command = next.to_owned();
        }
        for effect in effects {
            out.push_str(&effect);
            out.push('\n');
        }
        while lines.next_if(|line| !line.is_empty()).is_some() {}
    }
    assert_eq!(script.world.unanswered(), 0, "a request has no reply");
    out
}

struct Script {
    world: World,
    registry: Registry,
    uuids: u8,
}

impl Script {
    fn run(&mut self, line: &str) -> Vec<String> {
        let effects = match self.command(&long_texts(line)) {
            Ok(effects) => effects,
            Err(text) => return text,
        };
        effects.iter().map(render::effect).collect()
    }

    /// Effects, or the lines that a question is answered with.
    fn command(&mut self, line: &str) -> Result<Vec<Effect>, Vec<String>> {
        let (line, body) = match line.find('{') {
            Some(at) => line.split_at(at),
            None => (line, "{}"),
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let conn = |at: usize| ConnectionId(number(at));
        let agent = |at: usize| words[at].parse::<u16>().unwrap();
        let world = &mut self.world;
        Ok(match words[0] {
            "manual" => {
                world.auto_persist = false;
                Vec::new()
            }
            "set" => {
                let mut config = world.config.clone();
                let secs = |text: &str| Duration::from_secs_f64(text.parse().unwrap());
                match words[1] {
                    "publish" => config.publish = true,
                    "offer_timeout" => config.offer_timeout = Some(secs(words[2])),
                    "removal_limit" => config.recovery_agent_removal_limit = words[2].parse().unwrap(),
                    "removal_rate" => config.agent_removal_rate_limit = Some((1, secs(words[2]))),
                    "max_completed_tasks" => config.max_completed_tasks_per_framework = words[2].parse().unwrap(),
                    "max_agent_age" => config.registry_max_agent_age = secs(words[2]),
                    "framework_bytes" => config.framework_bytes_max = words[2].parse().unwrap(),
                    "task_bytes" => config.task_bytes_max = words[2].parse().unwrap(),
                    "reservation_bytes" => config.reservation_bytes_max = words[2].parse().unwrap(),
                    "authenticate" => (config.authenticate_frameworks, config.authenticate_agents) = (true, true),
                    "compatibility" => config.allocator = allocator::AllocatorConfig::mesos(),
                    "no_root" => config.root_submissions = false,
                    "roles" => config.roles = Some(words[2].split(',').map(str::to_owned).collect()),
                    other => panic!("no option {other}"),
                }
                *world = World::new(config, 1);
                Vec::new()
            }
            "admitted" => {
                let info = agent_info(agent(2), Some(words[1]), None, words.get(3));
                let row = Admitted { info, drain_info: None, deactivated: false };
                self.registry.agents.insert(words[1].into(), row);
                Vec::new()
            }
            "recorded" => {
                let mut info: v1::FrameworkInfo = parse(&merged(r#"{"user":"u","name":"f"}"#, body));
                info.id = Some(v1::FrameworkId { value: words[1].into() });
                self.registry.frameworks.insert(words[1].into(), info);
                Vec::new()
            }
            "removed" => {
                self.registry.removed_frameworks.insert(words[1].into(), WallTime(0));
                Vec::new()
            }
            "forgotten" => {
                self.registry.gone.insert(words[1].into(), WallTime(number(2) as i64 * 1_000_000_000));
                Vec::new()
            }
            "elected" => world.elect(self.registry.clone()),
            "failover" => world.fail_over(1000),
            "deposed" => world.step(Event::Deposed),
            "persist" => {
                let ticket = world.unwritten.pop_front().expect("something is to be written");
                let failed = words.get(1) == Some(&"fail");
                let outcome = if failed { Err(PersistError("disk full".into())) } else { Ok(()) };
                world.step(Event::Persisted { ticket, outcome })
            }
            "watch" => world.advance(Duration::from_secs_f64(words[1].parse().unwrap())),
            "advance" => {
                let mut effects = world.advance(Duration::from_secs_f64(words[1].parse().unwrap()));
                effects.retain(|effect| !is_routine(effect, world));
                effects
            }
            "silent" => {
                world.silent = words[1..].iter().map(|n| n.parse().unwrap()).collect();
                Vec::new()
            }
            "wake" => world.step(Event::Wake),
            "register" => {
                let host = words.iter().find_map(|word| word.strip_prefix("host="));
                let text = words.iter().find(|word| word.contains(':'));
                let message = internal::RegisterSlaveMessage {
                    agent: agent_info(agent(1), None, host, text),
                    version: Some("1.11.0".into()),
                    agent_capabilities: model::AgentCapabilities::ALL.to_protos(),
                    ..Default::default()
                };
                world.hear(agent(1), message.into())
            }
            "reregister" => {
                let mut message: internal::ReregisterSlaveMessage =
                    parse(&merged(r#"{"agent":{"hostname":""},"version":"1.11.0"}"#, body));
                let given = message.agent.hostname.clone();
                let host = Some(given.as_str()).filter(|host| !host.is_empty());
                let port = words.iter().find_map(|word| word.strip_prefix("port="));
                let text = words.get(3).filter(|_| port.is_none());
                message.agent = agent_info(agent(1), Some(words[2]), host, text);
                message.agent_capabilities = model::AgentCapabilities::ALL.to_protos();
                match port {
                    Some(port) => {
                        let port = port.parse().unwrap();
                        message.agent.port = Some(port);
                        let from = Upid { port: port as u16, ..pid(agent(1)) };
                        world.step(Event::FromAgent { from, to: Actor::Master, message: message.into() })
                    }
                    None => world.hear(agent(1), message.into()),
                }
            }
            "from" => {
                let message = to_master(words[2], body);
                world.hear(agent(1), message)
            }
            "update" => {
                let message = self.update(&words);
                self.world.hear(agent(1), message)
            }
            "driver" => {
                world.step(Event::FromDriver { from: driver(words[1]), message: from_driver(&words[2..], body) })
            }
            "broken" => world.step(Event::Exited { peer: driver(words[1]) }),
            "authenticating" => world.step(Event::Authenticating { peer: peer(&words[1..]).0 }),
            "authenticated" => {
                let (peer, principal) = peer(&words[1..]);
                world.step(Event::Authenticated { peer, principal: principal.map(|name| (*name).to_owned()) })
            }
            "finish" => {
                let mut effects = Vec::new();
                for message in self.finished(&words) {
                    effects.extend(self.world.hear(agent(1), message));
                }
                effects
            }
            "pong" => {
                let message = internal::PongSlaveMessage {}.into();
                match words.get(2) {
                    Some(observer) => {
                        let to = Actor::Observer(observer.parse().unwrap());
                        world.step(Event::FromAgent { from: pid(agent(1)), to, message })
                    }
                    None => world.hear(agent(1), message),
                }
            }
            "exited" => world.step(Event::Exited { peer: pid(agent(1)) }),
            "subscribe" | "suppressed" => {
                let info: v1::FrameworkInfo = parse(&merged(r#"{"user":"u","name":"f"}"#, body));
                let framework_id = info.id.clone();
                let suppressed_roles = words.get(2).map(|role| vec![(*role).to_owned()]).unwrap_or_default();
                let subscribe =
                    v1::scheduler::call::Subscribe { framework_info: info, suppressed_roles, offer_constraints: None };
                let call = v1::scheduler::Call {
                    r#type: Some(v1::scheduler::call::Type::Subscribe.into()),
                    framework_id,
                    subscribe: Some(Box::new(subscribe)),
                    ..Default::default()
                };
                world.call(conn(1), call, None)
            }
            "call" => {
                let call = parse(body);
                world.call(conn(1), call, None)
            }
            "stream" => {
                let call = parse(body);
                world.call(conn(1), call, Some(words[2].to_owned()))
            }
            "launch" => {
                let offer = &world.master.view().offers.get(words[2]).map(|offer| offer.agent.clone());
                let agent_id = offer.as_ref().map_or("m-S0".to_owned(), |id| id.to_string());
                let task = v1::TaskInfo {
                    name: words[3].to_owned(),
                    task_id: v1::TaskId { value: words[3].to_owned() },
                    agent_id: v1::AgentId { value: agent_id },
                    resources: resources(words[4]),
                    command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
                    ..Default::default()
                };
                let call = format!(
                    r#"{{"type":"ACCEPT","accept":{{"offer_ids":[{{"value":"{}"}}],"operations":[{{"type":"LAUNCH","launch":{{"task_infos":[{}]}}}}]}}}}"#,
                    words[2],
                    json::to_string(&task)
                );
                world.call(conn(1), parse(&call), None)
            }
            "ack" => {
                let acknowledge = v1::scheduler::call::Acknowledge {
                    agent_id: v1::AgentId { value: words[2].to_owned() },
                    task_id: v1::TaskId { value: words[3].to_owned() },
                    uuid: uuid(words[4].parse().unwrap()),
                };
                let call = v1::scheduler::Call {
                    r#type: Some(v1::scheduler::call::Type::Acknowledge.into()),
                    acknowledge: Some(acknowledge),
                    ..Default::default()
                };
                world.call(conn(1), call, None)
            }
            "operator" => {
                let call = parse(body);
                world.operator(call)
            }
            "whitelist" => {
                let listed = words[1..].iter().map(|hostname| (*hostname).to_owned()).collect();
                world.step(Event::Whitelist { hostnames: (words[1..] != ["*"]).then_some(listed) })
            }
            "close" => world.step(Event::Closed { conn: conn(1) }),
            "weights" => {
                let state = world.master.view();
                let ended = state.completed_frameworks.iter().map(|framework| &**framework);
                let frameworks = state.frameworks.values().chain(ended);
                let lines = frameworks.flat_map(|framework| {
                    let tasks = framework.tasks.values().chain(framework.completed_tasks.iter().map(|task| &**task));
                    let tasks = tasks.map(|task| format!("task {}: {} bytes", task.proto.name, wire::len(&task.proto)));
                    let own = format!("framework {}: {} bytes", framework.id, wire::len(&*framework.info));
                    std::iter::once(own).chain(tasks)
                });
                return Err(lines.collect());
            }
            "state" => return Err(render::state(world.master.view())),
            "metrics" => {
                let all: BTreeMap<String, f64> = world.master.view().metrics(world.now);
                let wanted = all.into_iter().filter(|(name, value)| name.starts_with(words[1]) && *value != 0.0);
                return Err(wanted.map(|(name, value)| format!("{name} {value}")).collect());
            }
            other => panic!("no command {other}"),
        })
    }

    /// `finish N [STATE]`: what the agent says of each operation that it was sent and has not spoken of.
    fn finished(&mut self, words: &[&str]) -> Vec<ToMaster> {
        let from = pid(words[1].parse().unwrap());
        let state = v1::OperationState::from_str_name(words.get(2).unwrap_or(&"OPERATION_FINISHED")).unwrap();
        let view = self.world.master.view();
        let agent = view.agents.values().find(|agent| agent.pid == from).unwrap().id.clone();
        let pending = view.operations.values().filter(|row| row.agent == agent && row.proto.statuses.is_empty());
        let message = |row: &master_core::state::Operation| {
            self.uuids += 1;
            let status = v1::OperationStatus {
                operation_id: row.proto.info.id.clone(),
                state: state.into(),
                uuid: Some(v1::Uuid { value: uuid(self.uuids) }),
                agent_id: Some(agent.to_proto()),
                ..Default::default()
            };
            let message = internal::UpdateOperationStatusMessage {
                framework_id: row.proto.framework_id.clone(),
                agent_id: Some(agent.to_proto()),
                latest_status: Some(status.clone()),
                status,
                operation_uuid: Some(v1::Uuid { value: row.uuid.clone() }),
            };
            message.into()
        };
        pending.map(message).collect()
    }

    /// `update N TASK STATE [FIELD=VALUE]`: from the task's agent, with a fresh uuid unless `uuid=` says another or
    /// none.
    fn update(&mut self, words: &[&str]) -> ToMaster {
        let state = |name: &str| TaskState::from_str_name(name).unwrap();
        let field = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let view = self.world.master.view();
        let id = view.agents.values().find(|a| a.pid == pid(words[1].parse().unwrap())).map(|a| a.id.to_string());
        let framework = field("framework").unwrap_or("m-0000").to_owned();
        self.uuids += 1;
        let of_update = match field("uuid") {
            Some("none") => None,
            Some("short") => Some(bytes::Bytes::from_static(b"short")),
            Some(n) => Some(uuid(n.parse().unwrap())),
            None => Some(uuid(self.uuids)),
        };
        let reason = field("reason").map(|name| v1::task_status::Reason::from_str_name(name).unwrap().into());
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: words[2].to_owned() },
            state: state(words[3]).into(),
            source: Some(v1::task_status::Source::Executor.into()),
            reason,
            data: field("data").map(|data| data.to_owned().into()),
            uuid: of_update.clone(),
            ..Default::default()
        };
        let update = internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: framework },
            executor_id: None,
            agent_id: Some(v1::AgentId { value: field("agent").map(str::to_owned).or(id).unwrap_or_default() }),
            timestamp: self.world.wall().as_secs_f64(),
            uuid: of_update,
            latest_state: field("latest").map(|name| state(name).into()),
            status,
        };
        internal::StatusUpdateMessage { update, pid: Some(format!("slave(1)@10.0.0.{}:5051", words[1])) }.into()
    }
}

/// The uuid of the `n`th update of a script.
pub fn uuid(n: u8) -> bytes::Bytes {
    let mut bytes = [n; 16];
    bytes[6] = 0x40;
    bytes[8] = 0x80;
    bytes::Bytes::copy_from_slice(&bytes)
}

/// A heartbeat, or a ping that is answered.
fn is_routine(effect: &Effect, world: &World) -> bool {
    let heartbeat = matches!(effect, Effect::ToScheduler { event, .. }
        if event.r#type() == v1::scheduler::event::Type::Heartbeat);
    heartbeat || pinged(effect).is_some_and(|agent| !world.silent.contains(&agent))
}

fn agent_info(number: u16, id: Option<&str>, host: Option<&str>, text: Option<&&str>) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: host.map_or(format!("h{number}"), str::to_owned),
        port: Some(5051),
        resources: resources(text.unwrap_or(&"cpus:4;mem:4096;disk:4096")),
        id: id.map(|id| v1::AgentId { value: id.to_owned() }),
        checkpoint: Some(true),
        ..Default::default()
    }
}

fn parse<M: Message>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The fields of `more` after those of `base`.
fn merged(base: &str, more: &str) -> String {
    let (base, more) = (base.trim().trim_end_matches('}'), more.trim().trim_start_matches('{'));
    if more.trim_end_matches('}').trim().is_empty() { format!("{base}}}") } else { format!("{base},{more}") }
}

fn driver(number: &str) -> Upid {
    Upid::new(format!("scheduler-{number}"), format!("10.0.1.{number}"), 7000)
}

/// Who proves itself, and what comes after.
fn peer<'a>(words: &'a [&'a str]) -> (Upid, Option<&'a &'a str>) {
    match words {
        ["agent", number, rest @ ..] => (pid(number.parse().unwrap()), rest.first()),
        [number, rest @ ..] => (driver(number), rest.first()),
        [] => panic!("who?"),
    }
}

/// A driver's message, through the bytes that it sends.
fn from_driver(words: &[&str], body: &str) -> FromDriver {
    fn old<M: Message>(body: &str) -> bytes::Bytes {
        proto::wire::encode(&parse::<M>(body))
    }
    let (name, force) = match words {
        ["force", name] => (*name, true),
        [name] => (*name, false),
        _ => panic!("no driver's message"),
    };
    let bytes = match name {
        "RegisterFrameworkMessage" => old::<internal::RegisterFrameworkMessage>(body),
        "ReregisterFrameworkMessage" => old::<internal::ReregisterFrameworkMessage>(body),
        "UnregisterFrameworkMessage" => old::<internal::UnregisterFrameworkMessage>(body),
        "DeactivateFrameworkMessage" => old::<internal::DeactivateFrameworkMessage>(body),
        "ResourceRequestMessage" => old::<internal::ResourceRequestMessage>(body),
        "LaunchTasksMessage" => old::<internal::LaunchTasksMessage>(body),
        "ReviveOffersMessage" => old::<internal::ReviveOffersMessage>(body),
        "KillTaskMessage" => old::<internal::KillTaskMessage>(body),
        "StatusUpdateAcknowledgementMessage" => old::<internal::StatusUpdateAcknowledgementMessage>(body),
        "FrameworkToExecutorMessage" => old::<internal::FrameworkToExecutorMessage>(body),
        "ReconcileTasksMessage" => old::<internal::ReconcileTasksMessage>(body),
        "SubmitSchedulerRequest" => old::<internal::SubmitSchedulerRequest>(body),
        kind => {
            let mut call: v1::scheduler::Call = parse(body);
            call.r#type = v1::scheduler::call::Type::from_str_name(kind).map(Into::into);
            assert!(call.r#type.is_some(), "no message {kind}");
            let bytes = scheduler_v0::encode_v0(&scheduler_v0::CallV0 { call, force }).unwrap();
            return FromDriver::decode(scheduler_v0::CALL_NAME, &bytes).unwrap();
        }
    };
    FromDriver::decode(&format!("mesos.internal.{name}"), &bytes).unwrap()
}

fn to_master(name: &str, body: &str) -> ToMaster {
    match name {
        "StatusUpdateMessage" => parse::<internal::StatusUpdateMessage>(body).into(),
        "UnregisterSlaveMessage" => parse::<internal::UnregisterSlaveMessage>(body).into(),
        "ExecutorToFrameworkMessage" => parse::<internal::ExecutorToFrameworkMessage>(body).into(),
        "ExitedExecutorMessage" => parse::<internal::ExitedExecutorMessage>(body).into(),
        "UpdateSlaveMessage" => parse::<internal::UpdateSlaveMessage>(body).into(),
        "UpdateOperationStatusMessage" => parse::<internal::UpdateOperationStatusMessage>(body).into(),
        "RegisterSlaveMessage" => parse::<internal::RegisterSlaveMessage>(body).into(),
        "ReregisterSlaveMessage" => parse::<internal::ReregisterSlaveMessage>(body).into(),
        other => panic!("no message {other}"),
    }
}
