//! An allocator, its clock, and short words for what happens to it.

use std::{collections::BTreeMap, time::Duration};

use allocator::{
    AgentProfile, Allocator, AllocatorConfig, Budget, ConstraintLimits, FrameworkProfile, Grant, Group, Quota,
    Settlement,
};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use proto::meseta::v1::ResourceGroup;
use resources::Resources;
use stdx::{Rng, Tick};

pub const SECOND: Duration = Duration::from_secs(1);

pub struct Cluster {
    pub allocator: Allocator,
    pub now: Tick,
}

impl Cluster {
    pub fn new(config: AllocatorConfig) -> Cluster {
        Cluster { allocator: Allocator::new(config, Rng::new(5)), now: Tick(1) }
    }

    pub fn eager() -> Cluster {
        Cluster::new(AllocatorConfig { coalesce: Duration::ZERO, ..Default::default() })
    }

    /// Mesos's own timing.
    pub fn ticking() -> Cluster {
        Cluster::new(AllocatorConfig { coalesce: Duration::ZERO, event_driven: false, ..Default::default() })
    }

    pub fn framework(&mut self, id: &str, roles: &[&str]) {
        self.framework_with(id, FrameworkProfile { capabilities: all_capabilities(), ..profile(roles) });
    }

    pub fn framework_with(&mut self, id: &str, profile: FrameworkProfile) {
        self.allocator.add_framework(self.now, &FrameworkId::from(id), profile, &BTreeMap::new());
    }

    pub fn agent(&mut self, id: &str, total: &str) {
        self.agent_with(id, resources(total), agent_profile(id));
    }

    pub fn agent_with(&mut self, id: &str, total: Resources, profile: AgentProfile) {
        self.allocator.add_agent(self.now, &AgentId::from(id), profile, total, &BTreeMap::new());
    }

    /// What is granted now, as short texts.
    pub fn granted(&mut self) -> Vec<String> {
        self.grants().iter().map(show).collect()
    }

    pub fn grants(&mut self) -> Vec<Grant> {
        let grants = self.allocator.allocate(self.now, Budget::UNLIMITED);
        self.allocator.check_invariants().unwrap();
        grants
    }

    /// What is granted until nothing is due any more.
    pub fn grants_at_rest(&mut self) -> Vec<Grant> {
        let mut all = Vec::new();
        for _ in 0..100 {
            all.extend(self.grants());
            if self.allocator.next_deadline().is_none_or(|(at, _)| at > self.now) {
                return all;
            }
        }
        panic!("the allocator does not come to rest");
    }

    pub fn groups(&mut self, specs: &[ResourceGroup]) {
        let groups: Vec<Group> =
            specs.iter().map(|spec| Group::compile(spec, ConstraintLimits::default()).unwrap()).collect();
        self.allocator.set_groups(self.now, groups);
    }

    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    pub fn decline(&mut self, grant: &Grant, filter: Option<Duration>) {
        let settlement = Settlement { offered: grant.resources.clone(), filter, ..Default::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
    }

    pub fn accept(&mut self, grant: &Grant, used: &str, filter: Option<Duration>) {
        let used = resources(used).allocate(&grant.role);
        let settlement = Settlement { offered: grant.resources.clone(), used, filter, ..Default::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
    }

    /// Uses all that was granted.
    pub fn accept_all(&mut self, grant: &Grant) {
        let used = grant.resources.clone();
        let settlement = Settlement { offered: used.clone(), used, ..Default::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
    }

    pub fn finish_all(&mut self, grant: &Grant) {
        self.allocator.recover(self.now, &grant.framework, &grant.agent, &grant.resources, None);
    }

    pub fn finish(&mut self, grant: &Grant, used: &str) {
        let used = resources(used).allocate(&grant.role);
        self.allocator.recover(self.now, &grant.framework, &grant.agent, &used, None);
    }
}

pub fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

pub fn profile(roles: &[&str]) -> FrameworkProfile {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    FrameworkProfile { roles, active: true, ..Default::default() }
}

pub fn all_capabilities() -> FrameworkCapabilities {
    FrameworkCapabilities {
        revocable_resources: true,
        gpu_resources: true,
        shared_resources: true,
        multi_role: true,
        reservation_refinement: true,
        region_aware: true,
        ..Default::default()
    }
}

pub fn agent_profile(id: &str) -> AgentProfile {
    AgentProfile {
        hostname: format!("{id}.example"),
        attributes: Vec::new(),
        domain: None,
        capabilities: AgentCapabilities::ALL,
        active: true,
    }
}

pub fn show(grant: &Grant) -> String {
    format!("{}/{}@{}: {}", grant.framework, grant.role, grant.agent, grant.resources.unallocate())
}

/// Guarantees and limits as `name:amount` texts.
pub fn quota(guarantees: &str, limits: &str) -> Quota {
    let numbers = |text: &str| -> Vec<(String, f64)> {
        let pair = |pair: &str| pair.split_once(':').map(|(name, amount)| (name.to_owned(), amount.parse().unwrap()));
        text.split(';').filter_map(pair).collect()
    };
    let (guarantees, limits) = (numbers(guarantees), numbers(limits));
    Quota::from_numbers(
        guarantees.iter().map(|(name, amount)| (name.as_str(), *amount)),
        limits.iter().map(|(name, amount)| (name.as_str(), *amount)),
    )
    .unwrap()
}
