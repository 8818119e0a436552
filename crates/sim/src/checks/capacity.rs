//! No machine works on more than it has. What ended frameworks leave behind counts for nothing: it is being cleared
//! away, and its room was given to others.

use std::collections::{BTreeMap, BTreeSet};

use model::{FrameworkId, TaskId};

use super::{Check, names::Names};
use crate::{observation::Fact, scenario::Scenario};

/// The tasks of one machine, with their cpus and megabytes.
type Live = BTreeMap<(FrameworkId, TaskId), (f64, f64)>;

pub(super) struct Capacity {
    scenario: Scenario,
    live: BTreeMap<u32, Live>,
    ended: BTreeSet<FrameworkId>,
    /// Of two that a framework gave one name the master charges one, until the other has been ended.
    shared: Names,
    /// Those whose launch came when the master had given them up.
    late: BTreeSet<(FrameworkId, TaskId)>,
}

impl Capacity {
    pub fn new(scenario: &Scenario) -> Capacity {
        Capacity {
            scenario: scenario.clone(),
            live: BTreeMap::new(),
            ended: BTreeSet::new(),
            shared: Names::default(),
            late: BTreeSet::new(),
        }
    }
}

impl Check for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        self.shared.note(fact);
        match fact {
            Fact::FrameworkEnded { id, .. } | Fact::FrameworkShutDown { id, .. } => drop(self.ended.insert(id.clone())),
            Fact::LaunchedLate { framework, task } => {
                self.late.insert((framework.clone(), task.clone()));
            }
            Fact::TaskStopped { agent, framework, task, .. } => {
                if let Some(live) = self.live.get_mut(agent) {
                    live.remove(&(framework.clone(), task.clone()));
                }
            }
            Fact::TaskStarted { agent, framework, task, cpus, mem_mb, .. } => {
                let key = (framework.clone(), task.clone());
                let live = self.live.entry(*agent).or_default();
                live.insert(key, (*cpus, *mem_mb));
                let is_charged = |key: &(FrameworkId, TaskId)| {
                    !self.ended.contains(&key.0) && !self.late.contains(key) && !self.shared.are_shared(&key.0, &key.1)
                };
                let counted = live.iter().filter(|(key, _)| is_charged(key));
                let (cpus, mem) = counted.clone().fold((0.0, 0.0), |sum, (_, used)| (sum.0 + used.0, sum.1 + used.1));
                let has = self.scenario.kind_of(*agent);
                if cpus > has.cpus + 1e-6 || mem > has.mem_mb + 1e-6 {
                    let tasks: Vec<&str> = counted.map(|((_, task), _)| task.as_str()).collect();
                    return Err(format!(
                        "agent {agent} works on {cpus} cpus and {mem} MB, of {} and {}: {}",
                        has.cpus,
                        has.mem_mb,
                        tasks.join(" ")
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
