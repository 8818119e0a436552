//! At most one master leads in an epoch, only its writes count, and who was told that it leads no longer is silent.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Leadership {
    elected: BTreeMap<u64, u32>,
    /// The epochs in which something was written.
    written: BTreeSet<u64>,
}

impl Check for Leadership {
    fn name(&self) -> &'static str {
        "leadership"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Elected { master, epoch } => drop(self.elected.insert(*epoch, *master)),
            Fact::Leads { master, epoch } if self.elected.get(epoch) != Some(master) => {
                return Err(format!("master {master} leads in epoch {epoch}, in which it was not elected"));
            }
            Fact::Leads { master, epoch } if !self.written.contains(epoch) => {
                return Err(format!("master {master} leads, and the registry does not name it"));
            }
            Fact::Stored { master, epoch, current } => {
                if epoch != current {
                    return Err(format!("master {master} of epoch {epoch} wrote in epoch {current}"));
                }
                self.written.insert(*epoch);
            }
            Fact::MasterSpoke { master, deposed: true, what } => {
                return Err(format!("master {master}, which leads no longer, said {what}"));
            }
            _ => {}
        }
        Ok(())
    }
}
