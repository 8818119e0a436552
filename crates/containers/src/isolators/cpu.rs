//! CPU: a weight from the request, a quota from the limit.

use crate::{Config, Limits};
use std::time::Duration;

/// The period quotas count in.
pub const PERIOD: Duration = Duration::from_millis(100);
const MIN_QUOTA: Duration = Duration::from_millis(1);

/// What cgroups are told about CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuShape {
    /// CPUs the weight stands for; `None` leaves the kernel's default.
    cpus: Option<f64>,
    low_priority: bool,
    /// `None` leaves the quota alone; `Some(None)` lifts it.
    pub quota: Option<Option<Duration>>,
}

impl CpuShape {
    pub fn new(limits: &Limits, config: &Config) -> CpuShape {
        let most = limits.cpu_limit.or(limits.cpus.filter(|_| config.enable_cfs));
        CpuShape {
            cpus: limits.cpus,
            low_priority: limits.revocable && config.revocable_cpu_low_priority,
            quota: most.map(quota),
        }
    }

    /// `cpu.shares` of v1.
    pub fn shares(&self) -> Option<u64> {
        let per_cpu = if self.low_priority { 10.0 } else { 1024.0 };
        self.cpus.map(|cpus| ((cpus * per_cpu) as u64).clamp(2, 262_144))
    }

    /// `cpu.weight` of v2.
    pub fn weight(&self) -> Option<u64> {
        let per_cpu = if self.low_priority { 1.0 } else { 100.0 };
        self.cpus.map(|cpus| ((cpus * per_cpu) as u64).clamp(1, 10_000))
    }
}

fn quota(cpus: f64) -> Option<Duration> {
    if !cpus.is_finite() {
        return None;
    }
    // A billion CPUs are more than any quota can say.
    Some(PERIOD.mul_f64(cpus.clamp(0.0, 1e9)).max(MIN_QUOTA))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(cpus: f64, limit: Option<f64>, revocable: bool, cfs: bool) -> CpuShape {
        let config = Config { enable_cfs: cfs, ..Config::new("/x") };
        CpuShape::new(&Limits { cpus: Some(cpus), cpu_limit: limit, revocable, ..Limits::default() }, &config)
    }

    #[test]
    fn the_weight_follows_the_request() {
        assert_eq!(
            (shape(1.5, None, false, false).shares(), shape(1.5, None, false, false).weight()),
            (Some(1536), Some(150))
        );
        assert_eq!(
            (shape(2.0, None, true, false).shares(), shape(2.0, None, true, false).weight()),
            (Some(20), Some(2))
        );
        assert_eq!(
            (shape(0.0, None, false, false).shares(), shape(0.0, None, false, false).weight()),
            (Some(2), Some(1))
        );
    }

    #[test]
    fn a_quota_needs_a_limit_or_the_flag() {
        assert_eq!(shape(1.0, None, false, false).quota, None);
        assert_eq!(shape(1.0, None, false, true).quota, Some(Some(Duration::from_millis(100))));
        assert_eq!(shape(1.0, Some(2.5), false, false).quota, Some(Some(Duration::from_millis(250))));
        assert_eq!(shape(1.0, Some(f64::INFINITY), false, true).quota, Some(None));
        assert_eq!(shape(1.0, Some(0.0), false, false).quota, Some(Some(MIN_QUOTA)));
    }
}
