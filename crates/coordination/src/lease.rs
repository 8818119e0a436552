//! How long a leader may act on its last good news. The deadline counts from before the heartbeat was sent, so it
//! passes here before a successor, which counts from when it saw the heartbeat, goes to work.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The right to act, shared by who renews it and who must ask before each act. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Nanoseconds after `origin`.
    until: Arc<AtomicU64>,
}

/// Above any number of nanoseconds that can be reached.
const ENDLESS: u64 = u64::MAX;
const ENDED: u64 = u64::MAX - 1;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Lease {
    /// The lease of a master that has no rival.
    pub fn endless() -> Lease {
        Lease { until: Arc::new(AtomicU64::new(ENDLESS)) }
    }

    /// A lease that lasts until `until` and can be renewed.
    pub fn until(until: Instant) -> Lease {
        let lease = Lease { until: Arc::default() };
        lease.renew(until);
        lease
    }

    /// Never shortens it, and brings none back that was ended.
    pub fn renew(&self, until: Instant) {
        let nanos = u64::try_from(until.saturating_duration_since(*ORIGIN).as_nanos()).unwrap_or(u64::MAX);
        let nanos = nanos.min(ENDED - 1);
        self.until.fetch_max(nanos, Ordering::AcqRel);
    }

    /// Ends it at once and for good.
    pub fn end(&self) {
        self.until.store(ENDED, Ordering::Release);
    }

    pub fn holds(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            ENDLESS => true,
            ENDED => false,
            until => ORIGIN.elapsed() < Duration::from_nanos(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_its_end_and_no_longer() {
        assert!(Lease::endless().holds());
        let lease = Lease::until(Instant::now() + Duration::from_secs(60));
        assert!(lease.holds());
        lease.end();
        assert!(!lease.holds());
        assert!(!Lease::until(Instant::now()).holds());
    }

    #[test]
    fn what_was_ended_is_not_renewed() {
        let later = Instant::now() + Duration::from_secs(60);
        for lease in [Lease::endless(), Lease::until(later)] {
            lease.end();
            lease.renew(later + Duration::from_secs(60));
            assert!(!lease.holds());
        }
        let lease = Lease::until(later);
        lease.renew(Instant::now());
        assert!(lease.holds());
    }
}
