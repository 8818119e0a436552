//! No role is offered anything that takes it beyond its quota's limit.

use super::Check;
use crate::observation::Fact;

pub(super) struct Quota;

impl Check for Quota {
    fn name(&self) -> &'static str {
        "quota"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::RoleOffered { role, cpus, limit } if *cpus > limit + 1e-6 => {
                Err(format!("role {role} was offered cpus and has {cpus} of them now, its limit is {limit}"))
            }
            _ => Ok(()),
        }
    }
}
