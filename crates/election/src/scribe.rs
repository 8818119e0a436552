//! What stands between a master's wishes and a store: a copy of the document, to which the operations of each ticket
//! are applied all or none, and loads of changes that each fit into one commit.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use registry::{Change, Key, Mutation, Operation, Refusal, Registry};

use crate::space::Limits;

/// What became of a ticket's operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of them are durable.
    Stored,
    /// One of them does not fit the document; none of the ticket's operations were applied.
    Refused(Refusal),
    /// The store failed. Nothing later is stored either: the master must step down.
    Failed(String),
}

/// `T` names who waits for an outcome.
pub struct Scribe<T> {
    registry: Registry,
    waiting: VecDeque<(T, Vec<Operation>)>,
    /// Was applied, and did not fit into the load before.
    left: Option<(T, Vec<Change>)>,
}

/// What one commit holds: the newest value of each part, and the tickets that wait for it.
pub struct Load<T> {
    changes: BTreeMap<Key, Option<Bytes>>,
    bytes: usize,
    tickets: Vec<(T, Result<(), Refusal>)>,
}

impl<T> Scribe<T> {
    pub fn new(registry: Registry) -> Scribe<T> {
        Scribe { registry, waiting: VecDeque::new(), left: None }
    }

    /// The operations of a ticket wait for their turn.
    pub fn put(&mut self, ticket: T, operations: Vec<Operation>) {
        self.waiting.push_back((ticket, operations));
    }

    /// As many of the waiting tickets as fit into one commit, and one at least.
    pub fn take(&mut self, limits: Limits) -> Option<Load<T>> {
        let mut load = Load { changes: BTreeMap::new(), bytes: 0, tickets: Vec::new() };
        if let Some((ticket, changes)) = self.left.take() {
            load.add(ticket, changes);
        }
        while let Some((ticket, operations)) = self.waiting.pop_front() {
            match self.apply(&operations) {
                Err(refusal) => load.tickets.push((ticket, Err(refusal))),
                Ok(mutation) => {
                    let changes = self.registry.changes(&mutation);
                    if !load.changes.is_empty() && !load.takes(&changes, limits) {
                        self.left = Some((ticket, changes));
                        break;
                    }
                    load.add(ticket, changes);
                }
            }
        }
        (!load.tickets.is_empty()).then_some(load)
    }

    /// All tickets that have been in no load, once the store has failed.
    pub fn give_up(&mut self) -> Vec<T> {
        let left = self.left.take().map(|(ticket, _)| ticket);
        left.into_iter().chain(self.waiting.drain(..).map(|(ticket, _)| ticket)).collect()
    }

    /// Applies a ticket's operations to the document, all or none.
    fn apply(&mut self, operations: &[Operation]) -> Result<Mutation, Refusal> {
        let before = (operations.len() > 1).then(|| self.registry.clone());
        let mut own = Mutation::default();
        for operation in operations {
            match registry::apply(&mut self.registry, operation) {
                Ok(mutation) => own.absorb(mutation),
                Err(refusal) => {
                    if let Some(before) = before {
                        self.registry = before;
                    }
                    return Err(refusal);
                }
            }
        }
        Ok(own)
    }
}

impl<T> Load<T> {
    fn takes(&self, more: &[Change], limits: Limits) -> bool {
        let bytes: usize = more.iter().map(size).sum();
        self.changes.len().saturating_add(more.len()) <= limits.writes
            && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    fn add(&mut self, ticket: T, changes: Vec<Change>) {
        for change in changes {
            self.bytes += size(&change);
            self.changes.insert(change.key, change.value);
        }
        self.tickets.push((ticket, Ok(())));
    }

    /// What must be stored; nothing if every ticket was refused, or changed nothing.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes).into_iter().map(|(key, value)| Change { key, value }).collect()
    }

    /// What became of each ticket, given why the store failed, if it did.
    pub fn outcomes(self, failure: Option<&str>) -> impl Iterator<Item = (T, Outcome)> {
        self.tickets.into_iter().map(move |(ticket, applied)| match (failure, applied) {
            (Some(why), _) => (ticket, Outcome::Failed(why.to_owned())),
            (None, Ok(())) => (ticket, Outcome::Stored),
            (None, Err(refusal)) => (ticket, Outcome::Refused(refusal)),
        })
    }
}

/// About what a change adds to a request; keys are short.
fn size(change: &Change) -> usize {
    const KEY: usize = 256;
    KEY + change.value.as_ref().map_or(0, Bytes::len)
}
