//! The journal's closed list of records and their encoding. What they add up to: `replay`; a journal written anew:
//! `snapshot`.

use crate::{
    container_id::ContainerId,
    launch::spec::{Class, ExecutorKind},
    operations::volumes::Volume,
    termination::Termination,
};
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use proto::{internal, v1};

/// One fact that must survive the agent. Numbers are never reused: old journals stay readable.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Record {
    /// This boot of the machine; executors recorded before another boot are dead.
    #[prost(message, tag = "1")]
    Boot(Boot),
    /// A master knows us under the id in here.
    #[prost(message, tag = "2")]
    Agent(AgentRecord),
    /// All that went before belongs to an agent that was shut down.
    #[prost(message, tag = "3")]
    Forgotten(Nothing),
    #[prost(message, tag = "4")]
    Framework(FrameworkRecord),
    /// The framework is being shut down.
    #[prost(message, tag = "5")]
    FrameworkShutdown(FrameworkName),
    /// An executor is about to be launched with its first tasks.
    #[prost(message, tag = "6")]
    Executor(ExecutorRecord),
    /// More tasks for an executor that exists.
    #[prost(message, tag = "7")]
    Tasks(TasksRecord),
    /// The executor is being shut down.
    #[prost(message, tag = "8")]
    ExecutorShutdown(ExecutorName),
    /// A status update was accepted.
    #[prost(message, tag = "9")]
    Update(UpdateRecord),
    /// The framework has acknowledged the oldest open update of the task.
    #[prost(message, tag = "10")]
    Acknowledged(AckRecord),
    /// A kill could not be passed on at once.
    #[prost(message, tag = "11")]
    Kill(KillRecord),
    /// A nested or standalone container is about to be launched.
    #[prost(message, tag = "12")]
    Container(ContainerRecord),
    #[prost(message, tag = "13")]
    ContainerEnded(ContainerEndRecord),
    #[prost(message, tag = "14")]
    ContainerRemoved(ContainerName),
    /// The agent drains; without a config: it does so no more.
    #[prost(message, tag = "15")]
    Drain(DrainRecord),
    /// Written by compaction: one task as it then stood.
    #[prost(message, boxed, tag = "16")]
    Task(Box<TaskRecord>),
    /// Written by compaction: open updates of one task.
    #[prost(message, tag = "17")]
    Stream(StreamRecord),
    /// Written by compaction: a finished task, of a live or a finished executor.
    #[prost(message, tag = "18")]
    CompletedTask(CompletedTaskRecord),
    /// The executor is gone and owes nothing.
    #[prost(message, tag = "19")]
    ExecutorCompleted(ExecutorName),
    /// A v0 executor has registered from here.
    #[prost(message, tag = "20")]
    ExecutorAddress(ExecutorAddress),
    /// What is reserved and which volumes there are; with the operation that made it so.
    #[prost(message, tag = "21")]
    Resources(ResourcesRecord),
    /// The outcome of an operation is acknowledged.
    #[prost(message, tag = "22")]
    OperationEnded(OperationName),
    /// Written by compaction: an operation whose outcome is not acknowledged.
    #[prost(message, tag = "23")]
    Operation(OperationRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourcesRecord {
    #[prost(message, repeated, tag = "1")]
    pub checkpointed: Vec<v1::Resource>,
    #[prost(message, optional, tag = "2")]
    pub operation: Option<v1::Operation>,
    /// Volumes to be removed once this is durable.
    #[prost(message, repeated, tag = "3")]
    pub removed: Vec<VolumeRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct VolumeRecord {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(bool, tag = "2")]
    pub is_mount: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OperationName {
    #[prost(bytes = "bytes", tag = "1")]
    pub uuid: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OperationRecord {
    #[prost(message, required, tag = "1")]
    pub operation: v1::Operation,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Boot {
    #[prost(string, tag = "1")]
    pub boot_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentRecord {
    #[prost(message, required, tag = "1")]
    pub info: v1::AgentInfo,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct FrameworkName {
    #[prost(string, tag = "1")]
    pub framework: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct FrameworkRecord {
    #[prost(message, required, tag = "1")]
    pub info: v1::FrameworkInfo,
    #[prost(string, optional, tag = "2")]
    pub pid: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorName {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub executor: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorAddress {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub executor: String,
    #[prost(string, tag = "3")]
    pub address: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutorRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(message, required, tag = "2")]
    pub info: v1::ExecutorInfo,
    /// `kind_number`
    #[prost(uint32, tag = "3")]
    pub kind: u32,
    #[prost(string, tag = "4")]
    pub container: String,
    #[prost(string, optional, tag = "5")]
    pub user: Option<String>,
    #[prost(string, tag = "6")]
    pub sandbox: String,
    #[prost(message, repeated, tag = "7")]
    pub deliveries: Vec<DeliveryRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DeliveryRecord {
    #[prost(message, repeated, tag = "1")]
    pub tasks: Vec<v1::TaskInfo>,
    #[prost(bool, tag = "2")]
    pub group: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TasksRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub executor: String,
    #[prost(message, required, tag = "3")]
    pub delivery: DeliveryRecord,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateRecord {
    #[prost(message, required, tag = "1")]
    pub update: internal::StatusUpdate,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AckRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub task: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub uuid: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct KillRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub task: String,
    #[prost(message, optional, tag = "3")]
    pub policy: Option<v1::KillPolicy>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ContainerName {
    /// The path joined by dots.
    #[prost(string, tag = "1")]
    pub container: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ContainerRecord {
    #[prost(string, tag = "1")]
    pub container: String,
    /// `class_number`
    #[prost(uint32, tag = "2")]
    pub class: u32,
    #[prost(string, tag = "3")]
    pub sandbox: String,
    #[prost(string, optional, tag = "4")]
    pub user: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ContainerEndRecord {
    #[prost(string, tag = "1")]
    pub container: String,
    #[prost(message, required, tag = "2")]
    pub termination: TerminationRecord,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TerminationRecord {
    #[prost(int32, optional, tag = "1")]
    pub status: Option<i32>,
    #[prost(enumeration = "v1::TaskState", optional, tag = "2")]
    pub state: Option<i32>,
    #[prost(enumeration = "v1::task_status::Reason", optional, tag = "3")]
    pub reason: Option<i32>,
    #[prost(message, optional, tag = "4")]
    pub limitation: Option<v1::TaskResourceLimitation>,
    #[prost(string, optional, tag = "5")]
    pub message: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DrainRecord {
    #[prost(message, optional, tag = "1")]
    pub config: Option<v1::DrainConfig>,
    /// Nanoseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub since: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskRecord {
    #[prost(string, tag = "1")]
    pub executor: String,
    #[prost(message, required, tag = "2")]
    pub info: v1::TaskInfo,
    #[prost(message, required, tag = "3")]
    pub row: v1::Task,
    #[prost(message, optional, tag = "4")]
    pub kill: Option<KillRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub task: String,
    /// Open updates, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub open: Vec<internal::StatusUpdate>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub acknowledged: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CompletedTaskRecord {
    #[prost(string, tag = "1")]
    pub framework: String,
    #[prost(string, tag = "2")]
    pub executor: String,
    #[prost(message, required, tag = "3")]
    pub row: v1::Task,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(
        oneof = "Record",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23"
    )]
    record: Option<Record>,
}

/// Why bytes of a journal are no record.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("the record is damaged: {0}")]
    Damaged(String),
    #[error("the record is of a kind that this program does not know; a newer one wrote the journal")]
    Unknown,
}

impl Record {
    /// For the journal. (`encode`, which the derive makes, appends the same bytes to a buffer.)
    pub fn to_bytes(&self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut buffer);
        buffer.freeze()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Record, RecordError> {
        match Envelope::decode(bytes) {
            Ok(Envelope { record: Some(record) }) => Ok(record),
            Ok(Envelope { record: None }) => Err(RecordError::Unknown),
            Err(error) => Err(RecordError::Damaged(error.to_string())),
        }
    }

    /// What it is about, for logs and scripts.
    pub fn name(&self) -> &'static str {
        match self {
            Record::Boot(_) => "Boot",
            Record::Agent(_) => "Agent",
            Record::Forgotten(_) => "Forgotten",
            Record::Framework(_) => "Framework",
            Record::FrameworkShutdown(_) => "FrameworkShutdown",
            Record::Executor(_) => "Executor",
            Record::Tasks(_) => "Tasks",
            Record::ExecutorShutdown(_) => "ExecutorShutdown",
            Record::ExecutorAddress(_) => "ExecutorAddress",
            Record::Update(_) => "Update",
            Record::Acknowledged(_) => "Acknowledged",
            Record::Kill(_) => "Kill",
            Record::Container(_) => "Container",
            Record::ContainerEnded(_) => "ContainerEnded",
            Record::ContainerRemoved(_) => "ContainerRemoved",
            Record::Drain(_) => "Drain",
            Record::Task(_) => "Task",
            Record::Stream(_) => "Stream",
            Record::CompletedTask(_) => "CompletedTask",
            Record::ExecutorCompleted(_) => "ExecutorCompleted",
            Record::Resources(_) => "Resources",
            Record::OperationEnded(_) => "OperationEnded",
            Record::Operation(_) => "Operation",
        }
    }
}

pub(crate) fn kind_number(kind: ExecutorKind) -> u32 {
    match kind {
        ExecutorKind::Command => 1,
        ExecutorKind::Pod => 2,
        ExecutorKind::Custom => 3,
    }
}

pub(crate) fn kind_of(number: u32) -> ExecutorKind {
    match number {
        1 => ExecutorKind::Command,
        2 => ExecutorKind::Pod,
        _ => ExecutorKind::Custom,
    }
}

pub(crate) fn class_number(class: Class) -> u32 {
    match class {
        Class::Executor => 1,
        Class::Nested => 2,
        Class::Debug => 3,
        Class::Standalone => 4,
    }
}

pub(crate) fn class_of(number: u32) -> Class {
    match number {
        1 => Class::Executor,
        3 => Class::Debug,
        4 => Class::Standalone,
        _ => Class::Nested,
    }
}

impl VolumeRecord {
    pub(crate) fn of(volume: &Volume) -> VolumeRecord {
        VolumeRecord { path: volume.path.clone(), is_mount: volume.is_mount }
    }

    pub(crate) fn to_volume(&self) -> Volume {
        Volume { path: self.path.clone(), is_mount: self.is_mount }
    }
}

impl TerminationRecord {
    pub(crate) fn of(termination: &Termination) -> TerminationRecord {
        TerminationRecord {
            status: termination.status,
            state: termination.state.map(i32::from),
            reason: termination.reason.map(i32::from),
            limitation: termination.limitation.clone(),
            message: termination.message.clone(),
        }
    }

    pub(crate) fn to_termination(&self) -> Termination {
        Termination {
            status: self.status,
            state: self.state.and_then(|state| state.try_into().ok()),
            reason: self.reason.and_then(|reason| reason.try_into().ok()),
            limitation: self.limitation.clone(),
            message: self.message.clone(),
        }
    }
}

impl ContainerName {
    pub(crate) fn of(id: &ContainerId) -> ContainerName {
        ContainerName { container: id.as_str().to_owned() }
    }
}
