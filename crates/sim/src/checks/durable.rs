//! Nobody is told of what the registry does not yet know.

use super::Check;
use crate::observation::Fact;

pub(super) struct Durable;

impl Check for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::LetIn { master, id, recorded: false } => {
                Err(format!("master {master} lets agent {id} in, which the registry does not know"))
            }
            _ => Ok(()),
        }
    }
}
