//! The registry's store: it takes writes of the elected master only, sometimes slowly, and sometimes it fails before the
//! write, or after it.

use std::time::Duration;

use master_core::{PersistError, Ticket};
use registry::{Operation, Registry};
use stdx::Tick;

use super::{
    World,
    happening::{Happening, Life, Node},
};
use crate::{
    observation::Fact,
    scenario::{Scenario, secs},
};

pub(crate) struct Store {
    pub registry: Registry,
    /// Writes are answered in their order.
    last: Tick,
    /// Nothing is written any more in an epoch of which a write failed.
    failed: u64,
    pub calm: bool,
}

impl Store {
    pub fn new(scenario: &Scenario) -> Store {
        let registry = Registry { weights: scenario.weights.clone(), ..Registry::default() };
        Store { registry, last: Tick::ZERO, failed: 0, calm: false }
    }
}

impl World {
    pub(crate) fn persist(&mut self, master: u32, ticket: Ticket, operations: Vec<Operation>) {
        let host = &self.masters[master as usize];
        let (life, epoch) = (host.life, host.epoch);
        let mut wait = Duration::from_micros(200 + self.draws.store.below(3_000));
        let faults = &self.scenario.faults;
        if !self.store.calm && faults.store_slow > 0.0 && self.draws.store.unit() < faults.store_slow {
            wait = secs(self.draws.store.unit() * faults.store_slow_secs);
        }
        let mut at = (self.now + wait).max(self.store.last);
        if let Some(until) = self.network.island_until(Node::Master(master), self.now) {
            at = at.max(until);
        }
        self.store.last = at;
        self.heap.put(at, Happening::Store { master, life, epoch, ticket, operations });
    }

    pub(crate) fn on_store(&mut self, master: u32, life: Life, epoch: u64, ticket: Ticket, operations: &[Operation]) {
        let faults = &self.scenario.faults;
        let (fail, fail_after) = (faults.store_fail, faults.store_fail_after);
        let current = self.election.epoch;
        let draw = if self.store.calm { 1.0 } else { self.draws.store.unit() };
        let outcome = if epoch != current || epoch == self.store.failed {
            Err(PersistError("another master has written".to_owned()))
        } else if draw < fail {
            Err(PersistError("the disk is full".to_owned()))
        } else {
            self.fact(Fact::Stored { master, epoch, current });
            match self.write(master, operations) {
                Ok(()) if draw < fail + fail_after => Err(PersistError("the answer was lost".to_owned())),
                other => other,
            }
        };
        if outcome.is_err() && epoch == current {
            self.store.failed = epoch;
        }
        // The answer comes back even to who leads no longer, if it still lives.
        let at = self.now + Duration::from_micros(100);
        self.heap.put(at, Happening::Persisted { master, life, ticket, outcome });
    }

    fn write(&mut self, master: u32, operations: &[Operation]) -> Result<(), PersistError> {
        for operation in operations {
            if let Err(refusal) = registry::apply(&mut self.store.registry, operation) {
                let why = format!("{operation:?}: {refusal}");
                self.fact(Fact::StoreRefused { master, why: why.clone() });
                return Err(PersistError(why));
            }
        }
        Ok(())
    }

    pub(crate) fn on_persisted(&mut self, master: u32, life: Life, ticket: Ticket, outcome: Result<(), PersistError>) {
        if self.masters[master as usize].life == life {
            self.step_master(master, master_core::Event::Persisted { ticket, outcome });
        }
    }
}
