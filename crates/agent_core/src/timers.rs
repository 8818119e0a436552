//! Every deadline of the agent in one ordered queue. What happens at a deadline: the file of the thing that armed it.

use crate::container_id::ContainerId;
use bytes::Bytes;
use model::{FrameworkId, TaskId};
use std::collections::BTreeMap;
use stdx::Tick;

/// Why the agent wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    Register,
    Authenticate,
    PingTimeout,
    UpdateRetry { framework: FrameworkId, task: TaskId },
    OperationRetry { operation: Bytes },
    ExecutorRegistration { container: ContainerId },
    ExecutorReregistration,
    ShutdownGrace { container: ContainerId },
    ExecutorHeartbeat,
    DiskWatch,
}

impl Timer {
    pub fn name(&self) -> &'static str {
        match self {
            Timer::Register => "register with the master",
            Timer::Authenticate => "authenticate with the master",
            Timer::PingTimeout => "ping timeout",
            Timer::UpdateRetry { .. } => "resend a status update",
            Timer::OperationRetry { .. } => "resend an operation's status",
            Timer::ExecutorRegistration { .. } => "executor registration timeout",
            Timer::ExecutorReregistration => "executor reregistration timeout",
            Timer::ShutdownGrace { .. } => "executor shutdown grace period",
            Timer::ExecutorHeartbeat => "executor heartbeat",
            Timer::DiskWatch => "disk watch",
        }
    }
}

/// Names an armed timer, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey(Tick, u64);

impl TimerKey {
    pub fn at(self) -> Tick {
        self.0
    }
}

#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeMap<TimerKey, Timer>,
    armed: u64,
}

impl Timers {
    pub fn arm(&mut self, at: Tick, timer: Timer) -> TimerKey {
        self.armed += 1;
        let key = TimerKey(at, self.armed);
        self.queue.insert(key, timer);
        key
    }

    /// Takes a timer back; one that has fired is no error.
    pub fn disarm(&mut self, key: Option<TimerKey>) {
        if let Some(key) = key {
            self.queue.remove(&key);
        }
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn take_due(&mut self, now: Tick) -> Option<(TimerKey, Timer)> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove_entry())
    }

    pub fn next(&self) -> Option<(Tick, &'static str)> {
        self.queue.first_key_value().map(|(key, timer)| (key.0, timer.name()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.queue.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_only_when_due() {
        let mut timers = Timers::default();
        let late = timers.arm(Tick(20), Timer::DiskWatch);
        timers.arm(Tick(10), Timer::Register);
        timers.arm(Tick(10), Timer::PingTimeout);
        assert_eq!(timers.next(), Some((Tick(10), "register with the master")));
        assert_eq!(timers.take_due(Tick(9)), None);
        assert_eq!(timers.take_due(Tick(10)).map(|(_, timer)| timer), Some(Timer::Register));
        assert_eq!(timers.take_due(Tick(10)).map(|(_, timer)| timer), Some(Timer::PingTimeout));
        timers.disarm(Some(late));
        timers.disarm(Some(late));
        assert_eq!(timers.next(), None);
    }
}
