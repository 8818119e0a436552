//! The clocks of the operating system, for programs. A core gets `Tick` and `WallTime` handed to it instead.

use std::{
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

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
    static SHIFT: LazyLock<Option<Arc<AtomicI64>>> = LazyLock::new(shift);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let shift = SHIFT.as_ref().map_or(0, |nanos| nanos.load(Ordering::Relaxed));
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX).saturating_add(shift))
}

/// For tests of what a step of the calendar's clock does to one process: the file that `MESETA_CLOCK_SHIFT` names holds
/// seconds to add, and is read again ten times a second.
fn shift() -> Option<Arc<AtomicI64>> {
    let path = PathBuf::from(std::env::var_os("MESETA_CLOCK_SHIFT")?);
    let shift = Arc::new(AtomicI64::new(0));
    let shared = Arc::clone(&shift);
    std::thread::spawn(move || {
        loop {
            let seconds = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<i64>().ok());
            shared.store(seconds.unwrap_or(0).saturating_mul(1_000_000_000), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    Some(shift)
}
