//! Nobody starves: once faults are over, every framework that wants tasks is offered something. Where there are
//! resource groups, some may wait for long.

use std::collections::BTreeMap;

use stdx::Tick;

use super::Check;
use crate::{
    observation::Fact,
    scenario::{GroupPlan, Scenario},
    world::World,
};

pub(super) struct Hunger {
    from: Tick,
    now: Tick,
    /// How many offers each framework got since faults are over.
    offered: BTreeMap<u32, u64>,
}

impl Hunger {
    pub fn new(scenario: &Scenario) -> Hunger {
        let faults_over = scenario.warm_up_secs + scenario.fault_secs;
        Hunger { from: Tick((faults_over * 1e9) as u64), now: Tick::ZERO, offered: BTreeMap::new() }
    }
}

impl Check for Hunger {
    fn name(&self) -> &'static str {
        "hunger"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::At(now) => self.now = *now,
            Fact::Offered { framework, .. } if self.now >= self.from => {
                *self.offered.entry(*framework).or_default() += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, world: &World) -> Result<(), String> {
        for framework in 0..world.schedulers.len() {
            if may_wait(world, framework) {
                continue;
            }
            if world.hungry.contains(&(framework as u32)) && !self.offered.contains_key(&(framework as u32)) {
                return Err(format!("framework {framework} wanted offers after the faults, and got none"));
            }
        }
        Ok(())
    }
}

/// A piece that is too small for one group's unit is taken by who can do with less: only the smallest unit surely comes
/// together, and only where nobody is in no group.
fn may_wait(world: &World, framework: usize) -> bool {
    let (groups, frameworks) = (&world.scenario.groups, &world.scenario.frameworks);
    let named = |role: &str| groups.iter().find(|group| group.roles.iter().any(|of| of == role));
    let serving = |role: &str| named(role).or_else(|| role.rmatch_indices('/').find_map(|(at, _)| named(&role[..at])));
    let Some(plan) = frameworks.get(framework).filter(|_| !groups.is_empty()) else { return false };
    let Some(group) = serving(&plan.role) else { return true };
    let smaller = |other: &GroupPlan| other.cpus < group.cpus || other.mem_mb < group.mem_mb || other.exclusive;
    groups.iter().any(smaller) || group.exclusive || frameworks.iter().any(|plan| serving(&plan.role).is_none())
}
