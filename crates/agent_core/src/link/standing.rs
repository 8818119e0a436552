//! What the agent keeps of its attempts and of the master's pings.

use crate::timers::TimerKey;
use std::time::Duration;

/// Where we stand with the master.
#[derive(Debug)]
pub(crate) struct Link {
    /// The upper bound of the next wait between attempts.
    pub backoff: Duration,
    pub register: Option<TimerKey>,
    /// Registrations that nobody has answered.
    pub unanswered: u32,
    /// Set while we prove who we are.
    pub authentication: Option<TimerKey>,
    pub authentication_backoff: Duration,
    pub ping: Option<TimerKey>,
    pub ping_timeout: Duration,
    pub resource_version: [u8; 16],
}

impl Link {
    pub fn new(resource_version: [u8; 16], ping_timeout: Duration) -> Link {
        Link {
            backoff: Duration::ZERO,
            register: None,
            unanswered: 0,
            authentication: None,
            authentication_backoff: Duration::ZERO,
            ping: None,
            ping_timeout,
            resource_version,
        }
    }
}
