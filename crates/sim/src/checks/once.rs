//! No task runs twice under one id, least of all at once.

use std::collections::BTreeMap;

use agent_core::ContainerId;
use model::{FrameworkId, TaskId};

use super::Check;
use crate::{
    observation::Fact,
    scenario::{Scenario, Temper},
};

pub(super) struct Once {
    /// Where each task runs, or ran.
    runs: BTreeMap<(FrameworkId, TaskId), (u32, ContainerId, bool)>,
    /// Frameworks that give names twice, by index: theirs may run twice.
    careless: Vec<bool>,
    of: BTreeMap<FrameworkId, u32>,
}

impl Once {
    pub fn new(scenario: &Scenario) -> Once {
        let careless = scenario.frameworks.iter().map(|plan| plan.temper == Temper::Buggy).collect();
        Once { runs: BTreeMap::new(), careless, of: BTreeMap::new() }
    }
}

impl Check for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::FrameworkSubscribed { framework, id } => drop(self.of.insert(id.clone(), *framework)),
            Fact::TaskStarted { agent, container, framework, task, .. } => {
                let key = (framework.clone(), task.clone());
                let careless = self.of.get(framework).is_some_and(|index| self.careless[*index as usize]);
                if let Some((other, there, live)) = self.runs.insert(key, (*agent, container.clone(), true)) {
                    // A master that does not know of the first cannot refuse the second: between a failover and the
                    // agent's return, or while the agent is unreachable.
                    if live && !careless {
                        return Err(format!(
                            "task {task} runs on agent {other} in {there}, and on {agent} in {container}"
                        ));
                    }
                    if !careless {
                        return Err(format!("task {task} ran on agent {other}, and runs on {agent} again"));
                    }
                }
            }
            Fact::TaskStopped { framework, task, .. } => {
                if let Some(run) = self.runs.get_mut(&(framework.clone(), task.clone())) {
                    run.2 = false;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
