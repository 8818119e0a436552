//! No container starts before the journal knows it, and none is started twice.

use super::Check;
use crate::observation::Fact;

pub(super) struct Containers;

impl Check for Containers {
    fn name(&self) -> &'static str {
        "containers"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::ContainerLaunched { agent, container, recorded: false, .. } => {
                Err(format!("agent {agent} starts container {container}, which its journal does not know"))
            }
            Fact::ContainerLaunched { agent, container, twice: true, .. } => {
                Err(format!("agent {agent} starts container {container} twice"))
            }
            _ => Ok(()),
        }
    }
}
