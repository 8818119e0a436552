//! Messages as tests need them.

use bytes::Bytes;
use proto::{
    internal,
    upid::Upid,
    v1::{self, TaskState, executor::call},
};

pub fn upid(host: &str) -> Upid {
    Upid::new("master", host, 5050)
}

pub fn agent_info() -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "host".into(),
        port: Some(5051),
        resources: vec![scalar("cpus", 4.0), scalar("mem", 1024.0), scalar("disk", 1000.0)],
        ..Default::default()
    }
}

pub fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

pub fn framework_id(id: &str) -> v1::FrameworkId {
    v1::FrameworkId { value: id.into() }
}

pub fn task_id(id: &str) -> v1::TaskId {
    v1::TaskId { value: id.into() }
}

pub fn executor_id(id: &str) -> v1::ExecutorId {
    v1::ExecutorId { value: id.into() }
}

pub fn agent_id(id: &str) -> v1::AgentId {
    v1::AgentId { value: id.into() }
}

pub fn framework(id: &str, checkpoint: bool, aware: bool) -> v1::FrameworkInfo {
    let kind = v1::framework_info::capability::Type::PartitionAware;
    let capability = v1::framework_info::Capability { r#type: Some(kind as i32) };
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: id.into(),
        id: Some(framework_id(id)),
        checkpoint: Some(checkpoint),
        capabilities: if aware { vec![capability] } else { Vec::new() },
        ..Default::default()
    }
}

pub fn task(id: &str, agent: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: task_id(id),
        agent_id: agent_id(agent),
        resources: vec![scalar("cpus", 1.0), scalar("mem", 64.0)],
        ..Default::default()
    }
}

pub fn command(value: &str) -> v1::CommandInfo {
    v1::CommandInfo { value: Some(value.into()), ..Default::default() }
}

pub fn executor(id: &str, kind: v1::executor_info::Type) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        r#type: Some(kind as i32),
        executor_id: executor_id(id),
        command: (kind == v1::executor_info::Type::Custom).then(|| command("run-executor")),
        resources: vec![scalar("cpus", 0.5), scalar("mem", 32.0)],
        ..Default::default()
    }
}

pub fn run_command(framework: v1::FrameworkInfo, id: &str, agent: &str) -> internal::RunTaskMessage {
    let task = v1::TaskInfo { command: Some(command("true")), ..task(id, agent) };
    internal::RunTaskMessage { framework, task, launch_executor: Some(true), ..Default::default() }
}

pub fn acknowledgement(
    framework: &str,
    task: &str,
    agent: &str,
    uuid: Bytes,
) -> internal::StatusUpdateAcknowledgementMessage {
    internal::StatusUpdateAcknowledgementMessage {
        agent_id: agent_id(agent),
        framework_id: framework_id(framework),
        task_id: task_id(task),
        uuid,
    }
}

pub fn executor_call(framework: &str, executor: &str, kind: call::Type) -> v1::executor::Call {
    v1::executor::Call {
        executor_id: executor_id(executor),
        framework_id: framework_id(framework),
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

pub fn status(task: &str, state: TaskState, uuid: Bytes) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task_id(task),
        state: state as i32,
        source: Some(v1::task_status::Source::Executor as i32),
        uuid: Some(uuid),
        ..Default::default()
    }
}

pub fn state(name: &str) -> TaskState {
    TaskState::from_str_name(&format!("TASK_{name}")).unwrap_or_else(|| panic!("no state {name}"))
}

/// The n-th uuid an executor makes up.
pub fn uuid(n: u64) -> Bytes {
    let mut bytes = [0xee; 16];
    bytes[6] = 0x4e;
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Bytes::copy_from_slice(&bytes)
}

/// An update as a v0 driver sends it.
pub fn driver_update(framework: &str, executor: &str, task: &str, state_name: &str, n: u64) -> internal::StatusUpdate {
    internal::StatusUpdate {
        framework_id: framework_id(framework),
        executor_id: Some(executor_id(executor)),
        agent_id: None,
        status: v1::TaskStatus { source: None, uuid: None, ..status(task, state(state_name), uuid(n)) },
        timestamp: 1.0,
        uuid: Some(uuid(n)),
        latest_state: None,
    }
}

/// One variable, as `NAME:value`.
pub fn environment(variable: &str) -> v1::Environment {
    let (name, value) = variable.split_once(':').unwrap();
    let variable = v1::environment::Variable { name: name.into(), value: Some(value.into()), ..Default::default() };
    v1::Environment { variables: vec![variable] }
}
