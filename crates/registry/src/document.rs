//! The document as a value. Changing it is `operation`'s work, its bytes are `encoding`'s.

use std::collections::{BTreeMap, BTreeSet};

use model::{AgentId, FrameworkId};
use proto::{meseta, v1};
use stdx::WallTime;

use crate::capability;

/// Everything durable about a cluster. Tasks and offers are not here: agents bring them back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// The master that recovered this document last.
    pub master: Option<v1::MasterInfo>,
    pub agents: BTreeMap<AgentId, Admitted>,
    pub unreachable: BTreeMap<AgentId, Unreachable>,
    /// Agents that may never come back, and when they were given up.
    pub gone: BTreeMap<AgentId, WallTime>,
    pub machines: BTreeMap<MachineKey, v1::MachineInfo>,
    /// Empty or one schedule; the list is Mesos's format.
    pub schedules: Vec<v1::maintenance::Schedule>,
    pub quotas: BTreeMap<String, v1::quota::QuotaConfig>,
    /// Quotas in the format from before limits existed; read, and replaced by the first update of their role.
    pub legacy_quotas: BTreeMap<String, v1::quota::QuotaInfo>,
    pub weights: BTreeMap<String, f64>,
    /// By name, as they were set.
    pub groups: BTreeMap<String, meseta::v1::ResourceGroup>,
    /// Those that are not over, as they subscribed last.
    pub frameworks: BTreeMap<FrameworkId, v1::FrameworkInfo>,
    /// Those that are over, and when they ended: they must not come back. The oldest are forgotten.
    pub removed_frameworks: BTreeMap<FrameworkId, WallTime>,
    /// What a master must be able to do before it may lead with this document.
    pub minimum_capabilities: BTreeSet<String>,
}

/// An agent that is allowed to be part of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    pub info: v1::AgentInfo,
    pub drain_info: Option<v1::DrainInfo>,
    pub deactivated: bool,
}

/// An agent that stopped answering; it may come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreachable {
    pub since: WallTime,
    pub drain_info: Option<v1::DrainInfo>,
    pub deactivated: bool,
}

/// What makes two machine ids the same machine: the lower-case hostname and the address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineKey {
    pub hostname: String,
    pub ip: String,
}

impl From<&v1::MachineId> for MachineKey {
    fn from(id: &v1::MachineId) -> MachineKey {
        MachineKey {
            hostname: id.hostname.as_deref().unwrap_or_default().to_ascii_lowercase(),
            ip: id.ip.clone().unwrap_or_default(),
        }
    }
}

impl Registry {
    /// The capabilities this document demands and this program lacks; a master that gets any back must not lead.
    pub fn missing_capabilities(&self) -> Vec<&str> {
        self.minimum_capabilities.iter().map(String::as_str).filter(|c| !capability::KNOWN.contains(c)).collect()
    }

    /// The unreachable and gone agents that are older than `oldest`, or in excess of `max_count` (the oldest first):
    /// what a clean-up gives to `Operation::Prune`. Each list has its own count.
    pub fn find_prunable(&self, oldest: WallTime, max_count: usize) -> (BTreeSet<AgentId>, BTreeSet<AgentId>) {
        (
            prunable(self.unreachable.iter().map(|(id, u)| (u.since, id)).collect(), oldest, max_count),
            prunable(self.gone.iter().map(|(id, since)| (*since, id)).collect(), oldest, max_count),
        )
    }
}

fn prunable(mut agents: Vec<(WallTime, &AgentId)>, oldest: WallTime, max_count: usize) -> BTreeSet<AgentId> {
    agents.sort_unstable();
    let excess = agents.len().saturating_sub(max_count);
    let by_age = agents.iter().take_while(|(since, _)| *since < oldest).count();
    agents.into_iter().take(excess.max(by_age)).map(|(_, id)| id.clone()).collect()
}
