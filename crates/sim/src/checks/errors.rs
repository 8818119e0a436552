//! Nobody logs an error, but for those that say what the world has done to them.

use super::Check;
use crate::observation::Fact;

/// A core that ends because the world failed it says so.
const FAIR: [&str; 3] = ["stepping down", "the journal cannot be written", "have joined where our masters meet"];

pub(super) struct Errors;

impl Check for Errors {
    fn name(&self) -> &'static str {
        "errors"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Error(line) if !FAIR.iter().any(|fair| line.contains(fair)) => Err(line.clone()),
            _ => Ok(()),
        }
    }
}
