//! What goes on once a durable write (or what else takes its time) is reported: every ticket has a named continuation
//! here.

use crate::{
    container_id::ContainerId,
    effect::{Effect, Effects},
    operations::volumes::Volume,
    recovery::record::Record,
};
use bytes::Bytes;
use model::{FrameworkId, TaskId};
use std::collections::BTreeMap;
use stdx::Ticket;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pending {
    /// The executor and its first tasks: launch its container.
    LaunchExecutor { container: ContainerId },
    /// More tasks for an executor: deliver them.
    Deliver { container: ContainerId },
    /// Volumes of tasks that come to a running container: deliver the tasks.
    LinkVolumes { container: ContainerId },
    /// A status update: acknowledge it to the executor, forward it.
    Update { framework: FrameworkId, task: TaskId, uuid: Bytes },
    /// An acknowledgement: the task's end, which comes next, may be told.
    Acknowledged { framework: FrameworkId, task: TaskId },
    /// Reservations and volumes: remove the volumes that are gone, tell the outcome of the operation.
    Resources { operation: Option<Bytes>, removed: Vec<Volume> },
    /// A nested or standalone container: launch it.
    LaunchContainer { container: ContainerId },
}

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    last: u64,
    open: BTreeMap<Ticket, Pending>,
}

impl Tickets {
    pub fn issue(&mut self, pending: Pending) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.open.insert(ticket, pending);
        ticket
    }

    pub fn take(&mut self, ticket: Ticket) -> Option<Pending> {
        self.open.remove(&ticket)
    }

    pub fn get(&self, ticket: Ticket) -> Option<&Pending> {
        self.open.get(&ticket)
    }

    /// Appends a record; `pending` goes on once it is durable.
    pub(crate) fn record_then(&mut self, record: Record, pending: Pending, out: &mut Effects) -> Ticket {
        let ticket = self.issue(pending);
        out.push(Effect::Checkpoint { ticket: Some(ticket), record: Box::new(record) });
        ticket
    }
}
