//! Nobody acknowledges what was not sent, nor what is not yet on the disk.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Check;
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Acknowledgements {
    by_executors: BTreeSet<Bytes>,
    by_agents: BTreeSet<Bytes>,
    by_frameworks: BTreeSet<Bytes>,
}

impl Check for Acknowledgements {
    fn name(&self) -> &'static str {
        "acknowledgements"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::ExecutorSaid { uuid, .. } => drop(self.by_executors.insert(uuid.clone())),
            Fact::AgentSaid { uuid, recorded, task, state, .. } => {
                self.by_agents.insert(uuid.clone());
                if !recorded {
                    return Err(format!("{state:?} of task {task} went to a master before it was on the disk"));
                }
            }
            Fact::FrameworkAcknowledged { uuid, .. } => drop(self.by_frameworks.insert(uuid.clone())),
            Fact::FrameworkHeard { uuid, task, state, .. } if !uuid.is_empty() && !self.by_agents.contains(uuid) => {
                return Err(format!("a framework got {state:?} of task {task} with a uuid that no agent sent"));
            }
            Fact::AgentAcknowledged { uuid, task, agent, .. } if !self.by_frameworks.contains(uuid) => {
                return Err(format!("agent {agent} got an acknowledgement of task {task} that no framework sent"));
            }
            Fact::ExecutorAcknowledged { uuid, task, recorded, .. } => {
                if !self.by_executors.contains(uuid) {
                    return Err(format!("an executor got an acknowledgement of task {task} for what it never said"));
                }
                if !recorded {
                    return Err(format!("an update of task {task} was acknowledged before it was on the disk"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
