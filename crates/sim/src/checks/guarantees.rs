//! Who has less than it is guaranteed and wants more is offered something before long: a role with a quota, a resource
//! group with a minimum.

use std::{collections::BTreeMap, time::Duration};

use stdx::Tick;

use super::Check;
use crate::observation::{Fact, Guaranteed};

/// Tasks that never end by themselves are killed well before that.
pub const PATIENCE: Duration = Duration::from_secs(150);

#[derive(Default)]
pub(super) struct Guarantees {
    now: Tick,
    lacking: BTreeMap<Guaranteed, Tick>,
}

impl Check for Guarantees {
    fn name(&self) -> &'static str {
        "guarantees"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::At(now) => self.now = *now,
            Fact::Offered { role, group, .. } => self.lacking.retain(|whom, _| match whom {
                Guaranteed::Role(of) => of != role && !role.starts_with(&format!("{of}/")),
                Guaranteed::Group(of) => group.as_ref() != Some(of),
            }),
            Fact::Lacks { whom, lacks: false } => drop(self.lacking.remove(whom)),
            Fact::Lacks { whom, lacks: true } => {
                let since = *self.lacking.entry(whom.clone()).or_insert(self.now);
                let waits = self.now.since(since);
                if waits > PATIENCE {
                    return Err(format!("{whom:?} has less than it is guaranteed and got no offer for {waits:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
