//! The clocks of the operating system, for programs. A core gets `Tick` and `WallTime` handed to it instead.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Tick, WallTime};

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    pub fn now(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When `tick` is, for timers of the operating system.
    pub fn instant(&self, tick: Tick) -> Instant {
        self.origin + Duration::from_nanos(tick.0)
    }
}

/// The calendar time.
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
