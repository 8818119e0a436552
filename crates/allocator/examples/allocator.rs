//! The allocator's figures, one JSON object a line: the rounds of Mesos's DeclineOffers benchmark at several sizes, single
//! cycles over clusters that nobody has published, and grants per second. Everything runs in this process, on one thread,
//! without offers going anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use allocator::{AgentProfile, Allocator, AllocatorConfig, Budget, FrameworkProfile, Grant, Settlement};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use resources::Resources;
use stdx::{Rng, Tick};

const YEAR: Duration = Duration::from_secs(31_536_000);

fn main() {
    for (agents, frameworks, rounds) in [(1_000, 50, 100), (1_000, 200, 300), (1_000, 1_000, 60), (10_000, 1_000, 60)] {
        decline_offers(agents, frameworks, rounds);
    }
    for (agents, frameworks) in [(1_000, 1_000), (20_000, 2_000), (50_000, 6_000)] {
        one_cycle(agents, frameworks, 1);
    }
    one_cycle(3_000, 3_000, 3_000);
    placements(10_000, 100);
}

struct Bench {
    allocator: Allocator,
    now: Tick,
}

impl Bench {
    /// Agents with half of their resources in use by the frameworks, which share the roles evenly.
    fn new(agents: usize, frameworks: usize, roles: usize) -> Bench {
        let mut bench = Bench { allocator: Allocator::new(AllocatorConfig::default(), Rng::new(1)), now: Tick::ZERO };
        for f in 0..frameworks {
            let profile = FrameworkProfile {
                roles: BTreeSet::from([role(f % roles, roles)]),
                capabilities: FrameworkCapabilities { reservation_refinement: true, ..Default::default() },
                active: true,
                ..Default::default()
            };
            bench.allocator.add_framework(bench.now, &framework(f), profile, &BTreeMap::new());
        }
        let total = parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
        let used = parse("cpus:16;mem:2014;disk:1024;ports:[31126-31510,31600-31640]");
        for a in 0..agents {
            let profile = AgentProfile {
                hostname: format!("agent{a}"),
                attributes: Vec::new(),
                domain: None,
                capabilities: AgentCapabilities::ALL,
                active: true,
            };
            let f = a % frameworks;
            let used = BTreeMap::from([(framework(f), used.allocate(&role(f % roles, roles)))]);
            bench.allocator.add_agent(bench.now, &agent(a), profile, total.clone(), &used);
        }
        bench
    }

    fn allocate(&mut self) -> (Vec<Grant>, Duration) {
        self.now = self.now + Duration::from_secs(1);
        let begin = Instant::now();
        let grants = self.allocator.allocate(self.now, Budget::UNLIMITED);
        (grants, begin.elapsed())
    }

    fn decline(&mut self, grants: Vec<Grant>, filter: Duration) -> Duration {
        let begin = Instant::now();
        for grant in grants {
            let settlement = Settlement { offered: grant.resources, filter: Some(filter), ..Default::default() };
            self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
        }
        begin.elapsed()
    }
}

/// Every round all free resources are offered, and all of it is declined for a year.
fn decline_offers(agents: usize, frameworks: usize, rounds: usize) {
    let mut bench = Bench::new(agents, frameworks, 1);
    let (mut allocate, mut decline, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
    let mut offers = 0;
    for _ in 0..rounds {
        let (grants, took) = bench.allocate();
        if grants.is_empty() {
            quiet.push(took);
            continue;
        }
        offers += grants.len();
        allocate.push(took);
        decline.push(bench.decline(grants, YEAR));
    }
    let name = format!("decline_offers.{agents}x{frameworks}");
    let size = format!("{agents} agents, {frameworks} frameworks in one role, one thread");
    let rounds = allocate.len();
    let conditions = format!(
        "{size}; median of {rounds} rounds with {offers} offers in all; allocate only{}",
        published(agents, frameworks)
    );
    print(&format!("{name}_ms"), median_ms(&mut allocate), "ms", &conditions);
    let conditions = format!("{size}; declining a round's offers");
    print(&format!("{name}_declines_ms"), median_ms(&mut decline), "ms", &conditions);
    if !quiet.is_empty() {
        print(&format!("{name}_filtered_ms"), median_ms(&mut quiet), "ms", &format!("{size}; all pairs filtered"));
        for a in 0..agents {
            bench.allocator.deactivate_agent(bench.now, &agent(a));
            bench.allocator.activate_agent(bench.now, &agent(a));
        }
        let (grants, took) = bench.allocate();
        assert!(grants.is_empty());
        let conditions = format!("{size}; all pairs filtered, every agent looked at again");
        print(&format!("{name}_filtered_again_ms"), took.as_secs_f64() * 1e3, "ms", &conditions);
    }
}

/// What Mesos needs for such a round, where that is known.
fn published(agents: usize, frameworks: usize) -> &'static str {
    match (agents, frameworks) {
        (1_000, 50) => "; Mesos, measured on a 2-core machine: 52-128 ms, 640-880 ms when nearly all is filtered",
        (1_000, 200) => "; Mesos, measured on a 2-core machine with all filtered: 1930-2900 ms",
        (1_000, 1_000) => "; Mesos, measured on a 2-core machine: 82-162 ms",
        (10_000, 1_000) => "; Mesos, published: 1060 ms",
        _ => "",
    }
}

/// One cycle over a cluster that just came up.
fn one_cycle(agents: usize, frameworks: usize, roles: usize) {
    let mut bench = Bench::new(agents, frameworks, roles);
    let (grants, took) = bench.allocate();
    let name = if roles == 1 {
        format!("cycle.{agents}x{frameworks}")
    } else {
        format!("cycle.{agents}x{frameworks}x{roles}")
    };
    let conditions = format!("{agents} agents, {frameworks} frameworks, {roles} roles; {} offers", grants.len());
    print(&format!("{name}_ms"), took.as_secs_f64() * 1e3, "ms", &conditions);
    let (_, took) = bench.allocate();
    print(&format!("{name}_idle_ms"), took.as_secs_f64() * 1e3, "ms", &format!("{conditions}, then nothing changed"));
}

/// Every grant is used as a whole, runs, and comes back.
fn placements(agents: usize, frameworks: usize) {
    let mut bench = Bench::new(agents, frameworks, 1);
    let begin = Instant::now();
    let mut placed = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        let (grants, _) = bench.allocate();
        placed += grants.len();
        for grant in grants {
            let (offered, used) = (grant.resources.clone(), grant.resources.clone());
            let settlement = Settlement { offered, used, ..Default::default() };
            bench.allocator.settle(bench.now, &grant.framework, &grant.agent, settlement);
            bench.allocator.recover(bench.now, &grant.framework, &grant.agent, &grant.resources, None);
        }
    }
    let rate = placed as f64 / begin.elapsed().as_secs_f64();
    let conditions = format!("{agents} agents, {frameworks} frameworks; grant, settle as used, recover; one thread");
    print(&format!("placements_per_s.{agents}"), rate, "1/s", &conditions);
}

fn print(name: &str, value: f64, unit: &str, conditions: &str) {
    println!(r#"{{"name":"{name}","value":{value:.4},"unit":"{unit}","conditions":"{conditions}"}}"#);
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn parse(text: &str) -> Resources {
    match Resources::parse(text, "*") {
        Ok(resources) => resources,
        Err(why) => panic!("{text}: {why}"),
    }
}

fn role(number: usize, of: usize) -> String {
    if of == 1 { "*".to_owned() } else { format!("role{number}") }
}

fn framework(number: usize) -> FrameworkId {
    FrameworkId::from(format!("c5a1f7f0-5e0c-4d4b-9e0a-4f0f6a3c1b2d-{number:04}"))
}

fn agent(number: usize) -> AgentId {
    AgentId::from(format!("c5a1f7f0-5e0c-4d4b-9e0a-4f0f6a3c1b2d-S{number}"))
}
