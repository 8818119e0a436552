//! The cores' own laws: tables that agree with each other and with the allocator's books, nothing offered or used
//! beyond what there is.

use super::Check;
use crate::observation::Fact;

pub(super) struct Books;

impl Check for Books {
    fn name(&self) -> &'static str {
        "books"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Broken { who, why } => Err(format!("{who}: {why}")),
            Fact::StoreRefused { master, why } => Err(format!("master {master} wrote what does not fit: {why}")),
            _ => Ok(()),
        }
    }
}
