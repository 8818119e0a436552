//! One cycle of the oracle: every agent, every role, every framework, for guarantees and then for fair shares.

use std::collections::BTreeSet;

use model::{AgentId, FrameworkId, capabilities::fault_domain};
use resources::Resources;

use super::{Oracle, Run, groups::Part};
use crate::{
    cycle::guarantee_seed,
    directory::{hash_text, scramble},
    profile::Grant,
    visit::{Pass, draw_seed, is_allocatable},
};

impl Oracle {
    /// One cycle over everything.
    pub fn allocate(&mut self, run: &Run) -> Vec<Grant> {
        self.filters.retain(|f| f.deadline > run.cutoff);
        let mut grants = Vec::new();
        let mut shared_offered = std::collections::BTreeMap::new();
        self.take_wins(run);
        for (pass, seed) in [(Pass::Guarantees, guarantee_seed(run.seed)), (Pass::FairShare, run.seed)] {
            let mut agents: Vec<AgentId> = self.agents.keys().cloned().collect();
            agents.retain(|id| run.only.as_ref().is_none_or(|only| only.contains(id)));
            agents.sort_by_key(|id| scramble(hash_text(id.as_str()), seed));
            for id in agents {
                let shared = shared_offered.entry(id.clone()).or_default();
                self.allocate_agent(&id, pass, run, shared, &mut grants);
            }
        }
        self.deferred.clear();
        grants
    }

    fn allocate_agent(&mut self, id: &AgentId, pass: Pass, run: &Run, shared: &mut Resources, grants: &mut Vec<Grant>) {
        if !self.is_offerable(&self.agents[id]) || (pass == Pass::Guarantees && self.quotas.is_empty()) {
            return;
        }
        for part in self.parts(id, run) {
            self.allocate_part(id, pass, part, run.seed, shared, grants);
        }
    }

    fn allocate_part(
        &mut self,
        id: &AgentId,
        pass: Pass,
        part: Part,
        seed: u64,
        shared: &mut Resources,
        grants: &mut Vec<Grant>,
    ) {
        if self.agents[id].available().is_empty() {
            return;
        }
        let draw = draw_seed(hash_text(id.as_str()), seed);
        let sorters = self.sorters(part);
        // Whom not even all that is there now could be offered cannot be offered less of it later.
        let could = self.could_be_offered(part, id, shared);
        let roles: BTreeSet<&str> = could.iter().map(|(role, _)| role.as_str()).collect();
        if roles.is_empty() {
            return;
        }
        for role in self.sorted_roles(&roles, sorters.0, draw) {
            for framework in self.sorted_frameworks(&role, sorters.1, draw) {
                if !could.contains(&(role.clone(), framework.clone())) {
                    continue;
                }
                let portion = self.portion(&framework, &role, id, shared);
                let portion = self.cut_to_part(part, id, &portion);
                let (portion, serves_guarantee) = self.cut_to_quota(&role, &portion);
                if portion.is_empty() || !self.may_offer(&framework, &role, id, &portion) {
                    continue;
                }
                if pass == Pass::Guarantees && !serves_guarantee {
                    continue;
                }
                *shared += &portion.shared();
                let needed = self.needed_by_name();
                self.spend(part, id, &portion);
                self.hold(id, &framework, &role, &portion);
                if role.contains('/') {
                    self.defer(needed);
                }
                let group = self.group_of(&role).map_or("default".into(), |group| self.groups[group].name.clone());
                grants.push(Grant {
                    framework,
                    role: role.as_str().into(),
                    agent: id.clone(),
                    resources: portion.allocate(&role),
                    group: (!self.groups.is_empty()).then_some(group),
                });
            }
        }
    }

    fn could_be_offered(&self, part: Part, id: &AgentId, shared: &Resources) -> BTreeSet<(String, FrameworkId)> {
        let mut could = BTreeSet::new();
        for (framework, f) in self.frameworks.iter().filter(|(_, f)| f.known && f.active) {
            for role in f.profile.roles.iter().filter(|role| self.is_for(part, role, id)) {
                let portion = self.cut_to_part(part, id, &self.portion(framework, role, id, shared));
                if !portion.is_empty() && self.may_offer(framework, role, id, &portion) {
                    could.insert((role.clone(), framework.clone()));
                }
            }
        }
        could
    }

    fn portion(&self, id: &FrameworkId, role: &str, agent: &AgentId, shared_offered: &Resources) -> Resources {
        let caps = &self.frameworks[id].profile.capabilities;
        self.agents[agent]
            .available()
            .filter(|r| !(r.is_shared() && shared_offered.contains_one(r)))
            .allocatable_to(role)
            .visible_with(caps.shared_resources, caps.revocable_resources, caps.reservation_refinement)
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
}
