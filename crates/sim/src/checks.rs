//! What must hold, whatever the cores decide: one file each. A checker hears every fact of a run, and looks once more
//! when all has come to rest. Whether the cluster comes to rest at all is `healing`'s.

mod acknowledgements;
mod answers;
mod books;
mod capacity;
mod causes;
mod containers;
mod durable;
mod errors;
mod groups;
pub mod guarantees;
pub mod healing;
mod hunger;
mod ids;
mod kills;
mod leadership;
mod names;
mod offers;
mod once;
mod quota;
mod recovery;
mod states;
mod updates;
pub mod views;

use crate::{observation::Fact, world::World};

pub trait Check {
    fn name(&self) -> &'static str;
    /// A fact, in the order of the run.
    fn note(&mut self, fact: &Fact) -> Result<(), String>;
    /// What must still come before all is at rest.
    fn owed(&self) -> Option<String> {
        None
    }
    /// Faults are over, all is healed and nothing moves.
    fn at_rest(&mut self, world: &World) -> Result<(), String> {
        let _ = world;
        Ok(())
    }
}

/// A law that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub check: &'static str,
    pub why: String,
}

pub struct Checks(Vec<Box<dyn Check>>);

impl Checks {
    pub fn all(world: &World) -> Checks {
        let scenario = &world.scenario;
        Checks(vec![
            Box::new(acknowledgements::Acknowledgements::default()),
            Box::new(answers::Answers),
            Box::new(books::Books),
            Box::new(capacity::Capacity::new(scenario)),
            Box::new(causes::Causes::new(scenario)),
            Box::new(containers::Containers),
            Box::new(durable::Durable),
            Box::new(errors::Errors),
            Box::new(groups::Groups),
            Box::new(guarantees::Guarantees::default()),
            Box::new(hunger::Hunger::new(scenario)),
            Box::new(ids::Ids::default()),
            Box::new(kills::Kills::default()),
            Box::new(leadership::Leadership::default()),
            Box::new(offers::Offers::default()),
            Box::new(once::Once::default()),
            Box::new(quota::Quota),
            Box::new(recovery::Recovery),
            Box::new(states::States::default()),
            Box::new(updates::Updates::new(scenario)),
            Box::new(views::Views),
        ])
    }

    pub fn note(&mut self, fact: &Fact) -> Result<(), Broken> {
        for check in &mut self.0 {
            check.note(fact).map_err(|why| Broken { check: check.name(), why })?;
        }
        Ok(())
    }

    pub fn owed(&self) -> Option<Broken> {
        self.0.iter().find_map(|check| check.owed().map(|why| Broken { check: check.name(), why }))
    }

    pub fn at_rest(&mut self, world: &World) -> Result<(), Broken> {
        for check in &mut self.0 {
            check.at_rest(world).map_err(|why| Broken { check: check.name(), why })?;
        }
        Ok(())
    }
}
