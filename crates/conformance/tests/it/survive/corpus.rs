//! The valid inputs that are damaged, by endpoint: calls of every API, documents, files, messages between master and
//! agent. Only `launch` starts a command if it goes through, and that command does nothing.

use conformance::mutate;
use proto::{
    Message, internal, json,
    link::{ToAgent, ToMaster},
    v1::{agent, executor, master, scheduler},
    wire,
};
use serde_json::Value;
use stdx::Rng;

/// Where a lane's inputs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Master,
    Agent,
}

/// One endpoint, or one family of endpoints that one piece of code answers.
pub struct Lane {
    pub name: &'static str,
    pub server: Server,
    pub inputs: Vec<Input>,
}

#[derive(Clone)]
pub struct Input {
    path: String,
    query: String,
    document: Option<Value>,
    binary: Option<Vec<u8>>,
    pub wants_stream_id: bool,
    /// The name of a libprocess message, and whether its decoder takes a body.
    pub message: Option<(String, Takes)>,
    pub about_files: bool,
    pub about_containers: bool,
}

type Takes = fn(&str, &[u8]) -> bool;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
/// Stands for the id of a framework that is subscribed.
const FRAMEWORK: &str = "FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0";

pub fn lanes() -> Vec<Lane> {
    use Server::{Agent, Master};
    let lane = |name, server, inputs| Lane { name, server, inputs };
    let to_master = |name: &str, body: &[u8]| ToMaster::decode(name, body).is_ok();
    let to_agent = |name: &str, body: &[u8]| ToAgent::decode(name, body).is_ok();
    let scheduler = SCHEDULER_CALLS
        .map(|text| Input { wants_stream_id: true, ..call::<scheduler::Call>("/api/v1/scheduler", text) });
    vec![
        lane("master /api/v1/scheduler", Master, scheduler.into()),
        lane("master /api/v1", Master, OPERATOR_CALLS.map(|text| call::<master::Call>("/api/v1", text)).into()),
        lane("master messages", Master, messages("master", &TO_MASTER, to_master)),
        lane("master documents", Master, MASTER_PATHS.map(path).into()),
        lane("master /files", Master, MASTER_FILES.map(path).into()),
        lane(
            "agent /api/v1/executor",
            Agent,
            EXECUTOR_CALLS.map(|text| call::<executor::Call>("/api/v1/executor", text)).into(),
        ),
        lane("agent /api/v1", Agent, AGENT_CALLS.map(|text| call::<agent::Call>("/api/v1", text)).into()),
        lane("agent messages", Agent, messages("slave(1)", &TO_AGENT, to_agent)),
        lane("agent documents", Agent, AGENT_PATHS.map(path).into()),
        lane("agent /files", Agent, AGENT_FILES.map(path).into()),
    ]
}

/// Calls whose answer may be a stream.
pub fn subscriptions() -> Vec<Input> {
    SUBSCRIPTIONS.map(|text| call::<scheduler::Call>("/api/v1/scheduler", text)).into()
}

/// An ACCEPT that launches; `with_offer` makes it name a real offer.
pub fn launch() -> Input {
    Input { wants_stream_id: true, ..call::<scheduler::Call>("/api/v1/scheduler", LAUNCH) }
}

impl Input {
    pub fn with_offer(&self, offer: &str, agent: &str) -> Input {
        let text = self.document.as_ref().map(Value::to_string).unwrap_or_default();
        let text = text.replace("OFFER-ID", offer).replace("AGENT-ID", agent);
        Input { wants_stream_id: true, ..call::<scheduler::Call>("/api/v1/scheduler", &text) }
    }

    pub fn body(&self, rng: &mut Rng, framework: &str) -> (Option<&'static str>, Vec<u8>) {
        match (&self.document, &self.binary) {
            (_, Some(binary)) if self.document.is_none() || rng.below(3) == 0 => {
                let binary = with_framework(binary, framework);
                (Some(PROTOBUF), mutate::bytes(rng, &binary))
            }
            (Some(document), _) => {
                let bytes = mutate::document(rng, document);
                (Some(JSON), with_framework(&bytes, framework))
            }
            _ if rng.below(4) == 0 => (None, mutate::bytes(rng, b"frameworkId=a&slaveId=b&resources=[]")),
            _ => (None, Vec::new()),
        }
    }

    pub fn method(&self, rng: &mut Rng) -> &'static str {
        let is_call = self.document.is_some() || self.message.is_some();
        match rng.below(30) {
            0 => "PUT",
            1 => "DELETE",
            2 => "PATCH",
            3 => "GET",
            _ if is_call => "POST",
            _ => "GET",
        }
    }

    /// The target, and whether its path is as it should be.
    pub fn target(&self, rng: &mut Rng) -> (String, bool) {
        let is_call = self.document.is_some() || self.message.is_some();
        let is_right = if is_call { rng.below(20) > 0 } else { rng.below(4) == 0 };
        if !is_right {
            let damaged = harmless(&mutate::bytes(rng, format!("{}?{}", self.path, self.query).as_bytes()));
            return (format!("/{}", damaged.trim_start_matches('/')), false);
        }
        if self.query.is_empty() {
            return (self.path.clone(), true);
        }
        (format!("{}?{}", self.path, harmless(&mutate::bytes(rng, self.query.as_bytes()))), true)
    }
}

/// What may stand in a request line.
fn harmless(bytes: &[u8]) -> String {
    let kept = |byte: &&u8| byte.is_ascii_graphic() && !br#""<>\^`{|}#"#.contains(byte);
    bytes.iter().filter(kept).map(|byte| char::from(*byte)).collect()
}

pub fn odd_type(rng: &mut Rng) -> &'static str {
    const TYPES: [&str; 10] = [
        JSON,
        PROTOBUF,
        "application/recordio",
        "text/html",
        "*/*",
        "",
        ";;;q=,",
        "application/json;q=0",
        "application/*;q=0.1, text/*",
        "application/json; charset=utf-8",
    ];
    TYPES[rng.below(TYPES.len() as u64) as usize]
}

/// The placeholder becomes an id of the same length, so that lengths in binary messages stay right.
fn with_framework(bytes: &[u8], framework: &str) -> Vec<u8> {
    let placeholder = FRAMEWORK.as_bytes();
    let mut bytes = bytes.to_vec();
    if framework.len() == placeholder.len()
        && let Some(at) = bytes.windows(placeholder.len()).position(|window| window == placeholder)
    {
        bytes[at..at + placeholder.len()].copy_from_slice(framework.as_bytes());
    }
    bytes
}

fn call<M: Message>(path: &str, text: &str) -> Input {
    let message: M = json::from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    Input {
        path: path.to_owned(),
        query: String::new(),
        document: Some(serde_json::from_str(text).expect("JSON")),
        binary: Some(wire::encode(&message).to_vec()),
        wants_stream_id: false,
        message: None,
        about_files: text.contains("_FILE"),
        about_containers: text.contains("_CONTAINER"),
    }
}

fn path(target: &str) -> Input {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Input {
        path: path.to_owned(),
        query: query.to_owned(),
        document: None,
        binary: None,
        wants_stream_id: false,
        message: None,
        about_files: path.contains("/files"),
        about_containers: false,
    }
}

fn messages(actor: &str, named: &[Named], takes: Takes) -> Vec<Input> {
    let message = |(name, binary): &Named| {
        let name = format!("mesos.internal.{name}");
        Input { binary: Some(binary()), message: Some((name.clone(), takes)), ..path(&format!("/{actor}/{name}")) }
    };
    named.iter().map(message).collect()
}

const SUBSCRIPTIONS: [&str; 3] = [
    r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"n"}}}"#,
    r#"{"type":"SUBSCRIBE","subscribe":{"suppressed_roles":["a"],"framework_info":{"user":"root","name":"n","roles":["a","b/c"],"capabilities":[{"type":"MULTI_ROLE"},{"type":"PARTITION_AWARE"}],"labels":{"labels":[{"key":"k","value":"v"}]},"principal":"p","hostname":"h","webui_url":"u","offer_filters":{"a":{"min_allocatable_resources":{"quantities":[{"quantities":{"cpus":{"value":1}}}]}}}}}}"#,
    r#"{"type":"SUBSCRIBE","framework_id":{"value":"x"},"subscribe":{"framework_info":{"user":"root","name":"n","id":{"value":"x"},"role":"r","failover_timeout":0.01,"checkpoint":true},"offer_constraints":{"role_constraints":{"r":{"groups":[{"attribute_constraints":[{"selector":{"attribute_name":"a"},"predicate":{"text_matches":{"regex":"(a|b)*c"}}}]}]}}}}}"#,
];

const LAUNCH: &str = r#"{"type":"ACCEPT","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"accept":{"offer_ids":[{"value":"OFFER-ID"}],"filters":{"refuse_seconds":0},"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"AGENT-ID"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.01}},{"name":"mem","type":"SCALAR","scalar":{"value":1}},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":31000,"end":31002}]}}],"command":{"shell":false,"value":"/bin/true","arguments":["true"],"environment":{"variables":[{"name":"A","value":"b"}]}},"labels":{"labels":[{"key":"k","value":"v"}]},"kill_policy":{"grace_period":{"nanoseconds":1000000}},"max_completion_time":{"nanoseconds":1000000000},"limits":{"cpus":{"value":"Infinity"}},"discovery":{"visibility":"CLUSTER","ports":{"ports":[{"number":1}]}}}]}}]}}"#;

const SCHEDULER_CALLS: [&str; 15] = [
    r#"{"type":"TEARDOWN","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-1"}}"#,
    r#"{"type":"ACCEPT","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"accept":{"offer_ids":[{"value":"o"},{"value":"p"}],"filters":{"refuse_seconds":1.5},"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]}}],"executor":{"executor_id":{"value":"e"}},"labels":{"labels":[{"key":"k"}]},"health_check":{"type":"TCP","tcp":{"port":1}}}]}}]}}"#,
    r#"{"type":"ACCEPT","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH_GROUP","launch_group":{"executor":{"type":"DEFAULT","executor_id":{"value":"e"}},"task_group":{"tasks":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"}}]}}},{"type":"RESERVE","id":{"value":"i"},"reserve":{"resources":[{"name":"disk","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}],"disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"p"}}}]}},{"type":"UNRESERVE","unreserve":{"resources":[]}},{"type":"CREATE","create":{"volumes":[]}},{"type":"DESTROY","destroy":{"volumes":[]}}]}}"#,
    r#"{"type":"DECLINE","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"decline":{"offer_ids":[{"value":"o"}],"filters":{"refuse_seconds":5}}}"#,
    r#"{"type":"REVIVE","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"revive":{"roles":["fuzz"]}}"#,
    r#"{"type":"SUPPRESS","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"suppress":{"roles":["fuzz"]}}"#,
    r#"{"type":"KILL","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"kill":{"task_id":{"value":"t"},"agent_id":{"value":"a"},"kill_policy":{"grace_period":{"nanoseconds":1000}}}}"#,
    r#"{"type":"SHUTDOWN","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"shutdown":{"executor_id":{"value":"e"},"agent_id":{"value":"a"}}}"#,
    r#"{"type":"ACKNOWLEDGE","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"AAAAAAAAQACAAAAAAAAAAA=="}}"#,
    r#"{"type":"RECONCILE","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"reconcile":{"tasks":[{"task_id":{"value":"t"},"agent_id":{"value":"a"}},{"task_id":{"value":"u"}}]}}"#,
    r#"{"type":"MESSAGE","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"message":{"agent_id":{"value":"a"},"executor_id":{"value":"e"},"data":"aGVsbG8="}}"#,
    r#"{"type":"REQUEST","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"request":{"requests":[{"agent_id":{"value":"a"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]}]}}"#,
    r#"{"type":"UPDATE_FRAMEWORK","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"update_framework":{"framework_info":{"user":"root","name":"fuzz","id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"roles":["fuzz"],"capabilities":[{"type":"MULTI_ROLE"}]},"suppressed_roles":["fuzz"]}}"#,
    r#"{"type":"RECONCILE_OPERATIONS","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"reconcile_operations":{"operations":[{"operation_id":{"value":"o"},"agent_id":{"value":"a"}}]}}"#,
    r#"{"type":"ACKNOWLEDGE_OPERATION_STATUS","framework_id":{"value":"FRAMEWORK-FRAMEWORK-FRAMEWORK-FRAMEWORK-0"},"acknowledge_operation_status":{"agent_id":{"value":"a"},"operation_id":{"value":"o"},"uuid":"AAAAAAAAQACAAAAAAAAAAA=="}}"#,
];

const OPERATOR_CALLS: [&str; 17] = [
    r#"{"type":"GET_HEALTH"}"#,
    r#"{"type":"GET_VERSION"}"#,
    r#"{"type":"GET_FLAGS"}"#,
    r#"{"type":"GET_METRICS","get_metrics":{"timeout":{"nanoseconds":1}}}"#,
    r#"{"type":"GET_STATE"}"#,
    r#"{"type":"GET_AGENTS"}"#,
    r#"{"type":"GET_ROLES"}"#,
    r#"{"type":"LIST_FILES","list_files":{"path":"/master/log"}}"#,
    r#"{"type":"READ_FILE","read_file":{"path":"/master/log","offset":3,"length":5}}"#,
    r#"{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1000}}}"#,
    r#"{"type":"TEARDOWN","teardown":{"framework_id":{"value":"nobody"}}}"#,
    r#"{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":"nobody"}}}"#,
    r#"{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"nobody"},"max_grace_period":{"seconds":3},"mark_gone":false}}"#,
    r#"{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"r","weight":2.0}]}}"#,
    r#"{"type":"UPDATE_QUOTA","update_quota":{"force":true,"quota_configs":[{"role":"r","limits":{"cpus":{"value":1}}}]}}"#,
    r#"{"type":"RESERVE_RESOURCES","reserve_resources":{"agent_id":{"value":"a"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"r"}]}]}}"#,
    r#"{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{"schedule":{"windows":[{"machine_ids":[{"hostname":"h","ip":"1.2.3.4"}],"unavailability":{"start":{"nanoseconds":1}}}]}}}"#,
];

const AGENT_CALLS: [&str; 14] = [
    r#"{"type":"GET_HEALTH"}"#,
    r#"{"type":"GET_STATE"}"#,
    r#"{"type":"GET_AGENT"}"#,
    r#"{"type":"GET_METRICS","get_metrics":{}}"#,
    r#"{"type":"GET_CONTAINERS","get_containers":{"show_nested":true,"show_standalone":true}}"#,
    r#"{"type":"LIST_FILES","list_files":{"path":"/slave/log"}}"#,
    r#"{"type":"READ_FILE","read_file":{"path":"/slave/log","offset":0}}"#,
    r#"{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{"container_id":{"value":"a","parent":{"value":"nobody"}},"command":{"value":"true"},"container":{"type":"MESOS","volumes":[{"mode":"RW","container_path":"p","host_path":"h"}]}}}"#,
    r#"{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{"container_id":{"value":"a","parent":{"value":"nobody"}}}}"#,
    r#"{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{"container_id":{"value":"a","parent":{"value":"nobody"}},"signal":9}}"#,
    r#"{"type":"REMOVE_NESTED_CONTAINER","remove_nested_container":{"container_id":{"value":"a","parent":{"value":"nobody"}}}}"#,
    r#"{"type":"WAIT_CONTAINER","wait_container":{"container_id":{"value":"nobody"}}}"#,
    r#"{"type":"ATTACH_CONTAINER_OUTPUT","attach_container_output":{"container_id":{"value":"nobody"}}}"#,
    r#"{"type":"PRUNE_IMAGES","prune_images":{"excluded_images":[{"type":"DOCKER","docker":{"name":"n"}}]}}"#,
];

const EXECUTOR_CALLS: [&str; 4] = [
    r#"{"type":"SUBSCRIBE","executor_id":{"value":"e"},"framework_id":{"value":"f"},"subscribe":{"unacknowledged_tasks":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"}}],"unacknowledged_updates":[{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","uuid":"AAAAAAAAQACAAAAAAAAAAA==","source":"SOURCE_EXECUTOR"}}]}}"#,
    r#"{"type":"UPDATE","executor_id":{"value":"e"},"framework_id":{"value":"f"},"update":{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","uuid":"AAAAAAAAQACAAAAAAAAAAA==","source":"SOURCE_EXECUTOR","check_status":{"type":"HTTP","http":{"status_code":200}}}}}"#,
    r#"{"type":"MESSAGE","executor_id":{"value":"e"},"framework_id":{"value":"f"},"message":{"data":"aGk="}}"#,
    r#"{"type":"HEARTBEAT","executor_id":{"value":"e"},"framework_id":{"value":"f"}}"#,
];

const MASTER_PATHS: [&str; 14] = [
    "/state?jsonp=f",
    "/state-summary",
    "/master/slaves?slave_id=a",
    "/frameworks?framework_id=a",
    "/tasks?limit=5&offset=1&order=asc&framework_id=x&task_id=y",
    "/roles?jsonp=cb",
    "/health",
    "/version?jsonp=x",
    "/flags",
    "/redirect",
    "/teardown",
    "/metrics/snapshot?timeout=1secs",
    "/system/stats.json",
    "/metrics",
];

const MASTER_FILES: [&str; 4] = [
    "/files/browse?path=/master/log",
    "/files/read?path=/master/log&offset=0&length=10",
    "/files/download?path=/master/logs",
    "/files/debug?jsonp=f",
];

const AGENT_PATHS: [&str; 8] = [
    "/slave(1)/state?jsonp=f",
    "/containers",
    "/monitor/statistics",
    "/health",
    "/flags",
    "/version",
    "/metrics/snapshot?timeout=5ms",
    "/redirect",
];

const AGENT_FILES: [&str; 4] = [
    "/files/browse?path=/slave/log",
    "/files/read?path=/slave/log&offset=-1&length=10",
    "/files/download?path=/nothing",
    "/files/debug?jsonp=f",
];

/// The name of a message, and how it is made.
type Named = (&'static str, fn() -> Vec<u8>);

fn binary<M: Message>(text: &str) -> Vec<u8> {
    let message: M = json::from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    wire::encode(&message).to_vec()
}

const TO_MASTER: [Named; 8] = [
    ("RegisterSlaveMessage", || {
        binary::<internal::RegisterSlaveMessage>(
            r#"{"agent":{"hostname":"h","port":1,"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4}}]},"version":"1.11.0","agent_capabilities":[{"type":"MULTI_ROLE"}]}"#,
        )
    }),
    ("ReregisterSlaveMessage", || {
        binary::<internal::ReregisterSlaveMessage>(
            r#"{"agent":{"hostname":"h","port":1,"id":{"value":"old-S0"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4}}]},"version":"1.11.0","tasks":[{"name":"t","task_id":{"value":"t"},"framework_id":{"value":"f"},"agent_id":{"value":"old-S0"},"state":"TASK_RUNNING"}],"frameworks":[{"user":"u","name":"n","id":{"value":"f"}}],"agent_capabilities":[{"type":"MULTI_ROLE"}]}"#,
        )
    }),
    ("UnregisterSlaveMessage", || binary::<internal::UnregisterSlaveMessage>(r#"{"agent_id":{"value":"a"}}"#)),
    ("StatusUpdateMessage", || {
        binary::<internal::StatusUpdateMessage>(
            r#"{"update":{"framework_id":{"value":"f"},"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING"},"timestamp":1,"agent_id":{"value":"a"},"uuid":"AAAAAAAAQACAAAAAAAAAAA=="},"pid":"x@127.0.0.1:1"}"#,
        )
    }),
    ("ExitedExecutorMessage", || {
        binary::<internal::ExitedExecutorMessage>(
            r#"{"agent_id":{"value":"a"},"framework_id":{"value":"f"},"executor_id":{"value":"e"},"status":9}"#,
        )
    }),
    ("ExecutorToFrameworkMessage", || {
        binary::<internal::ExecutorToFrameworkMessage>(
            r#"{"agent_id":{"value":"a"},"framework_id":{"value":"f"},"executor_id":{"value":"e"},"data":"aGk="}"#,
        )
    }),
    ("UpdateSlaveMessage", || binary::<internal::UpdateSlaveMessage>(r#"{"agent_id":{"value":"a"}}"#)),
    ("PongSlaveMessage", || Vec::new()),
];

const TO_AGENT: [Named; 8] = [
    ("SlaveRegisteredMessage", || binary::<internal::SlaveRegisteredMessage>(r#"{"agent_id":{"value":"a"}}"#)),
    ("PingSlaveMessage", || binary::<internal::PingSlaveMessage>(r#"{"connected":true}"#)),
    ("KillTaskMessage", || {
        binary::<internal::KillTaskMessage>(r#"{"framework_id":{"value":"f"},"task_id":{"value":"t"}}"#)
    }),
    ("ShutdownFrameworkMessage", || binary::<internal::ShutdownFrameworkMessage>(r#"{"framework_id":{"value":"f"}}"#)),
    ("ShutdownExecutorMessage", || {
        binary::<internal::ShutdownExecutorMessage>(r#"{"framework_id":{"value":"f"},"executor_id":{"value":"e"}}"#)
    }),
    ("ShutdownMessage", || binary::<internal::ShutdownMessage>(r#"{"message":"from nobody"}"#)),
    ("StatusUpdateAcknowledgementMessage", || {
        binary::<internal::StatusUpdateAcknowledgementMessage>(
            r#"{"agent_id":{"value":"a"},"framework_id":{"value":"f"},"task_id":{"value":"t"},"uuid":"AAAAAAAAQACAAAAAAAAAAA=="}"#,
        )
    }),
    ("FrameworkToExecutorMessage", || {
        binary::<internal::FrameworkToExecutorMessage>(
            r#"{"agent_id":{"value":"a"},"framework_id":{"value":"f"},"executor_id":{"value":"e"},"data":"aGk="}"#,
        )
    }),
];
