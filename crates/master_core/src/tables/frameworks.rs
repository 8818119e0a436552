//! A framework from its subscription, or from the first agent that reports it, to its removal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use model::{AgentId, ExecutorId, FrameworkCapabilities, FrameworkId, OfferId, TaskId};
use proto::{upid::Upid, v1};
use stdx::WallTime;

use super::{
    Table,
    history::{History, Recent},
    tasks::Task,
};
use crate::{event::ConnectionId, timers::TimerKey};

#[derive(Clone, Debug)]
pub struct Framework {
    pub id: FrameworkId,
    /// Always with the id.
    pub info: Arc<v1::FrameworkInfo>,
    pub roles: BTreeSet<String>,
    pub suppressed: BTreeSet<String>,
    pub capabilities: FrameworkCapabilities,
    pub offer_constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
    pub link: Link,
    /// The address of its v0 driver, also while that is gone; schedulers on HTTP have none.
    pub pid: Option<Upid>,
    pub registered: WallTime,
    pub reregistered: Option<WallTime>,
    pub unregistered: Option<WallTime>,
    pub tasks: Table<TaskId, Task>,
    pub completed_tasks: History<Task>,
    pub unreachable_tasks: Recent<TaskId, Task>,
    pub executors: BTreeSet<(AgentId, ExecutorId)>,
    pub offers: BTreeSet<OfferId>,
    pub inverse_offers: BTreeSet<OfferId>,
    /// By the master's names for them.
    pub operations: BTreeSet<Bytes>,
    pub counters: FrameworkCounters,
    pub(crate) failover_timer: Option<TimerKey>,
}

/// Where the scheduler is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Its stream is open.
    Subscribed { conn: ConnectionId, stream_id: Arc<str> },
    /// Its v0 driver (`Framework::pid`) is linked to. One that aborted is not active: it gets no offers.
    Driver { active: bool },
    /// Its stream ended or its driver went; it has its failover timeout to come back.
    Disconnected,
    /// Only agents reported it, since this master leads.
    Recovered,
}

/// What one framework did; the names are those of its metrics.
#[derive(Clone, Debug, Default)]
pub struct FrameworkCounters {
    pub subscribed: bool,
    /// By the number of their type, as `events` and `operations`.
    pub calls: BTreeMap<i32, u64>,
    pub events: BTreeMap<i32, u64>,
    pub operations: BTreeMap<i32, u64>,
    pub offers_sent: u64,
    pub offers_accepted: u64,
    pub offers_declined: u64,
    pub offers_rescinded: u64,
    /// By the state that ended them.
    pub terminal_tasks: BTreeMap<i32, u64>,
}

impl Framework {
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Subscribed { .. } | Link::Driver { .. })
    }

    /// Whether it may have offers.
    pub fn is_active(&self) -> bool {
        matches!(self.link, Link::Subscribed { .. } | Link::Driver { active: true })
    }

    pub fn is_recovered(&self) -> bool {
        self.link == Link::Recovered
    }

    pub fn conn(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Subscribed { conn, .. } => Some(conn),
            Link::Driver { .. } | Link::Disconnected | Link::Recovered => None,
        }
    }

    /// `Framework` prints as Mesos logs name it: `<id> (<name>)`.
    pub fn label(&self) -> String {
        format!("{} ({})", self.id, self.info.name)
    }
}
