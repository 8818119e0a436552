//! Resource groups at work: a table of the law of the competition measured, then as JSON lines what part of a cluster
//! each group holds during a run. `cargo xtask groups` shows both.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use allocator::{
    AgentProfile, Allocator, AllocatorConfig, Budget, ConstraintLimits, FrameworkProfile, Group, Settlement,
};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use proto::{
    meseta,
    v1::{
        self,
        scheduler::{
            AttributeConstraint,
            attribute_constraint::{Predicate, Selector, predicate, selector},
            offer_constraints::{RoleConstraints, role_constraints},
        },
    },
};
use resources::Resources;
use stdx::{Rng, Tick};

#[path = "../tests/it/proof/mod.rs"]
mod proof;

fn main() {
    println!(
        "{:30} {:>6} {:>5} {:>9} {:>4} {:>8} {:>13} {:>13}  p(i)·r ≤ room",
        "SHAPE", "AGENTS", "r", "CHI²", "DF", "P", "WORST, DRAWS", "COMPETITIONS"
    );
    for (number, shape) in proof::SHAPES.iter().enumerate() {
        let row = proof::measure(shape, 1 + number as u64);
        println!(
            "{:30} {:>6} {:>5} {:>9.2} {:>4} {:>8.4} {:>10.2} SE {:>10.2} SE  {}",
            row.shape.name,
            row.agents,
            row.shape.units,
            row.chi_square,
            row.freedom,
            row.p_value,
            row.worst_draw,
            row.worst_competition,
            if row.lasts { "yes" } else { "no" }
        );
    }
    println!(
        "\nCHI² of the first winners of {} draws against p(i); WORST: the agent whose mean units are farthest from its \
         expectation,\nin standard errors, over {} draws and over {} whole competitions.\n",
        proof::DRAWS,
        proof::DRAWS,
        proof::COMPETITIONS
    );
    Run::new().run();
}

/// How long the run is, in seconds of its own time.
const LENGTH: u64 = 600;
const AGENTS: usize = 50;
const GPU_AGENTS: usize = 10;
const CPUS: f64 = 16.0;

/// Who wants units from when to when, and how long a task of theirs lasts.
const DEMAND: [(&str, u64, u64, u64); 4] =
    [("batch", 0, LENGTH, 30), ("web", 120, 480, 20), ("ml", 240, 420, 60), ("other", 0, LENGTH, 25)];

struct Run {
    allocator: Allocator,
    now: Tick,
    rng: Rng,
    /// The tasks that run, by their end; the latest last.
    running: BinaryHeap<std::cmp::Reverse<(Tick, u64)>>,
    tasks: BTreeMap<u64, (FrameworkId, AgentId, Resources)>,
}

impl Run {
    /// Four kinds of work: `batch` takes what it can get of ordinary agents, `web` is guaranteed 300 units there and
    /// weighs three times as much, `ml` has the agents with GPUs for itself while it wants them, and `other` is in no
    /// group.
    fn new() -> Run {
        let mut run = Run {
            allocator: Allocator::new(AllocatorConfig::default(), Rng::new(1)),
            now: Tick::ZERO,
            rng: Rng::new(2),
            running: BinaryHeap::new(),
            tasks: BTreeMap::new(),
        };
        let scalar = |value| v1::value::Scalar { value };
        let group = |name: &str, weight, min, max, exclusive, cpus: f64| meseta::v1::ResourceGroup {
            name: name.to_owned(),
            selector: Some(with_gpus(exclusive)),
            roles: vec![name.to_owned()],
            weight: Some(weight),
            unit: BTreeMap::from([("cpus".to_owned(), scalar(cpus)), ("mem".to_owned(), scalar(cpus * 1024.0))]),
            capacity: Some(meseta::v1::resource_group::Capacity { min, max }),
            exclusive: Some(exclusive),
            ..Default::default()
        };
        let specs = [
            group("batch", 1.0, None, Some(500), false, 1.0),
            group("web", 3.0, Some(300), Some(400), false, 1.0),
            group("ml", 1.0, None, None, true, 8.0),
        ];
        let compile = |spec: &meseta::v1::ResourceGroup| Group::compile(spec, ConstraintLimits::default());
        let groups = specs.iter().map(compile).collect::<Result<Vec<_>, _>>();
        run.allocator.set_groups(run.now, groups.unwrap_or_else(|why| panic!("{why}")));
        for agent in 0..AGENTS {
            let profile = AgentProfile {
                hostname: format!("agent{agent}"),
                attributes: resources::attributes::parse(if agent < GPU_AGENTS { "gpu:yes" } else { "" })
                    .unwrap_or_default(),
                domain: None,
                capabilities: AgentCapabilities::ALL,
                active: true,
            };
            let total = format!("cpus:{CPUS};mem:{}", CPUS * 1024.0);
            let total = Resources::parse(&total, "*").unwrap_or_else(|why| panic!("{why}"));
            run.allocator.add_agent(run.now, &AgentId::from(format!("A{agent}")), profile, total, &BTreeMap::new());
        }
        for (name, ..) in DEMAND {
            let profile = FrameworkProfile {
                roles: BTreeSet::from([name.to_owned()]),
                suppressed: BTreeSet::from([name.to_owned()]),
                capabilities: FrameworkCapabilities { reservation_refinement: true, ..Default::default() },
                active: true,
                ..Default::default()
            };
            run.allocator.add_framework(run.now, &FrameworkId::from(name), profile, &BTreeMap::new());
        }
        run
    }

    fn run(mut self) {
        for second in 0..=LENGTH {
            self.now = Tick::ZERO + Duration::from_secs(second);
            for (name, from, to, _) in DEMAND {
                let id = FrameworkId::from(name);
                match second {
                    s if s == from => self.allocator.revive(self.now, &id, &[]),
                    s if s == to => self.allocator.suppress(self.now, &id, &[]),
                    _ => {}
                }
            }
            self.end_tasks();
            for _ in 0..8 {
                self.now = self.now + Duration::from_millis(10);
                self.take_offers();
            }
            if second % 2 == 0 {
                self.print(second);
            }
        }
    }

    fn end_tasks(&mut self) {
        while let Some(std::cmp::Reverse((end, number))) = self.running.peek().copied()
            && end <= self.now
        {
            self.running.pop();
            if let Some((framework, agent, resources)) = self.tasks.remove(&number) {
                self.allocator.recover(self.now, &framework, &agent, &resources, None);
            }
        }
    }

    /// Everybody runs one task in all that is offered, as long as it wants any.
    fn take_offers(&mut self) {
        for grant in self.allocator.allocate(self.now, Budget::UNLIMITED) {
            let used = grant.resources.clone();
            let settlement = Settlement { offered: used.clone(), used: used.clone(), ..Default::default() };
            self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
            let mean = DEMAND.iter().find(|(name, ..)| *name == grant.framework.as_str()).map_or(30, |demand| demand.3);
            let length = Duration::from_secs(mean / 2 + self.rng.below(mean));
            let number = self.tasks.len() as u64 + (self.rng.next_u64() << 20);
            self.running.push(std::cmp::Reverse((self.now + length, number)));
            self.tasks.insert(number, (grant.framework, grant.agent, used));
        }
    }

    /// The part of the cluster's cpus that each kind of work holds.
    fn print(&self, second: u64) {
        let mut held = BTreeMap::<&str, f64>::new();
        for (framework, _, resources) in self.tasks.values() {
            *held.entry(framework.as_str()).or_default() += resources.cpus().map_or(0.0, |cpus| cpus.as_f64());
        }
        let share = |name: &str| held.get(name).copied().unwrap_or(0.0) / (AGENTS as f64 * CPUS);
        let fields: Vec<String> = DEMAND.iter().map(|(name, ..)| format!(r#""{name}":{:.4}"#, share(name))).collect();
        println!(r#"{{"second":{second},{}}}"#, fields.join(","));
    }
}

/// Agents that have the attribute `gpu`, or those that have it not.
fn with_gpus(wanted: bool) -> RoleConstraints {
    let predicate = match wanted {
        true => predicate::Predicate::Exists(predicate::Exists {}),
        false => predicate::Predicate::NotExists(predicate::NotExists {}),
    };
    let constraint = AttributeConstraint {
        selector: Selector { selector: Some(selector::Selector::AttributeName("gpu".to_owned())) },
        predicate: Predicate { predicate: Some(predicate) },
    };
    RoleConstraints { groups: vec![role_constraints::Group { attribute_constraints: vec![constraint] }] }
}
