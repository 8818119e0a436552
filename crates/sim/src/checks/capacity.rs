//! No machine works on more than it has. What ended frameworks leave behind counts for nothing: it is being cleared
//! away, and its room was given to others.

use std::collections::{BTreeMap, BTreeSet};

use model::{FrameworkId, TaskId};
use proto::v1::TaskState;

use super::Check;
use crate::{observation::Fact, scenario::Scenario};

/// The tasks of one machine, with their cpus and megabytes.
type Live = BTreeMap<(FrameworkId, TaskId), (f64, f64)>;

pub(super) struct Capacity {
    scenario: Scenario,
    live: BTreeMap<u32, Live>,
    ended: BTreeSet<FrameworkId>,
    /// Where each task started. Of two that a framework gave one name the master knows, and charges, one.
    started: BTreeMap<(FrameworkId, TaskId), u32>,
    /// These, and those whose launch came when the master had given them up.
    uncharged: BTreeSet<(FrameworkId, TaskId)>,
}

impl Capacity {
    pub fn new(scenario: &Scenario) -> Capacity {
        Capacity {
            scenario: scenario.clone(),
            live: BTreeMap::new(),
            ended: BTreeSet::new(),
            started: BTreeMap::new(),
            uncharged: BTreeSet::new(),
        }
    }
}

impl Capacity {
    fn note_start(&mut self, key: &(FrameworkId, TaskId), agent: u32) {
        if self.started.insert(key.clone(), agent).is_some_and(|there| there != agent) {
            self.uncharged.insert(key.clone());
        }
    }
}

impl Check for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::FrameworkEnded { id, .. } | Fact::FrameworkShutDown { id, .. } => drop(self.ended.insert(id.clone())),
            // Of a light agent's tasks nothing else is heard.
            Fact::AgentSaid { agent, framework, task, state: TaskState::TaskStarting, .. } => {
                self.note_start(&(framework.clone(), task.clone()), *agent);
            }
            Fact::LaunchedLate { framework, task } => {
                self.uncharged.insert((framework.clone(), task.clone()));
            }
            Fact::TaskStopped { agent, framework, task, .. } => {
                if let Some(live) = self.live.get_mut(agent) {
                    live.remove(&(framework.clone(), task.clone()));
                }
            }
            Fact::TaskStarted { agent, framework, task, cpus, mem_mb, .. } => {
                let key = (framework.clone(), task.clone());
                self.note_start(&key, *agent);
                let live = self.live.entry(*agent).or_default();
                live.insert(key, (*cpus, *mem_mb));
                let counted =
                    live.iter().filter(|(key, _)| !self.ended.contains(&key.0) && !self.uncharged.contains(*key));
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
