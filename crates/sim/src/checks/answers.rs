//! Every request is answered, once.

use super::Check;
use crate::observation::Fact;

pub(super) struct Answers;

impl Check for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Unanswered { what } => Err(what.clone()),
            _ => Ok(()),
        }
    }
}
