//! A made-up cluster around an allocator, and the clock it runs by.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use allocator::{AgentProfile, Allocator, AllocatorConfig, Budget, FrameworkProfile, Grant, Settlement};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use resources::Resources;
use stdx::{Rng, Tick};

pub struct Cluster {
    pub allocator: Allocator,
    pub now: Tick,
}

impl Cluster {
    pub fn empty() -> Cluster {
        Cluster::with(AllocatorConfig::default())
    }

    pub fn with(config: AllocatorConfig) -> Cluster {
        Cluster { allocator: Allocator::new(config, Rng::new(1)), now: Tick::ZERO }
    }

    /// The cluster of Mesos's DeclineOffers: agents with most of their resources and sixteen ranges of ports in use, by
    /// the frameworks in turn; these share the roles evenly, and with one role are all in `*`.
    pub fn half_used(agents: usize, frameworks: usize, roles: usize) -> Cluster {
        let mut cluster = Cluster::empty();
        for f in 0..frameworks {
            cluster.add_framework(&framework(f), &role(f % roles, roles));
        }
        let total = parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
        let mut ports: Vec<String> = (0..15).map(|n| format!("{0}-{0}", 31000 + 2 * n)).collect();
        ports.push("31030-32000".to_owned());
        let used = parse(&format!("cpus:16;mem:2014;disk:1024;ports:[{}]", ports.join(",")));
        for a in 0..agents {
            let f = a % frameworks;
            let used = BTreeMap::from([(framework(f), used.allocate(&role(f % roles, roles)))]);
            cluster.add_agent(&agent(a), total.clone(), &used);
        }
        cluster
    }

    pub fn add_framework(&mut self, id: &FrameworkId, role: &str) {
        self.add_framework_with(id, role, FrameworkCapabilities::default());
    }

    pub fn add_framework_with(&mut self, id: &FrameworkId, role: &str, capabilities: FrameworkCapabilities) {
        let profile = FrameworkProfile {
            roles: BTreeSet::from([role.to_owned()]),
            capabilities: FrameworkCapabilities { reservation_refinement: true, ..capabilities },
            active: true,
            ..Default::default()
        };
        self.allocator.add_framework(self.now, id, profile, &BTreeMap::new());
    }

    pub fn add_agent(&mut self, id: &AgentId, total: Resources, used: &BTreeMap<FrameworkId, Resources>) {
        let profile = AgentProfile {
            hostname: id.as_str().to_owned(),
            attributes: Vec::new(),
            domain: None,
            capabilities: AgentCapabilities::ALL,
            active: true,
        };
        self.allocator.add_agent(self.now, id, profile, total, used);
    }

    /// One cycle, a second later.
    pub fn allocate(&mut self) -> (Vec<Grant>, Duration) {
        self.now = self.now + Duration::from_secs(1);
        let begin = Instant::now();
        let grants = self.allocator.allocate(self.now, Budget::UNLIMITED);
        (grants, begin.elapsed())
    }

    pub fn decline(&mut self, grants: Vec<Grant>, filter: Duration) -> Duration {
        let begin = Instant::now();
        for grant in grants {
            let settlement = Settlement { offered: grant.resources, filter: Some(filter), ..Default::default() };
            self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
        }
        begin.elapsed()
    }
}

pub fn parse(text: &str) -> Resources {
    match Resources::parse(text, "*") {
        Ok(resources) => resources,
        Err(why) => panic!("{text}: {why}"),
    }
}

pub fn role(number: usize, of: usize) -> String {
    if of == 1 { "*".to_owned() } else { format!("role{number}") }
}

pub fn framework(number: usize) -> FrameworkId {
    FrameworkId::from(format!("c5a1f7f0-5e0c-4d4b-9e0a-4f0f6a3c1b2d-{number:04}"))
}

pub fn agent(number: usize) -> AgentId {
    AgentId::from(format!("c5a1f7f0-5e0c-4d4b-9e0a-4f0f6a3c1b2d-S{number}"))
}
