//! The clocks of one machine: a monotonic one that runs a little fast or slow, and a calendar that may step.

use stdx::{Tick, WallTime};

/// When the world's calendar starts: 2023-11-14.
const EPOCH: i64 = 1_700_000_000_000_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// By how many millionths it is fast.
    drift_ppm: i64,
    wall_offset: i64,
}

impl Clock {
    pub fn new(drift_ppm: i64) -> Clock {
        Clock { drift_ppm: drift_ppm.clamp(-900_000, 900_000), wall_offset: 0 }
    }

    /// What the machine's monotonic clock says at `now`.
    pub fn local(&self, now: Tick) -> Tick {
        if self.drift_ppm == 0 {
            return now;
        }
        let drift = i128::from(now.0) * i128::from(self.drift_ppm) / 1_000_000;
        Tick(u64::try_from(i128::from(now.0) + drift).unwrap_or(0))
    }

    /// The first moment at which the machine's clock says `local`.
    pub fn moment(&self, local: Tick) -> Tick {
        if self.drift_ppm == 0 {
            return local;
        }
        let exact = i128::from(local.0) * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        let mut moment = Tick(u64::try_from(exact).unwrap_or(u64::MAX));
        while self.local(moment) < local {
            moment.0 += 1;
        }
        moment
    }

    pub fn wall(&self, now: Tick) -> WallTime {
        let since = i64::try_from(self.local(now).0).unwrap_or(i64::MAX);
        WallTime(EPOCH.saturating_add(self.wall_offset).saturating_add(since))
    }

    /// Sets the calendar forward or back.
    pub fn step_wall(&mut self, by_nanos: i64) {
        self.wall_offset = self.wall_offset.saturating_add(by_nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_first_at_which_the_clock_says_so() {
        for drift in [-50_000, -3, 0, 7, 200_000] {
            let clock = Clock::new(drift);
            for local in [0, 1, 999, 1_000_000_007, 3_600_000_000_000] {
                let moment = clock.moment(Tick(local));
                assert!(clock.local(moment) >= Tick(local));
                assert!(moment.0 == 0 || clock.local(Tick(moment.0 - 1)) < Tick(local), "{drift} {local}");
            }
        }
    }
}
