//! No machine works on more than it has. What ended frameworks leave behind counts for nothing: it is being cleared
//! away, and its room was given to others.

use std::collections::{BTreeMap, BTreeSet};

use model::{FrameworkId, TaskId};

use super::Check;
use crate::{observation::Fact, scenario::Scenario};

/// The tasks of one machine, with their cpus and megabytes.
type Live = BTreeMap<(FrameworkId, TaskId), (f64, f64)>;

pub(super) struct Capacity {
    scenario: Scenario,
    live: BTreeMap<u32, Live>,
    ended: BTreeSet<FrameworkId>,
}

impl Capacity {
    pub fn new(scenario: &Scenario) -> Capacity {
        Capacity { scenario: scenario.clone(), live: BTreeMap::new(), ended: BTreeSet::new() }
    }
}

impl Check for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::FrameworkEnded { id, .. } | Fact::FrameworkShutDown { id, .. } => drop(self.ended.insert(id.clone())),
            Fact::TaskStopped { agent, framework, task, .. } => {
                if let Some(live) = self.live.get_mut(agent) {
                    live.remove(&(framework.clone(), task.clone()));
                }
            }
            Fact::TaskStarted { agent, framework, task, cpus, mem_mb, .. } => {
                let live = self.live.entry(*agent).or_default();
                live.insert((framework.clone(), task.clone()), (*cpus, *mem_mb));
                let counted = live.iter().filter(|((framework, _), _)| !self.ended.contains(framework));
                let (cpus, mem) = counted.fold((0.0, 0.0), |sum, (_, used)| (sum.0 + used.0, sum.1 + used.1));
                let has = self.scenario.kind_of(*agent);
                if cpus > has.cpus + 1e-6 || mem > has.mem_mb + 1e-6 {
                    return Err(format!(
                        "agent {agent} works on {cpus} cpus and {mem} MB, of {} and {}",
                        has.cpus, has.mem_mb
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
