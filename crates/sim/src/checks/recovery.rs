//! An agent that starts again knows every container that runs and that its journal knows, and its journal never
//! contradicts itself.

use super::Check;
use crate::observation::Fact;

pub(super) struct Recovery;

impl Check for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        let Fact::AgentRecovered { agent, forgot, oddities } = fact else { return Ok(()) };
        if *oddities > 0 {
            return Err(format!("the journal of agent {agent} contradicts itself {oddities} times"));
        }
        match forgot.first() {
            Some(container) => Err(format!("agent {agent} does not know its container {container} after a restart")),
            None => Ok(()),
        }
    }
}
