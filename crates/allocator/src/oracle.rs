//! A second allocator, slow and obvious: nothing is remembered between cycles but the facts, and every cycle tries every
//! framework on every agent. `agreement` lets random histories run through both and compares every grant.

mod agreement;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentId, FrameworkId, capabilities::fault_domain};
use resources::Resources;
use stdx::Tick;

use crate::{
    config::{AllocatorConfig, SorterKind},
    cycle::{draw_seed, is_allocatable},
    directory::{hash_text, scramble},
    profile::{AgentProfile, FrameworkProfile, Grant, Settlement},
    standing::lot,
};

/// What a cycle of the real allocator was about: when filters counted as ended, which agents it looked at, its seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub cutoff: Tick,
    pub only: Option<BTreeSet<AgentId>>,
    pub seed: u64,
    pub began: bool,
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
    client_counts: BTreeMap<(FrameworkId, String), u64>,
    role_counts: BTreeMap<String, u64>,
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
            client_counts: BTreeMap::new(),
            role_counts: BTreeMap::new(),
        }
    }

    pub fn add_framework(&mut self, id: &FrameworkId, p: FrameworkProfile, used: &BTreeMap<AgentId, Resources>) {
        let active = p.active;
        self.frameworks.insert(id.clone(), Framework { known: true, active, profile: p.clone() });
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
        self.filters.retain(|f| f.framework != *id || profile.roles.contains(&f.role));
        framework.profile = profile;
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
    }

    pub fn set_weight(&mut self, role: &str, weight: f64) {
        self.weights.insert(role.to_owned(), weight);
    }

    pub fn add_agent(
        &mut self,
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
    }

    pub fn update_agent_total(&mut self, id: &AgentId, total: Resources) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.total = total;
        }
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
            *self.client_counts.entry(key).or_default() += 1;
            *self.role_counts.entry(role.clone()).or_default() += 1;
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

    /// One cycle over everything.
    pub fn allocate(&mut self, run: &Run) -> Vec<Grant> {
        self.filters.retain(|f| f.deadline > run.cutoff);
        let mut grants = Vec::new();
        let mut agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        agents.retain(|id| run.only.as_ref().is_none_or(|only| only.contains(id)));
        agents.sort_by_key(|id| scramble(hash_text(id.as_str()), run.seed));
        for id in agents {
            self.allocate_agent(&id, run.seed, &mut grants);
        }
        grants
    }

    fn allocate_agent(&mut self, id: &AgentId, seed: u64, grants: &mut Vec<Grant>) {
        let profile = &self.agents[id].profile;
        if !profile.active || self.whitelist.as_ref().is_some_and(|list| !list.contains(&profile.hostname)) {
            return;
        }
        let draw = draw_seed(hash_text(id.as_str()), seed);
        let mut shared_offered = Resources::EMPTY;
        for role in self.sorted_roles(draw) {
            for framework in self.sorted_frameworks(&role, draw) {
                let portion = self.portion(&framework, &role, id, &shared_offered);
                if portion.is_empty() || !self.may_offer(&framework, &role, id, &portion) {
                    continue;
                }
                shared_offered += &portion.shared();
                self.hold(id, &framework, &role, &portion);
                grants.push(Grant {
                    framework,
                    role: role.as_str().into(),
                    agent: id.clone(),
                    resources: portion.allocate(&role),
                    group: None,
                });
            }
        }
    }

    fn sorted_roles(&self, draw: u64) -> Vec<String> {
        let mut roles: Vec<String> = self.clients().into_iter().map(|(_, role)| role).collect();
        roles.sort();
        roles.dedup();
        let weight = |role: &String| self.weights.get(role).copied().unwrap_or(1.0);
        let place = |role: &String| match self.config.role_sorter {
            SorterKind::Drf => (self.role_share(role), self.role_counts.get(role).copied().unwrap_or(0)),
            SorterKind::Random => (lot(hash_text(role), weight(role), draw), 0),
        };
        roles.sort_by(|a, b| {
            let ((x, m), (y, n)) = (place(a), place(b));
            x.total_cmp(&y).then(m.cmp(&n)).then(a.cmp(b))
        });
        roles
    }

    fn sorted_frameworks(&self, role: &str, draw: u64) -> Vec<FrameworkId> {
        let listed = self.frameworks.iter().filter(|(_, f)| {
            f.known && f.active && f.profile.roles.contains(role) && !f.profile.suppressed.contains(role)
        });
        let mut ids: Vec<FrameworkId> = listed.map(|(id, _)| id.clone()).collect();
        let place = |id: &FrameworkId| match self.config.framework_sorter {
            SorterKind::Drf => {
                let count = self.client_counts.get(&(id.clone(), role.to_owned())).copied().unwrap_or(0);
                (self.client_share(id, role), count)
            }
            SorterKind::Random => (lot(hash_text(id.as_str()), 1.0, draw), 0),
        };
        ids.sort_by(|a, b| {
            let ((x, m), (y, n)) = (place(a), place(b));
            x.total_cmp(&y).then(m.cmp(&n)).then(a.cmp(b))
        });
        ids
    }

    fn portion(&self, id: &FrameworkId, role: &str, agent: &AgentId, shared_offered: &Resources) -> Resources {
        let caps = &self.frameworks[id].profile.capabilities;
        let row = &self.agents[agent];
        let held: Resources = row.held.values().map(Resources::non_shared).sum();
        let shared = row.total.shared().filter(|r| !shared_offered.contains_one(r));
        let available = row.total.non_shared() - &held + &shared;
        available.allocatable_to(role).visible_with(
            caps.shared_resources,
            caps.revocable_resources,
            caps.reservation_refinement,
        )
    }

    fn may_offer(&self, id: &FrameworkId, role: &str, agent: &AgentId, portion: &Resources) -> bool {
        let profile = &self.frameworks[id].profile;
        let caps = &profile.capabilities;
        let row = &self.agents[agent];
        let theirs = &row.profile;
        let region = fault_domain(theirs.domain.as_ref()).map(|(region, _)| region.to_owned());
        let remote = region.is_some() && self.config.region.is_some() && region != self.config.region;
        let gpus = row.total.gpus().is_some_and(|gpus| gpus.is_positive());
        let admitted = profile
            .constraints
            .as_ref()
            .and_then(|all| all.for_role(role))
            .is_none_or(|rule| rule.admit(&theirs.hostname, &theirs.attributes, theirs.domain.as_ref()));
        let minimum = profile.min_allocatable.get(role).unwrap_or(&self.config.min_allocatable);
        let hidden = self
            .filters
            .iter()
            .any(|f| f.framework == *id && f.role == role && f.agent == *agent && f.refused.contains(portion));
        admitted
            && !hidden
            && is_allocatable(minimum, portion)
            && (!gpus || caps.gpu_resources || !self.config.filter_gpu_resources)
            && (!remote || caps.region_aware)
            && (!caps.multi_role || theirs.capabilities.multi_role)
            && (!role.contains('/') || theirs.capabilities.hierarchical_role)
    }

    pub fn client_share(&self, id: &FrameworkId, role: &str) -> f64 {
        let key = (id.clone(), role.to_owned());
        self.share(self.agents.values().filter_map(|agent| agent.held.get(&key)).cloned().collect())
    }

    pub fn role_share(&self, role: &str) -> f64 {
        let on = |agent: &Agent| agent.held.iter().filter(|((_, r), _)| r == role).map(|(_, held)| held).sum();
        self.share(self.agents.values().map(on).collect()) / self.weights.get(role).copied().unwrap_or(1.0)
    }

    /// The dominant share of what is held per agent.
    fn share(&self, held: Vec<Resources>) -> f64 {
        let sum = |of: &mut dyn Iterator<Item = &Resources>| {
            let mut all = BTreeMap::<String, i64>::new();
            for (name, amount) in of.flat_map(|r| r.scalar_quantities().iter().map(own).collect::<Vec<_>>()) {
                *all.entry(name).or_default() += amount;
            }
            all
        };
        let totals = sum(&mut self.agents.values().map(|agent| &agent.total));
        let mut dominant = 0.0;
        for (name, amount) in sum(&mut held.iter()) {
            let total = totals.get(&name).copied().unwrap_or(0);
            if total > 0 && amount > 0 && !self.config.fair_sharing_excluded.contains(&name) {
                dominant = f64::max(dominant, amount as f64 / total as f64);
            }
        }
        dominant
    }

    fn hold(&mut self, agent: &AgentId, framework: &FrameworkId, role: &str, resources: &Resources) {
        let key = (framework.clone(), role.to_owned());
        if let Some(row) = self.agents.get_mut(agent) {
            *row.held.entry(key.clone()).or_default() += resources;
            *self.client_counts.entry(key).or_default() += 1;
            *self.role_counts.entry(role.to_owned()).or_default() += 1;
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

    /// Counts end with the client or role they are about.
    fn forget_unused(&mut self) {
        let clients = self.clients();
        self.client_counts.retain(|key, _| clients.contains(key));
        self.role_counts.retain(|role, _| clients.iter().any(|(_, r)| r == role));
    }
}

fn own((name, amount): (&resources::Name, resources::Quantity)) -> (String, i64) {
    (name.as_str().to_owned(), amount.0)
}

fn next_batch(config: &AllocatorConfig, now: Tick) -> Tick {
    let interval = config.interval.as_nanos() as u64;
    Tick((now.0 / interval + 1) * interval)
}
