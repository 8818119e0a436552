//! The recorded work: a framework that is over, one with a task, and one with tasks in many states and an executor of
//! its own.

use std::sync::OnceLock;

use agent_core::{Agent, Config, ContainerId, Effect, Effects, Event, Input, Launched, Reply, State, Termination};
use proto::{internal, json, link::ToAgent, upid::Upid, v1};
use serde_json::{Value, json};
use stdx::{ConnectionId, RequestId, Tick, WallTime};

/// Wall time when the tick is zero.
const EPOCH: i64 = 1_795_370_808_000_000_000;

pub fn pid() -> Upid {
    Upid::new("slave(1)", "127.0.0.1", 5051)
}

/// The state of the agent; made once.
pub fn state() -> State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(play).clone()
}

fn play() -> State {
    let mut work = Work::new();
    let over = json!({"user": "root", "name": "finished", "id": {"value": "m-0000"}, "roles": ["fin"],
        "failover_timeout": 0.0, "checkpoint": false, "capabilities": [{"type": "MULTI_ROLE"}]});
    work.run(&over, task("b1", "fin", "true"));
    work.subscribe("m-0000", "b1");
    work.update("m-0000", "b1", "b1", &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]);
    work.end("b1");
    work.hear(internal::ShutdownFrameworkMessage { framework_id: v1::FrameworkId { value: "m-0000".into() } });

    let away = json!({"user": "root", "name": "gone away", "id": {"value": "m-0001"}, "failover_timeout": 3600.0,
        "checkpoint": true, "role": "solo"});
    work.run(&away, task("c1", "solo", "sleep 1000"));
    work.subscribe("m-0001", "c1");
    work.update("m-0001", "c1", "c1", &["TASK_STARTING", "TASK_RUNNING"]);

    let capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE", "TASK_KILLING_STATE"];
    let capabilities: Vec<Value> = capabilities.iter().map(|kind| json!({"type": kind})).collect();
    let main = json!({"user": "root", "name": "main one", "id": {"value": "m-0002"}, "roles": ["dev", "ops"],
        "capabilities": capabilities, "hostname": "here", "webui_url": "http://here/ui", "principal": "me",
        "failover_timeout": 1e6, "checkpoint": true, "labels": {"labels": [{"key": "k", "value": "v"}]}});
    for (id, command, end) in [("bad", "exit 3", "TASK_FAILED"), ("ok", "true", "TASK_FINISHED")] {
        work.run(&main, task(id, "dev", command));
        work.subscribe("m-0002", id);
        work.update("m-0002", id, id, &["TASK_STARTING", "TASK_RUNNING", end]);
        work.end(id);
    }
    work.run(&main, full_task());
    work.subscribe("m-0002", "full");
    work.update("m-0002", "full", "full", &["TASK_STARTING", "TASK_RUNNING"]);
    for id in ["byexec", "byexec2"] {
        let mut task = task(id, "dev", "");
        task.as_object_mut().expect("an object").remove("command");
        task["executor"] = executor();
        work.run(&main, task);
    }
    work.subscribe("m-0002", "ex1");
    for id in ["byexec", "byexec2"] {
        work.update("m-0002", "ex1", id, &["TASK_RUNNING"]);
    }
    work.agent.view().clone()
}

struct Work {
    agent: Agent,
    now: Tick,
    req: u64,
}

fn read<M: proto::Message>(value: &Value) -> M {
    json::from_slice(value.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

impl Work {
    fn new() -> Work {
        let domain = json!({"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}});
        let mut info: v1::AgentInfo = read(&json!({"hostname": "localhost", "port": 5051, "domain": domain}));
        let resources = "cpus:8;mem:8192;disk:10000;ports:[31000-32000];cpus(dev):1;mem(dev):512";
        info.resources = resources::Resources::parse(resources, "*").expect("resources").to_protos();
        info.attributes = resources::attributes::parse("rack:r1;level:3.5;slots:[1-4,7-9]").expect("attributes");
        let agent = Agent::new(Config::new(pid(), info, "/var/lib/mesos"), 1);
        let mut work = Work { agent, now: Tick::ZERO, req: 0 };
        work.step(Event::Recovered { state: Box::default(), found: Vec::new(), boot_id: "boot".into() });
        work.step(Event::MasterDetected { master: Some(master()) });
        // It registers after a short while of its own choice.
        let (tick, _) = work.agent.next_deadline().expect("it registers");
        work.now = tick;
        work.step(Event::Wake);
        let agent_id = v1::AgentId { value: "m-S0".into() };
        work.hear(internal::SlaveRegisteredMessage { agent_id, connection: None });
        work
    }

    fn step(&mut self, event: Event) {
        // Every event has its own moment.
        self.now = Tick(self.now.0 + 1_000_000);
        let mut effects = Effects::new();
        let wall = WallTime(EPOCH + self.now.0 as i64);
        self.agent.handle(Input { now: self.now, wall, event }, &mut effects);
        let effects: Vec<Effect> = effects.drain().collect();
        for effect in effects {
            match effect {
                Effect::Checkpoint { ticket: Some(ticket), .. } => {
                    self.step(Event::Checkpointed { ticket, outcome: Ok(()) });
                }
                Effect::Launch { spec } => {
                    let outcome = Ok(Launched { pid: Some(7) });
                    self.step(Event::Launched { container: spec.container, outcome });
                }
                Effect::Destroy { container } => self.ended(container),
                Effect::Reply { reply, .. } => assert!(matches!(reply, Reply::Accepted | Reply::Stream), "{reply:?}"),
                _ => {}
            }
        }
    }

    fn ended(&mut self, container: ContainerId) {
        let termination = Termination { status: Some(0), ..Default::default() };
        self.step(Event::Terminated { container, termination });
    }

    fn hear(&mut self, message: impl Into<ToAgent>) {
        self.step(Event::FromMaster { from: master(), message: message.into() });
    }

    fn run(&mut self, framework: &Value, task: Value) {
        let message = internal::RunTaskMessage { framework: read(framework), task: read(&task), ..Default::default() };
        self.hear(message);
    }

    fn executor_call(&mut self, framework: &str, executor: &str, mut call: Value) {
        call["framework_id"] = json!({"value": framework});
        call["executor_id"] = json!({"value": executor});
        self.req += 1;
        self.step(Event::FromExecutor {
            req: RequestId(self.req),
            conn: Some(ConnectionId(self.req)),
            caller: agent_core::Caller::Operator,
            call: Box::new(read(&call)),
        });
    }

    fn subscribe(&mut self, framework: &str, executor: &str) {
        self.executor_call(framework, executor, json!({"type": "SUBSCRIBE", "subscribe": {}}));
    }

    /// The updates of a task, each acknowledged at once.
    fn update(&mut self, framework: &str, executor: &str, task: &str, states: &[&str]) {
        for state in states {
            let uuid = uuid(self.req);
            let mut status = json!({"task_id": {"value": task}, "state": state, "source": "SOURCE_EXECUTOR",
                "agent_id": {"value": "m-S0"}, "timestamp": (EPOCH + self.now.0 as i64) as f64 / 1e9, "uuid": uuid});
            if executor == task {
                status["message"] = json!("");
            } else {
                status["executor_id"] = json!({"value": executor});
            }
            self.executor_call(framework, executor, json!({"type": "UPDATE", "update": {"status": status}}));
            self.hear(read::<internal::StatusUpdateAcknowledgementMessage>(&json!({"agent_id": {"value": "m-S0"},
                "framework_id": {"value": framework}, "task_id": {"value": task}, "uuid": uuid})));
        }
    }

    /// The executor's container ends by itself.
    fn end(&mut self, executor: &str) {
        let found = self.agent.view().executors().find(|row| row.id.as_str() == executor);
        let container = found.expect("it runs").container.clone();
        self.ended(container);
    }
}

/// In base64; another for each number below 64.
fn uuid(number: u64) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = digits[usize::try_from(number).expect("a small number")];
    format!("{}AAAAAAAQACAAAAAAAAAAA==", char::from(digit))
}

fn master() -> Upid {
    Upid::new("master", "127.0.0.1", 5050)
}

fn scalar(name: &str, value: f64, role: &str) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": role}})
}

fn task(id: &str, role: &str, command: &str) -> Value {
    json!({"task_id": {"value": id}, "agent_id": {"value": "m-S0"}, "name": id,
        "command": {"value": command, "user": "root"},
        "resources": [scalar("cpus", 0.25, role), scalar("mem", 32.0, role)]})
}

fn full_task() -> Value {
    let labels = json!({"labels": [{"key": "x", "value": "y"}]});
    let mut full = task("full", "dev", "sleep 1000");
    full["labels"] = json!({"labels": [{"key": "a", "value": "b"}, {"key": "c"}]});
    full["kill_policy"] = json!({"grace_period": {"nanoseconds": 5_000_000_000_i64}});
    full["discovery"] = json!({"visibility": "FRAMEWORK", "name": "svc", "environment": "e", "location": "l",
        "version": "v", "labels": labels.clone(), "ports": {"ports": [{"number": 31000, "name": "http",
        "protocol": "tcp", "visibility": "EXTERNAL", "labels": labels}]}});
    let mut reserved = scalar("cpus", 0.1, "dev");
    reserved["reservations"] = json!([{"type": "STATIC", "role": "dev"}]);
    let ports = json!({"name": "ports", "type": "RANGES", "allocation_info": {"role": "dev"},
        "ranges": {"range": [{"begin": 31000, "end": 31001}]}});
    full["resources"] = json!([scalar("cpus", 0.25, "dev"), scalar("mem", 32.0, "dev"), ports, reserved]);
    full
}

fn executor() -> Value {
    json!({"executor_id": {"value": "ex1"}, "framework_id": {"value": "m-0002"}, "type": "CUSTOM",
        "name": "an executor", "source": "src",
        "resources": [scalar("cpus", 0.1, "dev"), scalar("mem", 16.0, "dev")],
        "labels": {"labels": [{"key": "e", "value": "f"}]}, "command": {"value": "exec python3 /opt/exec.py",
        "shell": true, "environment": {"variables": [{"name": "V", "value": "w"}]}}})
}
