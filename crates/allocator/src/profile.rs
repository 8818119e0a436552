//! What the master tells about frameworks and agents, what it settles, and what it is granted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use proto::v1;
use resources::{Quantities, Resources, conversion::Conversion};

use crate::constraints::OfferConstraints;

#[derive(Clone, Debug, Default)]
pub struct FrameworkProfile {
    pub roles: BTreeSet<String>,
    pub suppressed: BTreeSet<String>,
    pub capabilities: FrameworkCapabilities,
    /// Per role, what an offer must hold at least one of instead of the master's own sets; an empty list means
    /// anything.
    pub min_allocatable: BTreeMap<String, Vec<Quantities>>,
    pub constraints: Option<OfferConstraints>,
    /// Whether it is connected and gets offers.
    pub active: bool,
}

#[derive(Clone, Debug)]
pub struct AgentProfile {
    pub hostname: String,
    pub attributes: Vec<v1::Attribute>,
    pub domain: Option<v1::DomainInfo>,
    pub capabilities: AgentCapabilities,
    /// Whether its resources are offered.
    pub active: bool,
}

/// What became of offered resources: the outcome of one ACCEPT or DECLINE on one agent.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    /// What was granted, with its allocation.
    pub offered: Resources,
    /// In the order in which they were applied, before anything is used.
    pub conversions: Vec<Conversion>,
    /// What runs now, with its allocation. May hold shared resources more often than they were offered.
    pub used: Resources,
    /// How long the unused part is refused. What a conversion made and nobody used is not refused.
    pub filter: Option<Duration>,
}

/// Resources of one agent for one framework in one of its roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub framework: FrameworkId,
    pub role: Arc<str>,
    pub agent: AgentId,
    /// Allocated to `role`.
    pub resources: Resources,
    /// The resource group it was won for; nothing where there are no groups.
    pub group: Option<Arc<str>>,
}
