//! Every deadline of a master, in one ordered set: what is due, when, and why. A timer can be taken back exactly.

use std::{collections::BTreeMap, time::Duration};

use model::{AgentId, FrameworkId, OfferId};
use stdx::Tick;

use crate::event::ConnId;

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
    Heartbeat(ConnId),
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

/// Takes a timer back; see `Timers::cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey(Tick, u64);

const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<TimerKey, Timer>,
    count: u64,
}

impl Timers {
    /// Equal deadlines fire in the order they were set. None is due in the step that sets it, so that a timer which
    /// sets itself anew cannot keep a step from ending.
    pub(crate) fn set(&mut self, now: Tick, after: Duration, timer: Timer) -> TimerKey {
        self.count += 1;
        let key = TimerKey(now + after.max(SHORTEST), self.count);
        self.due.insert(key, timer);
        key
    }

    /// Whether the timer was still to come.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> bool {
        self.due.remove(&key).is_some()
    }

    pub(crate) fn next(&self) -> Option<(Tick, &'static str)> {
        self.due.first_key_value().map(|(key, timer)| (key.0, timer.reason()))
    }

    pub(crate) fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let (key, _) = self.due.first_key_value()?;
        if key.0 > now { None } else { self.due.pop_first().map(|(_, timer)| timer) }
    }

    pub(crate) fn clear(&mut self) {
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_by_deadline_then_by_order_of_setting() {
        let mut timers = Timers::default();
        let start = Tick::ZERO;
        timers.set(start, Duration::from_secs(2), Timer::Recovery);
        timers.set(start, Duration::from_secs(1), Timer::Heartbeat(1));
        timers.set(start, Duration::from_secs(1), Timer::Heartbeat(2));
        assert_eq!(timers.next(), Some((start + Duration::from_secs(1), "scheduler heartbeat")));
        let due = start + Duration::from_secs(1);
        assert_eq!(timers.take_due(start), None);
        assert_eq!(timers.take_due(due), Some(Timer::Heartbeat(1)));
        assert_eq!(timers.take_due(due), Some(Timer::Heartbeat(2)));
        assert_eq!(timers.take_due(due), None);
        assert_eq!(timers.take_due(start + Duration::from_secs(9)), Some(Timer::Recovery));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn no_timer_is_due_in_the_step_that_sets_it() {
        let mut timers = Timers::default();
        timers.set(Tick::ZERO, Duration::ZERO, Timer::RegistryGc);
        assert_eq!(timers.take_due(Tick::ZERO), None);
        assert_eq!(timers.take_due(Tick::ZERO + SHORTEST), Some(Timer::RegistryGc));
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_cancels_once() {
        let mut timers = Timers::default();
        let key = timers.set(Tick::ZERO, Duration::ZERO, Timer::RegistryGc);
        assert!(timers.cancel(key));
        assert!(!timers.cancel(key));
        assert_eq!(timers.take_due(Tick(u64::MAX)), None);
    }
}
