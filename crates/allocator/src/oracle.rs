//! A second allocator, slow and obvious: nothing is remembered between cycles but the facts, and every cycle tries
//! every framework on every agent. Here are the facts and how they change; `cycle` hands out, `shares` says who is
//! next, `quota` how much a role may have, `groups` who won what. `agreement` lets random histories run through both
//! and compares every grant.

mod agreement;
mod cycle;
mod groups;
mod maintenance;
mod quota;
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentId, FrameworkId};
use resources::{
    Quantities, Resources,
    conversion::{self, Conversion},
};
use stdx::Tick;

use crate::{
    config::AllocatorConfig,
    groups::Group,
    profile::{AgentProfile, FrameworkProfile, Settlement},
    quota::{Quota, ancestors_of},
};

/// What a cycle of the real allocator was about: when filters counted as ended, which agents it looked at, its seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub cutoff: Tick,
    pub only: Option<BTreeSet<AgentId>>,
    pub seed: u64,
    pub began: bool,
    /// How many units each group, by number, won of an agent.
    pub wins: BTreeMap<AgentId, Vec<(usize, u64)>>,
    /// On which agents pieces are kept, and for which group.
    pub kept: BTreeMap<AgentId, usize>,
    /// The agents of the cycle, on which it was judged what is kept.
    pub judged: BTreeSet<AgentId>,
}

#[derive(Clone, Default)]
struct Framework {
    known: bool,
    active: bool,
    profile: FrameworkProfile,
}

#[derive(Clone)]
struct Agent {
    profile: AgentProfile,
    total: Resources,
    held: BTreeMap<(FrameworkId, String), Resources>,
}

#[derive(Clone)]
struct Filter {
    framework: FrameworkId,
    role: String,
    agent: AgentId,
    refused: Resources,
    deadline: Tick,
}

#[derive(Clone)]
pub(crate) struct Oracle {
    config: AllocatorConfig,
    frameworks: BTreeMap<FrameworkId, Framework>,
    agents: BTreeMap<AgentId, Agent>,
    filters: Vec<Filter>,
    weights: BTreeMap<String, f64>,
    whitelist: Option<BTreeSet<String>>,
    quotas: BTreeMap<String, Quota>,
    groups: Vec<Group>,
    /// What groups, by number, won of agents in this cycle and were not offered yet.
    purses: BTreeMap<(AgentId, usize), Quantities>,
    /// On which agents pieces are kept for which group.
    kept: BTreeMap<AgentId, usize>,
    /// Of each agent that will be unavailable, who was asked to leave.
    asked: BTreeMap<AgentId, BTreeMap<FrameworkId, maintenance::Asked>>,
    /// How many agents must come back, and until when.
    recovery: Option<(usize, Tick)>,
    /// In Mesos's way, what is needed less since the cycle began, by name.
    deferred: BTreeMap<String, i64>,
    client_counts: BTreeMap<(FrameworkId, String), u64>,
    /// Allocations received by each role itself, and by each with all below it.
    role_counts: BTreeMap<String, u64>,
    subtree_counts: BTreeMap<String, u64>,
}

impl Oracle {
    pub fn new(config: AllocatorConfig) -> Oracle {
        Oracle {
            config,
            frameworks: BTreeMap::new(),
            agents: BTreeMap::new(),
            filters: Vec::new(),
            weights: BTreeMap::new(),
            whitelist: None,
            quotas: BTreeMap::new(),
            groups: Vec::new(),
            purses: BTreeMap::new(),
            kept: BTreeMap::new(),
            asked: BTreeMap::new(),
            recovery: None,
            deferred: BTreeMap::new(),
            client_counts: BTreeMap::new(),
            role_counts: BTreeMap::new(),
            subtree_counts: BTreeMap::new(),
        }
    }

    pub fn add_framework(&mut self, id: &FrameworkId, p: FrameworkProfile, used: &BTreeMap<AgentId, Resources>) {
        let active = p.active;
        let before = self.frameworks.remove(id).map(|framework| framework.profile);
        let profile = before.unwrap_or_else(|| p.clone());
        self.frameworks.insert(id.clone(), Framework { known: true, active, profile });
        self.update_framework(id, p);
        for (agent, resources) in used {
            let Some(row) = self.agents.get_mut(agent) else { continue };
            row.held.retain(|(holder, _), _| holder != id);
            self.forget_unused();
            for (role, portion) in resources.allocations() {
                self.hold(agent, id, &role, &portion.unallocate());
            }
        }
    }

    pub fn update_framework(&mut self, id: &FrameworkId, profile: FrameworkProfile) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let stays = |role: &String| {
            profile.roles.contains(role)
                && (profile.suppressed.contains(role) || !framework.profile.suppressed.contains(role))
        };
        self.filters.retain(|f| f.framework != *id || stays(&f.role));
        framework.profile = profile;
        self.forget_refusals(id);
        self.forget_unused();
    }

    pub fn set_framework_active(&mut self, id: &FrameworkId, active: bool) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        framework.active = active;
        if !active {
            self.filters.retain(|f| f.framework != *id);
        }
    }

    pub fn remove_framework(&mut self, id: &FrameworkId) {
        self.frameworks.remove(id);
        for asked in self.asked.values_mut() {
            asked.remove(id);
        }
        self.filters.retain(|f| f.framework != *id);
        for agent in self.agents.values_mut() {
            agent.held.retain(|(holder, _), _| holder != id);
        }
        self.forget_unused();
    }

    pub fn suppress(&mut self, id: &FrameworkId, roles: &[String]) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let all = framework.profile.roles.iter();
        let named: Vec<String> = all.filter(|r| roles.is_empty() || roles.contains(r)).cloned().collect();
        framework.profile.suppressed.extend(named);
    }

    pub fn revive(&mut self, id: &FrameworkId, roles: &[String]) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let named = |role: &String| roles.is_empty() || roles.contains(role);
        framework.profile.suppressed.retain(|role| !named(role));
        self.filters.retain(|f| f.framework != *id || !named(&f.role));
        self.forget_refusals(id);
    }

    pub fn set_weight(&mut self, role: &str, weight: f64) {
        self.weights.insert(role.to_owned(), weight);
    }

    pub fn set_quota(&mut self, role: &str, quota: Quota) {
        if quota.is_default() {
            self.quotas.remove(role);
        } else {
            self.quotas.insert(role.to_owned(), quota);
        }
        self.forget_unused();
    }

    pub fn update_available(&mut self, id: &AgentId, conversions: &[Conversion]) -> bool {
        let Some(agent) = self.agents.get_mut(id) else { return false };
        if conversion::apply_all(&agent.available(), conversions).is_err() {
            return false;
        }
        match conversion::apply_all(&agent.total, conversions) {
            Ok(total) => agent.total = total,
            Err(_) => return false,
        }
        self.forget_unused();
        true
    }

    pub fn add_agent(
        &mut self,
        now: Tick,
        id: &AgentId,
        profile: AgentProfile,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) {
        self.remove_agent(id);
        self.agents.insert(id.clone(), Agent { profile, total, held: BTreeMap::new() });
        for (framework, resources) in used {
            for (role, portion) in resources.allocations() {
                self.hold(id, framework, &role, &portion.unallocate());
            }
        }
        self.is_recovering(now);
    }

    pub fn update_agent_total(&mut self, id: &AgentId, total: Resources) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.total = total;
        }
        self.forget_unused();
    }

    pub fn update_agent_profile(&mut self, id: &AgentId, profile: AgentProfile) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if agent.profile.attributes != profile.attributes {
            self.filters.retain(|f| f.agent != *id);
        }
        agent.profile = profile;
    }

    pub fn set_agent_active(&mut self, id: &AgentId, active: bool) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.profile.active = active;
        }
    }

    pub fn remove_agent(&mut self, id: &AgentId) {
        self.agents.remove(id);
        self.asked.remove(id);
        self.filters.retain(|f| f.agent != *id);
        self.forget_unused();
    }

    pub fn set_whitelist(&mut self, whitelist: Option<BTreeSet<String>>) {
        self.whitelist = whitelist;
    }

    pub fn settle(&mut self, now: Tick, id: &FrameworkId, agent: &AgentId, s: &Settlement) {
        let Some(role) = s.offered.allocations().into_keys().next() else { return };
        let Some(row) = self.agents.get_mut(agent) else { return };
        let key = (id.clone(), role.clone());
        let Some(held) = row.held.get_mut(&key) else { return };
        let (mut rest, mut made) = (s.offered.unallocate(), Resources::EMPTY);
        for conversion in &s.conversions {
            let (consumed, converted) = (conversion.consumed.unallocate(), conversion.converted.unallocate());
            row.total = row.total.clone() - &consumed + &converted;
            *held = held.clone() - &consumed + &converted;
            rest = rest - &consumed + &converted;
            made = made - &consumed + &converted;
        }
        let used = s.used.unallocate();
        let more = used.shared() - rest.shared();
        rest -= &used;
        *held = held.clone() - &rest + &more;
        if held.is_empty() {
            row.held.remove(&key);
        }
        if !more.is_empty() {
            self.count_allocation(&key.0, &role);
        }
        made -= &used;
        let untouched = used.is_empty() && made.is_empty();
        let filter = match s.filter {
            Some(asked) => Some(asked.max(self.config.interval)),
            None if untouched && self.config.event_driven => Some(next_batch(&self.config, now).since(now)),
            None => None,
        };
        self.refuse(now, id, &role, agent, rest - &made, filter);
        self.forget_unused();
    }

    pub fn recover(
        &mut self,
        now: Tick,
        id: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filter: Option<Duration>,
    ) {
        for (role, portion) in resources.allocations() {
            let portion = portion.unallocate();
            let Some(row) = self.agents.get_mut(agent) else { continue };
            let key = (id.clone(), role.clone());
            let Some(held) = row.held.get_mut(&key) else { continue };
            *held -= &portion;
            if held.is_empty() {
                row.held.remove(&key);
            }
            let filter = filter.map(|asked| asked.max(self.config.interval));
            self.refuse(now, id, &role, agent, portion, filter);
        }
        self.forget_unused();
    }

    fn hold(&mut self, agent: &AgentId, framework: &FrameworkId, role: &str, resources: &Resources) {
        if let Some(row) = self.agents.get_mut(agent) {
            *row.held.entry((framework.clone(), role.to_owned())).or_default() += resources;
            self.count_allocation(framework, role);
        }
    }

    fn count_allocation(&mut self, framework: &FrameworkId, role: &str) {
        *self.client_counts.entry((framework.clone(), role.to_owned())).or_default() += 1;
        *self.role_counts.entry(role.to_owned()).or_default() += 1;
        for name in with_ancestors(role) {
            *self.subtree_counts.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn refuse(
        &mut self,
        now: Tick,
        id: &FrameworkId,
        role: &str,
        agent: &AgentId,
        refused: Resources,
        filter: Option<Duration>,
    ) {
        let subscribed = self.frameworks.get(id).is_some_and(|f| f.profile.roles.contains(role));
        if let Some(filter) = filter
            && subscribed
            && !refused.is_empty()
        {
            let (framework, role, agent) = (id.clone(), role.to_owned(), agent.clone());
            self.filters.push(Filter { framework, role, agent, refused, deadline: now + filter });
        }
    }

    /// Frameworks in their roles: subscribed, or holding something.
    fn clients(&self) -> BTreeSet<(FrameworkId, String)> {
        let subscribed = self
            .frameworks
            .iter()
            .flat_map(|(id, f)| f.profile.roles.iter().map(move |role| (id.clone(), role.clone())));
        subscribed.chain(self.agents.values().flat_map(|agent| agent.held.keys().cloned())).collect()
    }

    /// The roles that somebody is in, holds or reserved something in, or has a quota for; and those above them.
    fn roles(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.clients().into_iter().map(|(_, role)| role).collect();
        names.extend(self.quotas.keys().cloned());
        names.extend(self.agents.values().flat_map(|agent| agent.total.reservations().into_keys()));
        names.iter().flat_map(|name| with_ancestors(name)).map(str::to_owned).collect()
    }

    /// Counts end with the client or role they are about.
    fn forget_unused(&mut self) {
        let (clients, roles) = (self.clients(), self.roles());
        self.client_counts.retain(|key, _| clients.contains(key));
        self.role_counts.retain(|role, _| roles.contains(role));
        self.subtree_counts.retain(|role, _| roles.contains(role));
    }
}

impl Agent {
    /// What is neither offered nor used; shared resources always are.
    fn available(&self) -> Resources {
        let held: Resources = self.held.values().map(Resources::non_shared).sum();
        self.total.non_shared() - &held + &self.total.shared()
    }
}

/// A role and those above it.
fn with_ancestors(role: &str) -> impl Iterator<Item = &str> {
    std::iter::once(role).chain(ancestors_of(role))
}

fn next_batch(config: &AllocatorConfig, now: Tick) -> Tick {
    let interval = config.interval.as_nanos() as u64;
    Tick((now.0 / interval + 1) * interval)
}
