//! The thread between a master and its registry's store. It owns the store and a copy of the document, takes what has
//! gathered as one batch, commits what it changed in as few goes as the store's limits allow, and reports every ticket
//! in the order it came.

use std::{collections::BTreeMap, thread::JoinHandle};

use bytes::Bytes;
use registry::{Change, Key, Mutation, Operation, Refusal, Registry};
// A bounded queue that takes memory for what waits, not for what may.
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use crate::{
    space::Limits,
    store::{Store, StoreError},
};

/// What a master calls a write it waits for.
pub type Ticket = u64;

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

/// Called by the registrar's thread, once per ticket, in order.
pub type OnOutcome = Box<dyn FnMut(Ticket, Outcome) + Send>;

/// The sending side. Dropping it stores what is queued and ends the thread.
pub struct Registrar {
    queue: Option<Sender<(Ticket, Vec<Operation>)>>,
    thread: Option<JoinHandle<()>>,
}

const QUEUE_CAPACITY: usize = 65_536;
const BATCH_TICKETS_MAX: usize = 4_096;
const NOT_TRIED: &str = "an earlier write to the registry failed";

impl Registrar {
    /// Loads the document from `store` and starts the thread. Blocks until the document is read.
    pub fn start(mut store: Box<dyn Store>, on_outcome: OnOutcome) -> Result<(Registrar, Registry), StoreError> {
        let registry = store.load()?;
        let registrar = Registrar::resume(store, registry.clone(), on_outcome)?;
        Ok((registrar, registry))
    }

    /// Starts the thread with a store whose document is known.
    pub fn resume(store: Box<dyn Store>, registry: Registry, on_outcome: OnOutcome) -> Result<Registrar, StoreError> {
        let (queue, jobs) = channel(QUEUE_CAPACITY);
        let worker = Worker { store, registry, on_outcome };
        let thread = std::thread::Builder::new()
            .name("registrar".into())
            .spawn(move || worker.run(jobs))
            .map_err(|e| StoreError::Write(format!("cannot start the registrar: {e}")))?;
        Ok(Registrar { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the operations of one ticket, applied all or none. Never waits; an error means the master must step down.
    pub fn persist(&self, ticket: Ticket, operations: Vec<Operation>) -> Result<(), String> {
        let Some(queue) = &self.queue else { return Err("the registrar has stopped".into()) };
        queue.try_send((ticket, operations)).map_err(|e| match e {
            TrySendError::Full(_) => format!("{QUEUE_CAPACITY} registry writes wait for the store"),
            TrySendError::Closed(_) => "the registrar has stopped after a failed write".into(),
        })
    }
}

impl Registrar {
    /// Lets the thread end by itself, whatever its store does.
    pub fn abandon(mut self) {
        self.thread = None;
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    store: Box<dyn Store>,
    registry: Registry,
    on_outcome: OnOutcome,
}

impl Worker {
    fn run(mut self, mut jobs: Receiver<(Ticket, Vec<Operation>)>) {
        while let Some(first) = jobs.blocking_recv() {
            let waiting = std::iter::from_fn(|| jobs.try_recv().ok());
            let batch = std::iter::once(first).chain(waiting).take(BATCH_TICKETS_MAX).collect();
            if !self.store_batch(batch) {
                return;
            }
        }
    }

    /// False once the store failed.
    fn store_batch(&mut self, batch: Vec<(Ticket, Vec<Operation>)>) -> bool {
        let limits = self.store.limits();
        let mut load = Load::default();
        let mut tickets = batch.into_iter();
        while let Some((ticket, operations)) = tickets.next() {
            let outcome = self.apply(&operations);
            if let Ok(mutation) = &outcome {
                let changes = self.registry.changes(mutation);
                if !load.is_empty() && !load.takes(&changes, limits) && !self.store_load(&mut load) {
                    let given_up = std::iter::once(ticket).chain(tickets.map(|(ticket, _)| ticket));
                    given_up.for_each(|ticket| (self.on_outcome)(ticket, Outcome::Failed(NOT_TRIED.into())));
                    return false;
                }
                load.add(changes);
            }
            load.outcomes.push((ticket, outcome.map(drop)));
        }
        self.store_load(&mut load)
    }

    /// Stores what was gathered and reports it.
    fn store_load(&mut self, load: &mut Load) -> bool {
        let Load { changes, outcomes, .. } = std::mem::take(load);
        let changes: Vec<Change> = changes.into_iter().map(|(key, value)| Change { key, value }).collect();
        let failure = match changes.is_empty() {
            true => None,
            false => self.store.commit(&changes).err().map(|e| e.to_string()),
        };
        for (ticket, outcome) in outcomes {
            let outcome = match (&failure, outcome) {
                (Some(why), _) => Outcome::Failed(why.clone()),
                (None, Ok(())) => Outcome::Stored,
                (None, Err(refusal)) => Outcome::Refused(refusal),
            };
            (self.on_outcome)(ticket, outcome);
        }
        failure.is_none()
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

/// What one commit will hold: the newest value of each part, and the tickets that wait for it.
#[derive(Default)]
struct Load {
    changes: BTreeMap<Key, Option<Bytes>>,
    bytes: usize,
    outcomes: Vec<(Ticket, Result<(), Refusal>)>,
}

impl Load {
    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn takes(&self, more: &[Change], limits: Limits) -> bool {
        let bytes: usize = more.iter().map(size).sum();
        self.changes.len().saturating_add(more.len()) <= limits.writes
            && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    fn add(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.bytes += size(&change);
            self.changes.insert(change.key, change.value);
        }
    }
}

/// About what a change adds to a request; keys are short.
fn size(change: &Change) -> usize {
    const KEY: usize = 256;
    KEY + change.value.as_ref().map_or(0, Bytes::len)
}
