//! The allocator's tables and what can be asked of them. Changes are in `frameworks`, `agents` and `settlement`, the
//! handing out in `cycle`, the timing in `schedule`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{AgentId, FrameworkCapabilities, FrameworkId};
use resources::{Quantities, Resources};
use stdx::{Rng, Tick};

use crate::{
    bits::Set,
    config::AllocatorConfig,
    constraints::{OfferConstraints, RoleConstraints},
    consumption::Room,
    cycle::Cycle,
    directory::{Directory, Idx},
    filters::Filters,
    groups::GroupBook,
    maintenance::Maintenance,
    profile::AgentProfile,
    quota::Quota,
    recovery::Recovery,
    scalars::{Amounts, Scalars},
    schedule::Schedule,
    standing::{Order, Standing, Totals},
    tree::Role,
};

/// Decides who is granted which resources. Give it everything that happens, ask `next_deadline` when it wants to run,
/// and call `allocate` then.
pub struct Allocator {
    pub(crate) config: AllocatorConfig,
    pub(crate) frameworks: Directory<FrameworkId, Framework>,
    pub(crate) roles: Directory<Arc<str>, Role>,
    /// A client is a framework in one of its roles, by the numbers of both.
    pub(crate) clients: Directory<(Idx<Framework>, Idx<Role>), Client>,
    pub(crate) agents: Directory<AgentId, Agent>,
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) whitelist: Option<BTreeSet<String>>,
    pub(crate) scalars: Scalars,
    pub(crate) groups: GroupBook,
    pub(crate) totals: Totals,
    /// The orders of the roles, by level of their tree: see `level_of`.
    pub(crate) levels: Vec<Order<Role>>,
    /// What quotas leave.
    pub(crate) room: Room,
    /// Roles with quotas that consume less than before.
    pub(crate) relaxed: Vec<Idx<Role>>,
    /// The minimum of an offer, by positions.
    pub(crate) minimum: Vec<Amounts>,
    /// By client number; survives the client, so that filters of a former holder of the number stay dead.
    pub(crate) filter_epochs: Vec<u32>,
    /// Listed clients that agents with these flags may be offered to, by flags.
    pub(crate) open: [Set<Client>; AGENT_FLAGS],
    /// Clients with their own minimum.
    pub(crate) overriding: Set<Client>,
    /// Clients with offer constraints.
    pub(crate) constrained: Set<Client>,
    /// The `expiry` of each agent that has one.
    pub(crate) expiries: BTreeSet<(Tick, Idx<Agent>)>,
    pub(crate) schedule: Schedule,
    pub(crate) cycle: Option<Cycle>,
    pub(crate) quotas: BTreeMap<String, Quota>,
    pub(crate) maintenance: Maintenance,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) seed: u64,
    pub(crate) cycles: u64,
    #[cfg(test)]
    pub(crate) last_run: Option<crate::oracle::Run>,
}

pub(crate) struct Framework {
    pub id: FrameworkId,
    /// False while only its use of resources is known, from agents that came back before it did.
    pub known: bool,
    pub active: bool,
    pub capabilities: FrameworkCapabilities,
    pub constraints: Option<OfferConstraints>,
    pub clients: Vec<Idx<Client>>,
}

pub(crate) struct Client {
    pub framework: Idx<Framework>,
    pub role: Idx<Role>,
    pub standing: Standing<Client>,
    pub subscribed: bool,
    pub suppressed: bool,
    /// Whether it takes part: connected, subscribed, not suppressed.
    pub listed: bool,
    pub min_allocatable: Option<Vec<Quantities>>,
    pub constraints: Option<Arc<RoleConstraints>>,
    /// Flags of agents that it may not be offered.
    pub barred_flags: u8,
    /// On how many agents it holds something.
    pub holdings: u32,
    /// The latest cycle in which it was granted something.
    pub granted_in: Option<u64>,
}

pub(crate) const HAS_GPUS: u8 = 1;
pub(crate) const REMOTE_REGION: u8 = 2;
pub(crate) const LACKS_MULTI_ROLE: u8 = 4;
pub(crate) const LACKS_HIERARCHICAL_ROLE: u8 = 8;
pub(crate) const AGENT_FLAGS: usize = 16;

pub(crate) struct Agent {
    pub id: AgentId,
    pub id_hash: u64,
    pub profile: AgentProfile,
    pub whitelisted: bool,
    pub flags: u8,
    pub total: Resources,
    pub total_amounts: Amounts,
    /// What is neither offered nor used. Shared resources never leave it.
    pub available: Resources,
    /// Whether more is used than there is; then `available` is worked out anew at each change.
    pub overcommitted: bool,
    pub has_shared: bool,
    /// Who holds what, without allocation.
    pub held: Vec<(Idx<Client>, Resources)>,
    /// Clients whose constraints exclude this agent.
    pub barred: Set<Client>,
    pub filters: Filters,
    /// When the filters want to be looked at: with the first deadline, or before.
    pub expiry: Option<Tick>,
    /// Something came free or changed: every client must be tried.
    pub dirty: bool,
    /// Clients that must be tried because a filter of theirs ended.
    pub reopened: Set<Client>,
    /// Whether it stands in the list of agents to look at.
    pub queued: bool,
    /// The last portion granted and its allocated form; the same portion tends to go round.
    pub last_grant: Option<LastGrant>,
    /// Shared resources that this cycle offered already.
    pub shared_offered: (u64, Resources),
    /// Who got something of it last, and in which cycle.
    pub last_winner: Option<(u64, Idx<Client>)>,
    /// Of what is available, what counts for guarantees; as far as it was booked.
    pub free: Amounts,
    /// What is reserved, and what of it nobody uses, by role; as booked.
    pub reserved: Vec<(Idx<Role>, Amounts)>,
    pub idle: Vec<(Idx<Role>, Amounts)>,
}

#[derive(Clone)]
pub(crate) struct LastGrant {
    pub role: Arc<str>,
    pub portion: Resources,
    pub allocated: Resources,
    pub amounts: Amounts,
    pub charge: Amounts,
}

impl Agent {
    pub fn is_offerable(&self) -> bool {
        self.profile.active && self.whitelisted
    }

    pub fn held_by(&self, client: Idx<Client>) -> Option<&Resources> {
        self.held.iter().find(|(holder, _)| *holder == client).map(|(_, resources)| resources)
    }

    /// Whether every client could be offered the same of it.
    pub fn is_plain(&self) -> bool {
        self.available.iter().all(|r| r.is_unreserved() && !r.is_revocable() && !r.is_shared())
    }

    /// Works out `available` from the total and what is held.
    pub fn count_available(&mut self) {
        let held: Resources = self.held.iter().map(|(_, resources)| without_shared(resources)).sum();
        let total = self.total.non_shared();
        self.has_shared = total.len() != self.total.len();
        self.overcommitted = !total.contains(&held);
        self.available = if held.is_empty() { self.total.clone() } else { total - &held + self.total.shared() };
    }
}

/// The same without shared resources; free of charge when there are none, which is the rule.
pub(crate) fn without_shared(resources: &Resources) -> Resources {
    if resources.iter().any(|resource| resource.is_shared()) { resources.non_shared() } else { resources.clone() }
}

impl Allocator {
    pub fn new(config: AllocatorConfig, mut rng: Rng) -> Allocator {
        let mut scalars = Scalars::new(config.fair_sharing_excluded.clone());
        let minimum = config.min_allocatable.iter().map(|set| scalars.of_quantities(set)).collect();
        Allocator {
            scalars,
            config,
            frameworks: Directory::default(),
            roles: Directory::default(),
            clients: Directory::default(),
            agents: Directory::default(),
            groups: GroupBook::default(),
            weights: BTreeMap::new(),
            whitelist: None,
            totals: Totals::default(),
            levels: vec![Order::default()],
            room: Room::default(),
            relaxed: Vec::new(),
            minimum,
            filter_epochs: Vec::new(),
            open: Default::default(),
            overriding: Set::default(),
            constrained: Set::default(),
            expiries: BTreeSet::new(),
            schedule: Schedule::default(),
            cycle: None,
            quotas: BTreeMap::new(),
            maintenance: Maintenance::default(),
            recovery: None,
            seed: rng.next_u64(),
            cycles: 0,
            #[cfg(test)]
            last_run: None,
        }
    }

    pub fn config(&self) -> &AllocatorConfig {
        &self.config
    }

    /// How many cycles have begun.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Whether the budget ended a call before its cycle was over; the next call goes on.
    pub fn is_cut(&self) -> bool {
        self.cycle.is_some()
    }

    /// Whether what a cut call goes on with is a competition of resource groups.
    pub fn is_competing(&self) -> bool {
        self.cycle.as_ref().is_some_and(|cycle| cycle.contest.is_some())
    }

    pub fn total(&self, agent: &AgentId) -> Option<&Resources> {
        Some(&self.agents.get(self.agents.find(agent)?)?.total)
    }

    /// What of an agent is neither offered nor used.
    pub fn available(&self, agent: &AgentId) -> Option<&Resources> {
        Some(&self.agents.get(self.agents.find(agent)?)?.available)
    }

    /// What a framework was offered or uses on an agent, per role, without allocation.
    pub fn held(&self, framework: &FrameworkId, agent: &AgentId) -> BTreeMap<Arc<str>, Resources> {
        let mut held = BTreeMap::new();
        let (Some(f), Some(a)) = (self.frameworks.find(framework), self.agents.find(agent)) else { return held };
        let Some(agent) = self.agents.get(a) else { return held };
        for (client, resources) in &agent.held {
            if let Some(client) = self.clients.get(*client).filter(|client| client.framework == f)
                && let Some(role) = self.roles.get(client.role)
            {
                held.insert(role.name.clone(), resources.clone());
            }
        }
        held
    }

    /// The weighted dominant share of each role, with all that lies below it.
    pub fn role_shares(&self) -> BTreeMap<Arc<str>, f64> {
        self.roles.iter().map(|(_, r)| (r.name.clone(), r.node.share(&self.totals, &self.scalars))).collect()
    }

    /// The dominant share of each framework of a role.
    pub fn framework_shares(&self, role: &str) -> BTreeMap<FrameworkId, f64> {
        let Some(role) = self.roles.find(role).and_then(|r| self.roles.get(r)) else { return BTreeMap::new() };
        let clients = role.clients.iter().filter_map(|c| self.clients.get(*c));
        clients
            .filter_map(|client| {
                let id = self.frameworks.get(client.framework)?.id.clone();
                Some((id, client.standing.share(&self.totals, &self.scalars)))
            })
            .collect()
    }

    /// How many filters are in force, by role.
    pub fn active_filters(&self) -> BTreeMap<Arc<str>, usize> {
        let mut counts = BTreeMap::new();
        for (_, agent) in self.agents.iter() {
            for client in agent.filters.holders(&self.filter_epochs) {
                if let Some(role) = self.clients.get(client).and_then(|c| self.roles.get(c.role)) {
                    *counts.entry(role.name.clone()).or_insert(0) += 1;
                }
            }
        }
        counts
    }

    /// Whether the master's own minimum of an offer is in `amounts`.
    pub(crate) fn is_enough(&self, amounts: &Amounts) -> bool {
        let holds = |set: &Amounts| (0..set.len()).all(|position| amounts.get(position) >= set.get(position));
        self.minimum.is_empty() || self.minimum.iter().any(holds)
    }
}
