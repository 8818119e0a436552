//! Nobody starves: once faults are over, every framework that wants tasks is offered something.

use std::collections::BTreeMap;

use stdx::Tick;

use super::Check;
use crate::{observation::Fact, scenario::Scenario, world::World};

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
            if world.hungry.contains(&(framework as u32)) && !self.offered.contains_key(&(framework as u32)) {
                return Err(format!("framework {framework} wanted offers after the faults, and got none"));
            }
        }
        Ok(())
    }
}
