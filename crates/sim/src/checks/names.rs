//! Names that a framework gave to more than one task: what is said of these has no order, and a master that does not
//! know of the first lets the second run, until it hears of both.

use std::collections::BTreeSet;

use model::{FrameworkId, TaskId};

use crate::observation::Fact;

#[derive(Default)]
pub(super) struct Names(BTreeSet<(FrameworkId, TaskId)>);

impl Names {
    pub fn note(&mut self, fact: &Fact) {
        if let Fact::Launched { id: Some(id), task, again: true, .. } = fact {
            self.0.insert((id.clone(), task.clone()));
        }
    }

    pub fn are_shared(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        !self.0.is_empty() && self.0.contains(&(framework.clone(), task.clone()))
    }
}
