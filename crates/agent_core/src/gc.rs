//! When sandboxes are removed: `gc_delay` after their end, sooner the fuller the disk is. The list of them is the
//! program's.

use crate::{
    agent::Agent,
    config::Config,
    effect::{Effect, Effects},
    timers::Timer,
};
use std::time::Duration;
use stdx::WallTime;

impl Agent {
    pub(crate) fn on_disk_watch(&mut self, out: &mut Effects) {
        out.push(Effect::MeasureDisk);
        self.timers.set(self.now, self.config.disk_watch_interval, Timer::DiskWatch);
    }

    pub(crate) fn on_disk_measured(&mut self, used: f64, out: &mut Effects) {
        let age = self.config.sandbox_age_max(used);
        self.state.metrics.executor_directory_max_allowed_age_secs = age.as_secs();
        let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        out.push(Effect::PruneSandboxes { retired_until: WallTime(self.wall.0.saturating_sub(nanos)) });
    }
}

impl Config {
    /// How old a retired sandbox may become while this share of the disk is in use, 0 to 1.
    pub fn sandbox_age_max(&self, used: f64) -> Duration {
        max_age(self.gc_delay, self.gc_disk_headroom, used)
    }
}

/// How old a retired sandbox may become while this share of the disk is in use.
fn max_age(delay: Duration, headroom: f64, used: f64) -> Duration {
    let share = (1.0 - headroom - used).clamp(0.0, 1.0);
    if share.is_nan() { delay } else { delay.mul_f64(share) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_leaves_no_time_and_nonsense_the_whole_of_it() {
        let week = Duration::from_secs(7 * 24 * 3600);
        assert_eq!(max_age(week, 0.1, 0.95), Duration::ZERO);
        assert_eq!(max_age(week, 0.0, 0.0), week);
        assert_eq!(max_age(week, 0.1, 0.4), week.mul_f64(0.5));
        assert_eq!(max_age(week, 0.1, f64::NAN), week);
        assert_eq!(max_age(week, 0.1, f64::INFINITY), Duration::ZERO);
    }
}
