//! A KILL that a master took reaches the task's agent, whatever was away meanwhile: when the agent is back with that
//! master, the master says it again. Not so if the registry has forgotten the agent (`--registry_max_agent_count`,
//! `--registry_max_agent_age`): its tasks and their kills are then forgotten, too.

use std::collections::BTreeSet;

use model::{FrameworkId, TaskId};

use super::Check;
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Kills {
    /// To be said in the step in which the agent was let in.
    owed: BTreeSet<(FrameworkId, TaskId)>,
}

impl Check for Kills {
    fn name(&self) -> &'static str {
        "kills"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::KillOwed { framework, task } => drop(self.owed.insert((framework.clone(), task.clone()))),
            Fact::KillSent { framework, task } => drop(self.owed.remove(&(framework.clone(), task.clone()))),
            Fact::At(_) => {
                if let Some((framework, task)) = self.owed.pop_first() {
                    return Err(format!("the agent of task {task} of {framework} is back, and is not told to kill it"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
