//! An offer while it is outstanding.

use std::sync::Arc;

use model::{AgentId, FrameworkId, OfferId};
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
    pub(crate) timeout: Option<TimerKey>,
}
