//! No id is ever given twice, by one master or by two.

use std::collections::{BTreeMap, BTreeSet};

use model::{AgentId, FrameworkId, OfferId};

use super::Check;
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Ids {
    agents: BTreeSet<AgentId>,
    offers: BTreeSet<OfferId>,
    /// The framework that has an id.
    frameworks: BTreeMap<FrameworkId, u32>,
}

impl Check for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::MintedAgent { master, id } if !self.agents.insert(id.clone()) => {
                Err(format!("master {master} gives agent id {id} a second time"))
            }
            Fact::Offered { master, offer, .. } if !self.offers.insert(offer.clone()) => {
                Err(format!("master {master} makes offer {offer} a second time"))
            }
            Fact::FrameworkSubscribed { framework, id } => {
                let owner = *self.frameworks.entry(id.clone()).or_insert(*framework);
                if owner != *framework {
                    return Err(format!("frameworks {owner} and {framework} both have id {id}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
