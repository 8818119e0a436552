//! `never!`: a branch that correct code does not reach. Tests panic there; a production process logs, counts, and goes
//! on.

use std::sync::atomic::{AtomicU64, Ordering};

static REACHED: AtomicU64 = AtomicU64::new(0);

/// How often any `never!` of this process was reached. A healthy process says 0.
pub fn reached() -> u64 {
    REACHED.load(Ordering::Relaxed)
}

#[doc(hidden)]
pub fn note() {
    REACHED.fetch_add(1, Ordering::Relaxed);
}

/// Says that a branch is unreachable in correct code. `never!("why {x}")` panics in tests and debug builds and logs an
/// error in release builds; the code after it must refuse the work and go on.
#[macro_export]
macro_rules! never {
    ($($arg:tt)+) => {{
        $crate::never::note();
        if cfg!(debug_assertions) {
            panic!($($arg)+);
        }
        $crate::__tracing::error!($($arg)+);
    }};
}
