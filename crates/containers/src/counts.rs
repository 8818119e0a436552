//! How often things went well or wrong since this handle was made, for whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Containers of which a process or a cgroup could not be removed.
    pub destroy_errors: u64,
    /// Containers that got all they wanted fetched.
    pub fetches_succeeded: u64,
    pub fetches_failed: u64,
    /// The bytes that the fetcher's cache may hold, and those it holds.
    pub fetch_cache_total: u64,
    pub fetch_cache_used: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    destroy_errors: AtomicU64,
    fetches_succeeded: AtomicU64,
    fetches_failed: AtomicU64,
}

impl Counters {
    pub fn add_destroy_error(&self) {
        self.destroy_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_fetch(&self, succeeded: bool) {
        let counter = if succeeded { &self.fetches_succeeded } else { &self.fetches_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn now(&self) -> Counts {
        Counts {
            destroy_errors: self.destroy_errors.load(Ordering::Relaxed),
            fetches_succeeded: self.fetches_succeeded.load(Ordering::Relaxed),
            fetches_failed: self.fetches_failed.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}
