//! For what may happen a thousand times a second and should be told once in a while.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets one in a while through, and counts the others.
#[derive(Debug)]
pub struct Seldom {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    since: u64,
}

impl Seldom {
    pub const fn new(every: Duration) -> Seldom {
        Seldom { every, state: Mutex::new(State { told: None, since: 0 }) }
    }

    /// Whether this one is to be told; then with how many came since the last one that was.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.told.is_some_and(|told| now.duration_since(told) < self.every) {
            state.since += 1;
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_while_comes_through_and_knows_of_the_others() {
        let (seldom, start) = (Seldom::new(Duration::from_secs(10)), Instant::now());
        let at = |secs| seldom.due_at(start + Duration::from_secs(secs));
        assert_eq!([at(0), at(1), at(9), at(10), at(19), at(20)], [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
