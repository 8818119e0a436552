//! Two replays beside each other: as they are, and with the changes.

use serde::Serialize;
use workload::Outcome;

use crate::{
    change::{Change, ChangeError},
    replay::{ReplayError, replay},
    scenario::Scenario,
};

#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What was assumed and left out.
    pub notes: Vec<String>,
    pub changes: Vec<String>,
    /// What a master would object to.
    pub warnings: Vec<String>,
    pub before: Outcome,
    pub after: Outcome,
}

/// Why two scenarios cannot be compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ComparisonError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("as it is: {0}")]
    Before(ReplayError),
    #[error("with the changes: {0}")]
    After(ReplayError),
}

impl Comparison {
    pub fn new(scenario: &Scenario, changes: &[Change], seed: u64) -> Result<Comparison, ComparisonError> {
        let changed = Change::apply(changes, scenario)?;
        let mut notes = scenario.notes.clone();
        let roles = scenario.roles();
        for change in changes {
            if let Change::Weight { role, .. } | Change::Guarantee { role, .. } | Change::Limit { role, .. } = change
                && !roles.iter().any(|name| name == role || name.starts_with(&format!("{role}/")))
            {
                notes.push(format!("No framework is in role {role} or below it; {change} changes little."));
            }
        }
        let before = replay(scenario, seed).map_err(ComparisonError::Before)?;
        let after = replay(&changed, seed).map_err(ComparisonError::After)?;
        Ok(Comparison {
            notes,
            changes: changes.iter().map(Change::to_string).collect(),
            warnings: after.warnings,
            before: before.outcome,
            after: after.outcome,
        })
    }

    /// The outcomes under their names; one alone if nothing was changed.
    pub fn named(&self) -> Vec<workload::Named<'_>> {
        match self.changes.is_empty() {
            true => vec![("as it is", &self.before)],
            false => vec![("before", &self.before), ("after", &self.after)],
        }
    }

    /// The report as one HTML page.
    pub fn html(&self) -> String {
        let about: [(&str, &[String]); 3] =
            [("Changes", &self.changes), ("Warnings", &self.warnings), ("Assumptions", &self.notes)];
        workload::page("What if", &about, &self.named())
    }
}
