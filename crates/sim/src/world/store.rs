//! The registry's store: it takes writes of the elected master only, in their order, sometimes slowly, and sometimes it
//! fails before the write, or after it. Now and then it has no quorum, no room, or one master does not reach it.

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
    scenario::{QuotaPlan, Scenario, secs},
};

pub(crate) struct Store {
    pub registry: Registry,
    /// Writes are answered in their order.
    last: Tick,
    /// Nothing is written any more in an epoch of which a write failed.
    failed: u64,
    /// It has no quorum until then.
    away_until: Tick,
    /// It has no room until then.
    full_until: Tick,
    /// The master that does not reach it, and until when.
    parted: Option<(u32, Tick)>,
    pub calm: bool,
}

/// A write on its way to the store.
pub(crate) struct Writing {
    pub master: u32,
    pub life: Life,
    pub epoch: u64,
    pub ticket: Ticket,
    pub operations: Vec<Operation>,
    /// The master has waited for too long: whether it was written, nobody knows.
    pub unsure: bool,
}

impl Store {
    pub fn new(scenario: &Scenario) -> Store {
        let mut registry = Registry { weights: scenario.weights.clone(), ..Registry::default() };
        let groups = scenario.groups.iter().map(|plan| Operation::SetGroup(Box::new(plan.to_proto())));
        let quotas = scenario.quotas.iter().map(QuotaPlan::to_proto).collect();
        for operation in groups.chain([Operation::UpdateQuota(quotas)]) {
            if let Err(refusal) = registry::apply(&mut registry, &operation) {
                stdx::never!("the scenario's {operation:?}: {refusal}");
            }
        }
        Store {
            registry,
            last: Tick::ZERO,
            failed: 0,
            away_until: Tick::ZERO,
            full_until: Tick::ZERO,
            parted: None,
            calm: false,
        }
    }

    /// When the last of the writes under way is answered.
    pub fn last_answer(&self) -> Tick {
        self.last
    }

    /// All is well with it from here on.
    pub fn heal(&mut self, now: Tick) {
        self.calm = true;
        self.away_until = self.away_until.min(now);
        self.full_until = self.full_until.min(now);
        self.parted = None;
    }
}

impl World {
    /// Until when a node does not hear the store, and the store not the node.
    pub(crate) fn store_silent_until(&self, node: Node) -> Option<Tick> {
        let parted = self.store.parted.filter(|(master, _)| node == Node::Master(*master)).map(|(_, until)| until);
        let silent = [Some(self.store.away_until), parted, self.network.island_until(node, self.now)];
        silent.into_iter().flatten().filter(|until| *until > self.now).max()
    }

    pub(crate) fn take_store_away(&mut self, time: Duration) {
        self.store.away_until = self.now + time;
        if let Some(leader) = self.election.leader {
            self.end_session_of_the_silent(leader, time);
        }
    }

    pub(crate) fn fill_store(&mut self, time: Duration) {
        self.store.full_until = self.now + time;
    }

    pub(crate) fn part_leader_from_store(&mut self, time: Duration) {
        if let Some(leader) = self.election.leader {
            self.store.parted = Some((leader, self.now + time));
            self.end_session_of_the_silent(leader, time);
        }
    }

    pub(crate) fn persist(&mut self, master: u32, ticket: Ticket, operations: Vec<Operation>) {
        let host = &mut self.masters[master as usize];
        host.writes += 1;
        let (life, epoch) = (host.life, host.epoch);
        let mut wait = Duration::from_micros(200 + self.draws.store.below(3_000));
        let faults = &self.scenario.faults;
        if !self.store.calm && faults.store_slow > 0.0 && self.draws.store.unit() < faults.store_slow {
            wait = secs(self.draws.store.unit() * faults.store_slow_secs);
        }
        let mut at = self.now + wait;
        if let Some(until) = self.store_silent_until(Node::Master(master)) {
            at = at.max(until);
        }
        let patience = self.now + secs(self.scenario.tuning.store_timeout_secs);
        let unsure = at > patience;
        at = at.min(patience).max(self.store.last);
        self.store.last = at;
        let writing = Writing { master, life, epoch, ticket, operations, unsure };
        self.heap.put(at, Happening::Store(Box::new(writing)));
    }

    pub(crate) fn on_store(&mut self, writing: Writing) {
        let Writing { master, life, epoch, ticket, operations, unsure } = writing;
        let faults = &self.scenario.faults;
        let fail = if unsure { 0.5 } else { faults.store_fail };
        let fail_after = if unsure { 0.5 } else { faults.store_fail_after };
        let current = self.election.epoch;
        let draw = if self.store.calm && !unsure { 1.0 } else { self.draws.store.unit() };
        let outcome = if epoch != current || epoch == self.store.failed {
            Err(PersistError("another master has written".to_owned()))
        } else if self.store.full_until > self.now {
            Err(PersistError("no space left on device".to_owned()))
        } else if draw < fail {
            Err(PersistError("the write failed".to_owned()))
        } else {
            self.fact(Fact::Stored { master, epoch, current });
            match self.write(master, &operations) {
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
