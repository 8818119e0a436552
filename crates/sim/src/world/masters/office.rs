//! What a master has while it leads: the right to act, and its writes to the registry (`election`'s scribe and ledger,
//! as the registrar of the real program uses them).

use election::{Answer, Ask, Ledger, Load, Next, Order, Outcome, Scribe, space::SpaceError};
use master_core::{Event, PersistError, Ticket};
use registry::{Operation, Registry};
use stdx::Tick;

use crate::{
    observation::Fact,
    world::{
        World,
        happening::{Happening, Life},
        service::Whom,
    },
};

pub(crate) struct Office {
    /// Until when it may act, by its own clock.
    pub lease: Tick,
    scribe: Scribe<Ticket>,
    ledger: Ledger,
    /// What is being stored.
    load: Option<Load<Ticket>>,
    /// Of the ledger's order that is under way.
    serial: u64,
    waits: bool,
    failed: bool,
}

impl Office {
    pub fn new(registry: Registry, ledger: Ledger, lease: Tick) -> Office {
        let scribe = Scribe::new(registry);
        Office { lease, scribe, ledger, load: None, serial: 0, waits: false, failed: false }
    }

    /// Nothing is being stored, and nothing waits for it.
    pub fn is_idle(&self) -> bool {
        self.load.is_none()
    }
}

impl World {
    pub(crate) fn persist(&mut self, master: u32, ticket: Ticket, operations: Vec<Operation>) {
        let host = &mut self.masters[master as usize];
        host.writes += 1;
        let Some(office) = &mut host.office else { return };
        office.scribe.put(ticket, operations);
        if office.load.is_none() {
            self.store_next(master);
        }
    }

    /// Stores what waits, as much as one commit holds.
    fn store_next(&mut self, master: u32) {
        let host = &mut self.masters[master as usize];
        let now = host.clock.local(self.now);
        let Some(office) = &mut host.office else { return };
        let Some(mut load) = office.scribe.take(office.ledger.limits()) else {
            return self.resign_if_idle(master);
        };
        let changes = load.take_changes();
        office.load = Some(load);
        let next = match (office.failed, changes.is_empty()) {
            (true, _) => Next::Failed(election::StoreError::Write("an earlier write to the registry failed".into())),
            (false, true) => Next::Done,
            (false, false) => office.ledger.write(now, &changes),
        };
        self.follow_ledger(master, next);
    }

    fn follow_ledger(&mut self, master: u32, next: Next) {
        let host = &mut self.masters[master as usize];
        let life = host.life;
        let Some(office) = &mut host.office else { return };
        office.serial += 1;
        let serial = office.serial;
        let (ask, until) = match next {
            Next::Done => return self.report_load(master, None),
            Next::Failed(why) => return self.report_load(master, Some(why.to_string())),
            Next::Do(Order::Transact { guards, writes, until }) => (Some(Ask::Transact { guards, writes }), until),
            Next::Do(Order::Get { key, until }) => (Some(Ask::Get(key)), until),
            Next::Do(Order::Wait { until }) => (None, until),
        };
        office.waits = ask.is_none();
        let at = host.clock.moment(until).max(self.now).max(self.heap.now());
        self.heap.put(at, Happening::WakeLedger { master, life, serial });
        if let Some(ask) = ask {
            let epoch = self.masters[master as usize].epoch;
            self.ask_service(master, Whom::Ledger { serial, epoch }, ask);
        }
    }

    pub(crate) fn on_ledger_answer(&mut self, master: u32, serial: u64, answer: Answer) {
        let host = &mut self.masters[master as usize];
        let now = host.clock.local(self.now);
        let Some(office) = host.office.as_mut().filter(|office| office.serial == serial) else { return };
        let next = match answer {
            Answer::Transact(outcome) => office.ledger.wrote(now, outcome),
            Answer::Get(outcome) => office.ledger.got(now, outcome),
            _ => return,
        };
        self.follow_ledger(master, next);
    }

    /// The time that the ledger waits for has come, or an answer has not.
    pub(crate) fn wake_ledger(&mut self, master: u32, life: Life, serial: u64) {
        let host = &mut self.masters[master as usize];
        let now = host.clock.local(self.now);
        if host.life != life {
            return;
        }
        let Some(office) = host.office.as_mut().filter(|office| office.serial == serial) else { return };
        let next = match office.waits {
            true => office.ledger.go_on(now),
            false => office.ledger.wrote(now, Err(SpaceError::Unsure("no answer in time".into()))),
        };
        self.follow_ledger(master, next);
    }

    fn report_load(&mut self, master: u32, failure: Option<String>) {
        let host = &mut self.masters[master as usize];
        let life = host.life;
        let Some(office) = &mut host.office else { return };
        office.failed |= failure.is_some();
        let Some(load) = office.load.take() else { return };
        let outcomes: Vec<(Ticket, Outcome)> = load.outcomes(failure.as_deref()).collect();
        for (ticket, outcome) in outcomes {
            let outcome = match outcome {
                Outcome::Stored => Ok(()),
                Outcome::Failed(why) => Err(PersistError(why)),
                Outcome::Refused(refusal) => {
                    self.fact(Fact::StoreRefused { master, why: refusal.to_string() });
                    Err(PersistError(refusal.to_string()))
                }
            };
            if self.masters[master as usize].life == life {
                self.step_master(master, Event::Persisted { ticket, outcome });
            }
        }
        // What became of these may have led to more writes, which are under way then.
        let host = &self.masters[master as usize];
        if host.life == life && host.office.as_ref().is_some_and(|office| office.is_idle()) {
            self.store_next(master);
        }
    }
}
