//! The thread between a master and its registry's store. It owns the store, takes what has gathered as one batch,
//! commits what it changed in as few goes as the store's limits allow (`election::Scribe`), and reports every write in
//! the order it came.

use std::thread::JoinHandle;

use election::{Load, Outcome, Scribe};
use registry::{Operation, Registry};
use stdx::Ticket;
// A bounded queue that takes memory for what waits, not for what may.
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use crate::store::{Store, StoreError};

/// Who waits for a write, if anybody does.
pub type Waiter = Option<Ticket>;

/// Called by the registrar's thread, once for each write that somebody waits for, in order.
pub type OnOutcome = Box<dyn FnMut(Ticket, Outcome) + Send>;

/// The sending side. Dropping it stores what is queued and ends the thread.
pub struct Registrar {
    queue: Option<Sender<(Waiter, Vec<Operation>)>>,
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
        let worker = Worker { store, scribe: Scribe::new(registry), on_outcome };
        let thread = std::thread::Builder::new()
            .name("registrar".into())
            .spawn(move || worker.run(jobs))
            .map_err(|e| StoreError::Write(format!("cannot start the registrar: {e}")))?;
        Ok(Registrar { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the operations of one ticket, applied all or none. Never waits; an error means the master must step down.
    pub fn persist(&self, waiter: Waiter, operations: Vec<Operation>) -> Result<(), String> {
        let Some(queue) = &self.queue else { return Err("the registrar has stopped".into()) };
        queue.try_send((waiter, operations)).map_err(|e| match e {
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
    scribe: Scribe<Waiter>,
    on_outcome: OnOutcome,
}

impl Worker {
    fn run(mut self, mut jobs: Receiver<(Waiter, Vec<Operation>)>) {
        while let Some(first) = jobs.blocking_recv() {
            let waiting = std::iter::from_fn(|| jobs.try_recv().ok());
            let batch = std::iter::once(first).chain(waiting).take(BATCH_TICKETS_MAX);
            batch.for_each(|(waiter, operations)| self.scribe.put(waiter, operations));
            while let Some(load) = self.scribe.take(self.store.limits()) {
                if !self.store_load(load) {
                    let given_up = self.scribe.give_up();
                    given_up.into_iter().for_each(|waiter| self.report(waiter, Outcome::Failed(NOT_TRIED.into())));
                    return;
                }
            }
        }
    }

    /// Stores a load and reports it. False once the store failed.
    fn store_load(&mut self, mut load: Load<Waiter>) -> bool {
        let changes = load.take_changes();
        let failure = match changes.is_empty() {
            true => None,
            false => self.store.commit(&changes).err().map(|e| e.to_string()),
        };
        load.outcomes(failure.as_deref()).for_each(|(waiter, outcome)| self.report(waiter, outcome));
        failure.is_none()
    }

    fn report(&mut self, waiter: Waiter, outcome: Outcome) {
        if let Some(ticket) = waiter {
            (self.on_outcome)(ticket, outcome);
        }
    }
}
