//! An offer while it is outstanding, and an inverse one.

use std::sync::Arc;

use model::{AgentId, FrameworkId, OfferId};
use proto::v1;
use resources::Resources;

use crate::timers::TimerKey;

#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub role: Arc<str>,
    /// With allocation info.
    pub resources: Resources,
    /// The resource group it was won for; nothing where there are no groups.
    pub group: Option<Arc<str>>,
    pub(crate) timeout: Option<TimerKey>,
}

/// A framework is asked to leave an agent.
#[derive(Clone, Debug)]
pub struct InverseOffer {
    pub id: OfferId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub unavailability: v1::Unavailability,
    pub(crate) timeout: Option<TimerKey>,
}
