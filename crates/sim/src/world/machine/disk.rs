//! The journal's disk: writes are handed over, become durable together a little later, and a crash loses the last of
//! them.

use std::{collections::BTreeSet, time::Duration};

use agent_core::{ContainerId, Event, Record, Ticket};
use bytes::Bytes;
use model::FrameworkId;

use super::World;
use crate::{
    scenario::secs,
    world::happening::{Happening, Life},
};

#[derive(Default)]
pub(crate) struct Disk {
    durable: Vec<Bytes>,
    /// Handed over, not yet durable.
    pending: Vec<(Option<Ticket>, Bytes)>,
    syncing: bool,
    /// After a write has failed none goes through, until the journal is opened anew.
    failed: bool,
    /// What the durable part tells, for checkers.
    containers: BTreeSet<String>,
    updates: BTreeSet<Bytes>,
}

impl Disk {
    pub fn records(&self) -> Vec<Record> {
        self.durable
            .iter()
            .map(|bytes| {
                Record::from_bytes(bytes).unwrap_or_else(|error| panic!("the journal cannot be read: {error}"))
            })
            .collect()
    }

    pub fn knows_container(&self, container: &ContainerId) -> bool {
        self.containers.contains(container.as_str())
    }

    pub fn knows_update(&self, uuid: &Bytes) -> bool {
        self.updates.contains(uuid)
    }

    /// A part of what was under way may have reached the disk.
    pub fn crash(&mut self, draw: u64) {
        let keep = if self.failed { 0 } else { draw as usize % (self.pending.len() + 1) };
        for (_, bytes) in std::mem::take(&mut self.pending).into_iter().take(keep) {
            self.keep(bytes);
        }
        self.syncing = false;
        self.failed = false;
    }

    fn keep(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        match Record::from_bytes(&bytes) {
            Ok(Record::Executor(record)) => drop(self.containers.insert(record.container)),
            Ok(Record::Update(record)) => drop(self.updates.insert(record.update.uuid.unwrap_or_default())),
            _ => {}
        }
        self.durable.push(bytes);
    }

    /// The journal is written anew from a snapshot, which holds all that was under way.
    fn rewrite(&mut self, records: &[Record]) {
        let updates = std::mem::take(&mut self.updates);
        self.durable.clear();
        for record in records {
            self.keep(record.to_bytes());
        }
        // An update that was acknowledged is in no snapshot.
        self.updates.extend(updates);
        for (_, bytes) in &mut self.pending {
            if let Ok(Record::Update(record)) = Record::from_bytes(bytes) {
                self.updates.insert(record.update.uuid.unwrap_or_default());
            }
            *bytes = Bytes::new();
        }
    }
}

impl World {
    pub(crate) fn checkpoint(&mut self, agent: u32, ticket: Option<Ticket>, record: &Record) {
        let bytes = record.to_bytes();
        let Some(machine) = self.machine(agent) else { return };
        machine.disk.pending.push((ticket, bytes));
        if !std::mem::replace(&mut machine.disk.syncing, true) {
            self.sync(agent);
        }
    }

    /// One group commit: everything handed over until now.
    fn sync(&mut self, agent: u32) {
        let life = self.agents[agent as usize].life;
        let Some(count) = self.machine(agent).map(|machine| machine.disk.pending.len()) else { return };
        let mut wait = Duration::from_micros(100 + self.draws.machines.below(3_000));
        let faults = &self.scenario.faults;
        let (slow, fail) = (faults.disk_slow, faults.disk_fail);
        let calm = self.faults.calm;
        if !calm && slow > 0.0 && self.draws.machines.unit() < slow {
            wait = secs(self.draws.machines.unit() * 3.0);
        }
        let fails = !calm && fail > 0.0 && self.draws.machines.unit() < fail;
        self.heap.put(self.now + wait, Happening::Synced { agent, life, count, fails });
    }

    pub(crate) fn on_synced(&mut self, agent: u32, life: Life, count: usize, fails: bool) {
        if self.agents[agent as usize].life != life {
            return;
        }
        let Some(machine) = self.machine(agent) else { return };
        let disk = &mut machine.disk;
        let count = count.min(disk.pending.len());
        disk.failed |= fails;
        let fails = disk.failed;
        let mut tickets = Vec::new();
        for (ticket, bytes) in disk.pending.drain(..count).collect::<Vec<_>>() {
            if !fails {
                disk.keep(bytes);
            }
            tickets.extend(ticket);
        }
        disk.syncing = !disk.pending.is_empty();
        if disk.syncing {
            self.sync(agent);
        }
        for ticket in tickets {
            let outcome = if fails { Err("no space left on device".to_owned()) } else { Ok(()) };
            if self.agents[agent as usize].life == life {
                self.step_agent(agent, Event::Checkpointed { ticket, outcome });
            }
        }
    }

    pub(crate) fn compact_journal(&mut self, agent: u32) {
        let Some(records) = self.agents[agent as usize].full().map(|core| core.snapshot()) else { return };
        if let Some(machine) = self.machine(agent).filter(|machine| !machine.disk.failed) {
            machine.disk.rewrite(&records);
        }
    }

    /// Whether the journal has this update, or need not have it.
    pub(crate) fn is_update_recorded(&self, agent: u32, framework: &FrameworkId, uuid: &Bytes) -> bool {
        let host = &self.agents[agent as usize];
        let (Some(machine), Some(core)) = (&host.machine, host.full()) else { return true };
        let checkpoints = core.view().frameworks.get(framework).is_some_and(|row| row.checkpoints());
        !checkpoints || machine.disk.knows_update(uuid)
    }
}
