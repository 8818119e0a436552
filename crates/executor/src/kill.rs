//! A kill under way: a polite signal first, a forced one when the grace is over. Pure.

use std::time::Duration;

use proto::v1;
use stdx::Tick;

use crate::step::duration;

/// How long a task has between the two signals unless someone says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(3);

/// The escalation of one kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    started: Tick,
    force_at: Tick,
    forced: bool,
}

impl Kill {
    pub fn new(now: Tick, grace: Duration) -> Kill {
        Kill { started: now, force_at: now + grace, forced: false }
    }

    /// Another kill request arrived: the grace, counted from the first request, may only become shorter.
    pub fn shorten(&mut self, grace: Duration) {
        self.force_at = self.force_at.min(self.started + grace);
    }

    /// True once: when the time for the forced signal has come.
    pub fn take_force(&mut self, now: Tick) -> bool {
        let due = !self.forced && now >= self.force_at;
        self.forced |= due;
        due
    }

    pub fn is_forced(&self) -> bool {
        self.forced
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        (!self.forced).then_some(self.force_at)
    }
}

/// The grace of a kill: the request's own, else the task's policy, else the default.
pub fn grace(request: Option<Duration>, task: &v1::TaskInfo) -> Duration {
    request
        .or_else(|| task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref()).map(duration))
        .unwrap_or(DEFAULT_GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forced_signal_comes_once_after_the_grace() {
        let mut kill = Kill::new(Tick(10), Duration::from_nanos(5));
        assert!(!kill.take_force(Tick(14)));
        assert_eq!(kill.next_deadline(), Some(Tick(15)));
        assert!(kill.take_force(Tick(15)));
        assert!(!kill.take_force(Tick(99)));
        assert_eq!(kill.next_deadline(), None);
    }

    #[test]
    fn a_later_request_only_shortens() {
        let mut kill = Kill::new(Tick(0), Duration::from_nanos(10));
        kill.shorten(Duration::from_nanos(20));
        assert_eq!(kill.next_deadline(), Some(Tick(10)));
        kill.shorten(Duration::from_nanos(4));
        assert_eq!(kill.next_deadline(), Some(Tick(4)));
    }
}
