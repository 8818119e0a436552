//! An offer has one owner, and what is taken back is taken back from its owner.

use std::collections::BTreeMap;

use model::OfferId;

use super::Check;
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Offers {
    owners: BTreeMap<OfferId, u32>,
}

impl Check for Offers {
    fn name(&self) -> &'static str {
        "offers"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Offered { framework, offer, .. } => {
                let owner = *self.owners.entry(offer.clone()).or_insert(*framework);
                if owner != *framework {
                    return Err(format!("offer {offer} went to framework {owner} and to {framework}"));
                }
            }
            Fact::Rescinded { framework, offer } if self.owners.get(offer).is_some_and(|owner| owner != framework) => {
                return Err(format!("offer {offer} was taken back from framework {framework}, which never had it"));
            }
            _ => {}
        }
        Ok(())
    }
}
