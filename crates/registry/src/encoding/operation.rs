//! Operations as bytes, for stores that keep a log of changes and for recordings. Field numbers are never reused.

use bytes::Bytes;
use model::{AgentId, FrameworkId};
use proto::{meseta, v1};
use stdx::WallTime;

use super::{DecodeError, Kind, open, seal};
use crate::operation::Operation;

impl Operation {
    pub fn encode(&self) -> Bytes {
        seal(Kind::Operation, "", &Record { change: Some(Change::from(self)) })
    }

    pub fn decode(bytes: &[u8]) -> Result<Operation, DecodeError> {
        match open::<Record>(Kind::Operation, "", bytes)?.change {
            Some(change) => Ok(change.into()),
            None => Err(DecodeError::Damaged { what: "operation", why: "it names no change".to_owned() }),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 40, 41")]
    change: Option<Change>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Change {
    #[prost(message, tag = "1")]
    RecordMaster(Box<v1::MasterInfo>),
    #[prost(message, tag = "2")]
    AdmitAgent(Box<v1::AgentInfo>),
    #[prost(message, tag = "3")]
    UpdateAgent(Box<v1::AgentInfo>),
    #[prost(message, tag = "4")]
    MarkUnreachable(Moment),
    #[prost(message, tag = "5")]
    MarkReachable(Box<v1::AgentInfo>),
    #[prost(message, tag = "6")]
    MarkGone(Moment),
    #[prost(string, tag = "7")]
    RemoveAgent(String),
    #[prost(message, tag = "8")]
    Prune(Pruned),
    #[prost(message, tag = "9")]
    DrainAgent(Drain),
    #[prost(string, tag = "10")]
    MarkDrained(String),
    #[prost(string, tag = "11")]
    DeactivateAgent(String),
    #[prost(string, tag = "12")]
    ReactivateAgent(String),
    #[prost(message, tag = "13")]
    UpdateSchedule(v1::maintenance::Schedule),
    #[prost(message, tag = "14")]
    StartMaintenance(Machines),
    #[prost(message, tag = "15")]
    StopMaintenance(Machines),
    #[prost(message, tag = "16")]
    UpdateQuota(Quotas),
    #[prost(message, tag = "17")]
    UpdateWeights(Weights),
    #[prost(message, tag = "19")]
    RecordFramework(Box<v1::FrameworkInfo>),
    #[prost(message, tag = "20")]
    RemoveFramework(Moment),
    #[prost(string, tag = "18")]
    RemoveQuota(String),
    #[prost(message, tag = "40")]
    SetGroup(Box<meseta::v1::ResourceGroup>),
    #[prost(string, tag = "41")]
    RemoveGroup(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Moment {
    /// Of an agent or a framework.
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    nanoseconds: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pruned {
    #[prost(string, repeated, tag = "1")]
    unreachable: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    gone: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Drain {
    #[prost(string, tag = "1")]
    agent: String,
    #[prost(message, optional, tag = "2")]
    max_grace_period: Option<v1::DurationInfo>,
    #[prost(bool, tag = "3")]
    mark_gone: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Machines {
    #[prost(message, repeated, tag = "1")]
    ids: Vec<v1::MachineId>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Quotas {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<v1::quota::QuotaConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Weights {
    #[prost(message, repeated, tag = "1")]
    weights: Vec<v1::WeightInfo>,
}

impl From<&Operation> for Change {
    fn from(operation: &Operation) -> Change {
        let moment = |agent: &AgentId, since: &WallTime| Moment { id: agent.to_string(), nanoseconds: since.0 };
        match operation {
            Operation::RecordMaster(info) => Change::RecordMaster(info.clone()),
            Operation::AdmitAgent(info) => Change::AdmitAgent(info.clone()),
            Operation::UpdateAgent(info) => Change::UpdateAgent(info.clone()),
            Operation::MarkUnreachable { agent, since } => Change::MarkUnreachable(moment(agent, since)),
            Operation::MarkReachable(info) => Change::MarkReachable(info.clone()),
            Operation::MarkGone { agent, since } => Change::MarkGone(moment(agent, since)),
            Operation::RemoveAgent(agent) => Change::RemoveAgent(agent.to_string()),
            Operation::Prune { unreachable, gone } => Change::Prune(Pruned {
                unreachable: unreachable.iter().map(AgentId::to_string).collect(),
                gone: gone.iter().map(AgentId::to_string).collect(),
            }),
            Operation::DrainAgent { agent, max_grace_period, mark_gone } => Change::DrainAgent(Drain {
                agent: agent.to_string(),
                max_grace_period: *max_grace_period,
                mark_gone: *mark_gone,
            }),
            Operation::MarkDrained(agent) => Change::MarkDrained(agent.to_string()),
            Operation::DeactivateAgent(agent) => Change::DeactivateAgent(agent.to_string()),
            Operation::ReactivateAgent(agent) => Change::ReactivateAgent(agent.to_string()),
            Operation::UpdateSchedule(schedule) => Change::UpdateSchedule(schedule.clone()),
            Operation::StartMaintenance(ids) => Change::StartMaintenance(Machines { ids: ids.clone() }),
            Operation::StopMaintenance(ids) => Change::StopMaintenance(Machines { ids: ids.clone() }),
            Operation::UpdateQuota(configs) => Change::UpdateQuota(Quotas { configs: configs.clone() }),
            Operation::RemoveQuota(role) => Change::RemoveQuota(role.clone()),
            Operation::UpdateWeights(weights) => Change::UpdateWeights(Weights { weights: weights.clone() }),
            Operation::RecordFramework(info) => Change::RecordFramework(info.clone()),
            Operation::RemoveFramework { framework, at } => {
                Change::RemoveFramework(Moment { id: framework.to_string(), nanoseconds: at.0 })
            }
            Operation::SetGroup(group) => Change::SetGroup(group.clone()),
            Operation::RemoveGroup(name) => Change::RemoveGroup(name.clone()),
        }
    }
}

impl From<Change> for Operation {
    fn from(change: Change) -> Operation {
        match change {
            Change::RecordMaster(info) => Operation::RecordMaster(info),
            Change::AdmitAgent(info) => Operation::AdmitAgent(info),
            Change::UpdateAgent(info) => Operation::UpdateAgent(info),
            Change::MarkUnreachable(m) => {
                Operation::MarkUnreachable { agent: AgentId::from(m.id), since: WallTime(m.nanoseconds) }
            }
            Change::MarkReachable(info) => Operation::MarkReachable(info),
            Change::MarkGone(m) => Operation::MarkGone { agent: AgentId::from(m.id), since: WallTime(m.nanoseconds) },
            Change::RemoveAgent(agent) => Operation::RemoveAgent(AgentId::from(agent)),
            Change::Prune(pruned) => Operation::Prune {
                unreachable: pruned.unreachable.into_iter().map(AgentId::from).collect(),
                gone: pruned.gone.into_iter().map(AgentId::from).collect(),
            },
            Change::DrainAgent(drain) => Operation::DrainAgent {
                agent: AgentId::from(drain.agent),
                max_grace_period: drain.max_grace_period,
                mark_gone: drain.mark_gone,
            },
            Change::MarkDrained(agent) => Operation::MarkDrained(AgentId::from(agent)),
            Change::DeactivateAgent(agent) => Operation::DeactivateAgent(AgentId::from(agent)),
            Change::ReactivateAgent(agent) => Operation::ReactivateAgent(AgentId::from(agent)),
            Change::UpdateSchedule(schedule) => Operation::UpdateSchedule(schedule),
            Change::StartMaintenance(machines) => Operation::StartMaintenance(machines.ids),
            Change::StopMaintenance(machines) => Operation::StopMaintenance(machines.ids),
            Change::UpdateQuota(quotas) => Operation::UpdateQuota(quotas.configs),
            Change::RemoveQuota(role) => Operation::RemoveQuota(role),
            Change::UpdateWeights(weights) => Operation::UpdateWeights(weights.weights),
            Change::RecordFramework(info) => Operation::RecordFramework(info),
            Change::RemoveFramework(m) => {
                Operation::RemoveFramework { framework: FrameworkId::from(m.id), at: WallTime(m.nanoseconds) }
            }
            Change::SetGroup(group) => Operation::SetGroup(group),
            Change::RemoveGroup(name) => Operation::RemoveGroup(name),
        }
    }
}
