//! The deadlines of a core in one ordered set: what is due, and when. A timer can be taken back exactly.

use std::{collections::BTreeMap, time::Duration};

use crate::Tick;

/// Names a timer that was set, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey(Tick, u64);

/// Timers of a core, each with a `T` that says what it is for.
#[derive(Clone, Debug)]
pub struct Timers<T> {
    due: BTreeMap<TimerKey, T>,
    count: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Timers<T> {
        Timers { due: BTreeMap::new(), count: 0 }
    }
}

/// The shortest wait there is, whatever is asked for.
pub const SHORTEST: Duration = Duration::from_millis(1);

impl<T> Timers<T> {
    /// Equal deadlines fire in the order they were set. None is due in the step that sets it: a timer that sets itself
    /// anew with an interval of zero could keep a step from ever ending.
    pub fn set(&mut self, now: Tick, after: Duration, timer: T) -> TimerKey {
        self.count += 1;
        let key = TimerKey(now + after.max(SHORTEST), self.count);
        self.due.insert(key, timer);
        key
    }

    /// Takes a timer back. Whether it was still to come.
    pub fn cancel(&mut self, key: TimerKey) -> bool {
        self.due.remove(&key).is_some()
    }

    /// The earliest timer, due or not.
    pub fn next(&self) -> Option<(Tick, &T)> {
        self.due.first_key_value().map(|(key, timer)| (key.0, timer))
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn take_due(&mut self, now: Tick) -> Option<T> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// All timers, earliest first.
    pub fn iter(&self) -> impl Iterator<Item = (Tick, &T)> {
        self.due.iter().map(|(key, timer)| (key.0, timer))
    }

    pub fn clear(&mut self) {
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_fire_by_deadline_then_by_order_of_setting() {
        let mut timers = Timers::default();
        let start = Tick::ZERO;
        timers.set(start, 2 * SECOND, "late");
        timers.set(start, SECOND, "first");
        timers.set(start, SECOND, "second");
        assert_eq!(timers.next(), Some((start + SECOND, &"first")));
        assert_eq!(timers.take_due(start), None);
        assert_eq!(timers.take_due(start + SECOND), Some("first"));
        assert_eq!(timers.take_due(start + SECOND), Some("second"));
        assert_eq!(timers.take_due(start + SECOND), None);
        assert_eq!(timers.take_due(start + 9 * SECOND), Some("late"));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_sets_itself_anew_without_a_wait_lets_the_step_end() {
        let mut timers = Timers::default();
        timers.set(Tick::ZERO, Duration::ZERO, ());
        for now in [Tick::ZERO + SHORTEST, Tick::ZERO + SECOND] {
            let mut fired = 0;
            while let Some(()) = timers.take_due(now) {
                timers.set(now, Duration::ZERO, ());
                fired += 1;
                assert!(fired < 2, "the step would never end");
            }
            assert_eq!(fired, 1);
        }
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_cancels_once() {
        let mut timers = Timers::default();
        let key = timers.set(Tick::ZERO, Duration::ZERO, ());
        assert!(timers.cancel(key));
        assert!(!timers.cancel(key));
        assert_eq!(timers.take_due(Tick(u64::MAX)), None);
        assert_eq!(timers.iter().count(), 0);
    }
}
