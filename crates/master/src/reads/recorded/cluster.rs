//! The recorded cluster: an agent with reservations and attributes, a framework that is over, one that is away, and one
//! at work, with tasks in many states, an executor of its own, and offers it keeps.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use master_core::{Actor, Config, ConnectionId, Effect, Effects, Event, Input, Master, Reply, RequestId, State};
use proto::{internal, json, link::ToMaster, upid::Upid, v1};
use serde_json::{Value, json};
use stdx::{Tick, WallTime};

/// Wall time when the tick is zero.
const EPOCH: i64 = 1_795_370_808_000_000_000;

/// The state of the cluster; made once.
pub fn state() -> State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(play).clone()
}

fn play() -> State {
    let mut cluster = Cluster::new();
    cluster.add_agent();
    cluster.run_finished();
    cluster.run_away();
    cluster.run_main();
    cluster.master.view().clone()
}

struct Cluster {
    master: Master,
    now: Tick,
    req: u64,
    /// By conn: the framework's id, its stream id, and the offers it has got.
    schedulers: BTreeMap<u64, Scheduler>,
}

#[derive(Default)]
struct Scheduler {
    framework: Value,
    stream_id: String,
    offers: Vec<v1::Offer>,
}

fn read<M: proto::Message>(value: &Value) -> M {
    json::from_slice(value.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn domain() -> Value {
    json!({"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}})
}

fn pid() -> Upid {
    Upid::new("slave(1)", "127.0.0.1", 5051)
}

impl Cluster {
    fn new() -> Cluster {
        let address = json!({"hostname": "localhost", "ip": "127.0.0.1", "port": 5050});
        let info = json!({"id": "m", "ip": 16_777_343, "port": 5050, "pid": "master@127.0.0.1:5050",
            "hostname": "localhost", "version": "1.11.0", "address": address, "domain": domain(),
            "capabilities": [{"type": "AGENT_UPDATE"}]});
        let master = Master::new(Config::default(), read(&info), 1);
        let mut cluster = Cluster { master, now: Tick::ZERO, req: 0, schedulers: BTreeMap::new() };
        cluster.step(Event::Elected { registry: Box::default() });
        cluster
    }

    fn step(&mut self, event: Event) {
        // Every event has its own moment.
        self.now = self.now + Duration::from_millis(1);
        let mut effects = Effects::new();
        let wall = WallTime(EPOCH + self.now.0 as i64);
        self.master.handle(Input { now: self.now, wall, event }, &mut effects);
        let effects: Vec<Effect> = effects.drain().collect();
        for effect in effects {
            match effect {
                Effect::Persist { ticket, .. } => self.step(Event::Persisted { ticket, outcome: Ok(()) }),
                Effect::ToScheduler { conn, event } => self.tell(conn.0, &event),
                Effect::Reply { reply: Reply::Stream { stream_id }, .. } => {
                    let last = self.schedulers.values_mut().last().expect("who subscribes is there");
                    last.stream_id = stream_id;
                }
                Effect::Reply { reply, .. } => assert!(matches!(reply, Reply::Accepted), "{reply:?}"),
                _ => {}
            }
        }
    }

    fn tell(&mut self, conn: u64, event: &v1::scheduler::Event) {
        let scheduler = self.schedulers.entry(conn).or_default();
        if let Some(subscribed) = &event.subscribed {
            scheduler.framework = json!({"value": subscribed.framework_id.value});
        }
        if let Some(offers) = &event.offers {
            scheduler.offers.extend(offers.offers.iter().cloned());
        }
    }

    /// Lets the timers run out until the next allocation is over.
    fn wait(&mut self) {
        let end = self.now + Duration::from_secs(1);
        while let Some((tick, _)) = self.master.next_deadline().filter(|(tick, _)| *tick <= end) {
            self.now = self.now.max(tick);
            self.step(Event::Wake);
        }
    }

    fn call(&mut self, conn: u64, mut call: Value) {
        let scheduler = self.schedulers.entry(conn).or_default();
        let stream_id = (!scheduler.stream_id.is_empty()).then(|| scheduler.stream_id.clone());
        if stream_id.is_some() {
            call["framework_id"] = scheduler.framework.clone();
        }
        self.req += 1;
        let call = Box::new(read(&call));
        self.step(Event::FromScheduler {
            req: RequestId(self.req),
            conn: Some(ConnectionId(conn)),
            principal: None,
            stream_id,
            call,
        });
    }

    fn hear(&mut self, message: impl Into<ToMaster>) {
        self.step(Event::FromAgent { from: pid(), to: Actor::Master, message: message.into() });
    }

    fn add_agent(&mut self) {
        let resources = "cpus:8;mem:8192;disk:10000;ports:[31000-32000];cpus(dev):1;mem(dev):512";
        let resources = resources::Resources::parse(resources, "*").expect("resources").to_protos();
        let mut agent: v1::AgentInfo = read(&json!({"hostname": "localhost", "port": 5051, "domain": domain()}));
        agent.checkpoint = Some(true);
        agent.resources = resources;
        agent.attributes = resources::attributes::parse("rack:r1;level:3.5;slots:[1-4,7-9]").expect("attributes");
        let capabilities = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "TASK_RESOURCE_LIMITS"];
        self.hear(internal::RegisterSlaveMessage {
            agent,
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities.iter().map(|kind| read(&json!({"type": kind}))).collect(),
            ..Default::default()
        });
    }

    /// Subscribes, takes the first offer of `role` and launches `tasks` on it.
    fn launch(&mut self, conn: u64, info: Value, role: &str, tasks: Vec<Value>) {
        // Its other roles must not take any of it before.
        let others = info["roles"].as_array().into_iter().flatten().filter(|name| *name != role);
        let others: Vec<Value> = others.cloned().collect();
        self.call(
            conn,
            json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info, "suppressed_roles": others}}),
        );
        self.wait();
        let scheduler = &self.schedulers[&conn];
        // A framework of one role is not told which.
        let of_role = |offer: &&v1::Offer| offer.allocation_info.as_ref().is_none_or(|info| info.role() == role);
        let offer = scheduler.offers.iter().find(of_role).expect("an offer").id.value.clone();
        let operations = json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]);
        let filters = json!({"refuse_seconds": 1000.0});
        let accept = json!({"offer_ids": [{"value": offer}], "operations": operations, "filters": filters});
        self.call(conn, json!({"type": "ACCEPT", "accept": accept}));
    }

    /// The agent's updates of a task, of a command executor's or of a custom executor's kind.
    fn update(&mut self, conn: u64, task: &str, states: &[&str], executor: Option<&str>) {
        for state in states {
            let ip = json!({"ip_addresses": [{"protocol": "IPv4", "ip_address": "127.0.0.1"}]});
            let container = json!({"container_id": {"value": "c"}, "network_infos": [ip], "executor_pid": 7});
            let mut status = json!({"task_id": {"value": task}, "state": state, "source": "SOURCE_EXECUTOR",
                "agent_id": {"value": "m-S0"}, "timestamp": (EPOCH + self.now.0 as i64) as f64 / 1e9,
                "uuid": "AAAAAAAAQACAAAAAAAAAAA==", "container_status": container});
            match executor {
                Some(id) => status["executor_id"] = json!({"value": id}),
                None => status["message"] = json!(""),
            }
            let status: v1::TaskStatus = read(&status);
            let update = internal::StatusUpdate {
                framework_id: read(&self.schedulers[&conn].framework),
                executor_id: status.executor_id.clone(),
                agent_id: status.agent_id.clone(),
                timestamp: status.timestamp(),
                uuid: status.uuid.clone(),
                latest_state: Some(status.state),
                status,
            };
            self.hear(internal::StatusUpdateMessage { update, pid: Some(pid().to_string()) });
            self.call(
                conn,
                json!({"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": {"value": "m-S0"},
                "task_id": {"value": task}, "uuid": "AAAAAAAAQACAAAAAAAAAAA=="}}),
            );
        }
    }

    fn run_finished(&mut self) {
        let info = json!({"user": "root", "name": "finished", "roles": ["fin"],
            "capabilities": [{"type": "MULTI_ROLE"}]});
        self.launch(1, info, "fin", vec![task("b1", "true"), task("b2", "sleep 1000")]);
        self.update(1, "b1", &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], None);
        self.update(1, "b2", &["TASK_STARTING", "TASK_RUNNING"], None);
        self.call(1, json!({"type": "TEARDOWN"}));
    }

    fn run_away(&mut self) {
        let info = json!({"user": "root", "name": "gone away", "failover_timeout": 3600.0, "checkpoint": true,
            "role": "solo"});
        self.launch(2, info, "solo", vec![task("c1", "sleep 1000")]);
        self.update(2, "c1", &["TASK_STARTING", "TASK_RUNNING"], None);
        self.step(Event::Closed { conn: ConnectionId(2) });
    }

    fn run_main(&mut self) {
        let capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE", "TASK_KILLING_STATE"];
        let capabilities: Vec<Value> = capabilities.iter().map(|kind| json!({"type": kind})).collect();
        let info = json!({"user": "root", "name": "main one", "roles": ["dev", "ops"], "capabilities": capabilities,
            "hostname": "here", "webui_url": "http://here/ui", "principal": "me", "failover_timeout": 1e6,
            "checkpoint": true, "labels": {"labels": [{"key": "k", "value": "v"}]}});
        let (mut by_executor, mut by_executor_2) = (task("byexec", ""), task("byexec2", ""));
        for task in [&mut by_executor, &mut by_executor_2] {
            task.as_object_mut().expect("an object").remove("command");
            task["executor"] = executor();
        }
        let tasks = vec![full_task(), by_executor, by_executor_2, task("bad", "exit 3"), task("ok", "true")];
        self.launch(3, info, "dev", tasks);
        // What the first offer left goes to the other role.
        self.call(3, json!({"type": "REVIVE", "revive": {"roles": ["ops"]}}));
        self.wait();
        self.update(3, "full", &["TASK_STARTING", "TASK_RUNNING"], None);
        self.update(3, "bad", &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], None);
        self.update(3, "byexec", &["TASK_RUNNING"], Some("ex1"));
        self.update(3, "byexec2", &["TASK_RUNNING"], Some("ex1"));
        self.update(3, "ok", &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], None);
        self.wait();
    }
}

fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
}

fn task(id: &str, command: &str) -> Value {
    json!({"task_id": {"value": id}, "agent_id": {"value": "m-S0"}, "name": id,
        "command": {"value": command, "user": "root"}, "resources": [scalar("cpus", 0.25), scalar("mem", 32.0)]})
}

fn full_task() -> Value {
    let labels = json!({"labels": [{"key": "x", "value": "y"}]});
    let mut full = task("full", "sleep 1000");
    full["labels"] = json!({"labels": [{"key": "a", "value": "b"}, {"key": "c"}]});
    full["kill_policy"] = json!({"grace_period": {"nanoseconds": 5_000_000_000_i64}});
    full["discovery"] = json!({"visibility": "FRAMEWORK", "name": "svc", "environment": "e", "location": "l",
        "version": "v", "labels": labels.clone(), "ports": {"ports": [{"number": 31000, "name": "http",
        "protocol": "tcp", "visibility": "EXTERNAL", "labels": labels}]}});
    let mut reserved = scalar("cpus", 0.1);
    reserved["reservations"] = json!([{"type": "STATIC", "role": "dev"}]);
    let ports = json!({"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31001}]}});
    full["resources"] = json!([scalar("cpus", 0.25), scalar("mem", 32.0), ports, reserved]);
    full
}

fn executor() -> Value {
    json!({"executor_id": {"value": "ex1"}, "framework_id": {"value": "m-0002"}, "type": "CUSTOM",
        "name": "an executor", "source": "src", "resources": [scalar("cpus", 0.1), scalar("mem", 16.0)],
        "labels": {"labels": [{"key": "e", "value": "f"}]}, "command": {"value": "exec python3 /opt/exec.py",
        "shell": true, "environment": {"variables": [{"name": "V", "value": "w"}]}}})
}
