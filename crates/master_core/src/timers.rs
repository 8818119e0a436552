//! What a master waits for. How timers are kept is `stdx::timers`; what happens at each is in the file of the thing
//! that set it.

use model::{AgentId, FrameworkId, OfferId};

pub(crate) use stdx::timers::{TimerKey, Timers};

use crate::event::ConnectionId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The agent had its time to answer the last ping; ping again.
    Ping(AgentId),
    /// The agent's turn under the removal rate limit has come.
    Remove(AgentId),
    /// A disconnected agent had its time to reregister.
    Reregister(AgentId),
    /// The agents of the registry had their time to come back after the election.
    Recovery,
    Heartbeat(ConnectionId),
    /// A disconnected framework had its time to fail over.
    Failover(FrameworkId),
    Offer(OfferId),
    InverseOffer(OfferId),
    RegistryGc,
}

impl Timer {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Timer::Ping(_) => "agent ping",
            Timer::Remove(_) => "agent removal",
            Timer::Reregister(_) => "agent reregistration",
            Timer::Recovery => "recovered agents",
            Timer::Heartbeat(_) => "scheduler heartbeat",
            Timer::Failover(_) => "framework failover",
            Timer::Offer(_) | Timer::InverseOffer(_) => "offer timeout",
            Timer::RegistryGc => "registry clean-up",
        }
    }
}
