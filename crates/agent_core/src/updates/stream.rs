//! The open status updates of one task that lives here or whose end is open: a queue of which only the head is under
//! way. Pure data; who sends and waits: the parent module.

use crate::timers::TimerKey;
use bytes::Bytes;
use model::{ExecutorId, task_state};
use proto::internal::StatusUpdate;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How many acknowledged updates are remembered to recognise a repetition.
const REMEMBERED: usize = 64;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    /// Who has the task; `None` for one that was refused.
    pub executor: Option<ExecutorId>,
    open: VecDeque<OpenUpdate>,
    acknowledged: VecDeque<Bytes>,
    /// The head must not be sent before the acknowledgement of its predecessor is durable.
    pub held: bool,
    /// The head is with the master; when it is resent.
    pub retry: Option<TimerKey>,
    /// How long the next wait is.
    pub backoff: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenUpdate {
    pub update: Arc<StatusUpdate>,
    /// The journal is told of it, and so must be of its acknowledgement.
    pub recorded: bool,
    /// Nobody hears of an update before it is.
    pub durable: bool,
}

/// What an acknowledgement did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Acked {
    /// It was for the head, which is gone now.
    Head(OpenUpdate),
    /// It repeats an older one.
    Repeated,
    /// It is for nothing that was sent.
    Unexpected,
}

impl Stream {
    pub fn of(executor: ExecutorId) -> Stream {
        Stream { executor: Some(executor), ..Stream::default() }
    }

    /// One that is not recorded need not become durable.
    pub fn push(&mut self, update: Arc<StatusUpdate>, recorded: bool) {
        self.open.push_back(OpenUpdate { update, recorded, durable: !recorded });
    }

    /// Takes in an update that the journal gave back.
    pub fn restore(&mut self, update: Arc<StatusUpdate>) {
        self.open.push_back(OpenUpdate { update, recorded: true, durable: true });
    }

    /// Whether this update was accepted before; `Some(true)` once it is durable.
    pub fn find_durable(&self, uuid: &[u8]) -> Option<bool> {
        if self.acknowledged.iter().any(|known| known == uuid) {
            return Some(true);
        }
        self.open.iter().find(|open| open.update.uuid() == uuid).map(|open| open.durable)
    }

    /// Marks an update durable, if it is here.
    pub fn on_durable(&mut self, uuid: &[u8]) -> Option<Arc<StatusUpdate>> {
        let open = self.open.iter_mut().find(|open| open.update.uuid() == uuid)?;
        open.durable = true;
        Some(open.update.clone())
    }

    /// What may be sent now.
    pub fn head(&self) -> Option<&Arc<StatusUpdate>> {
        self.next().filter(|open| open.durable).map(|open| &open.update)
    }

    fn next(&self) -> Option<&OpenUpdate> {
        stdx::bug!("newest_first", return self.open.back());
        self.open.front()
    }

    /// Whether what comes next is the task's end.
    pub fn ends_next(&self) -> bool {
        self.open.front().is_some_and(|open| task_state::is_terminal(open.update.status.state()))
    }

    pub fn acknowledge(&mut self, uuid: &[u8]) -> Acked {
        if let Some(head) = self.open.pop_front_if(|open| open.durable && open.update.uuid() == uuid) {
            self.remember(head.update.uuid.clone().unwrap_or_default());
            return Acked::Head(head);
        }
        if self.acknowledged.iter().any(|known| known == uuid) { Acked::Repeated } else { Acked::Unexpected }
    }

    pub fn remember(&mut self, uuid: Bytes) {
        if self.acknowledged.len() == REMEMBERED {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back(uuid);
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn open(&self) -> impl Iterator<Item = &OpenUpdate> {
        self.open.iter()
    }

    pub fn acknowledged(&self) -> impl Iterator<Item = &Bytes> {
        self.acknowledged.iter()
    }
}
