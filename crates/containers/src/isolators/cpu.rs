//! CPU: a weight from the request, a quota from the limit. Without privilege it needs cgroups that the agent's user may
//! write; else containers take what the scheduler gives.

use super::no_wish;
use crate::{
    LaunchError, Limits, Usage,
    cgroups::{Controller, Root, Version, read_pairs},
    isolator::{Ask, Isolator, Kind, Plan, Subject},
};
use kernel::files;
use std::{io, path::Path, time::Duration};

pub const KIND: Kind = Kind {
    name: "cgroups/cpu",
    wanted: |isolation| isolation.cpu,
    limit: |limits| match (limits.cpus, limits.cpu_limit.filter(|cpus| cpus.is_finite())) {
        (_, Some(most)) => Some(format!("at most {most} CPUs")),
        (Some(cpus), None) => Some(format!("a share of {cpus} CPUs")),
        (None, None) => None,
    },
    wish: no_wish,
    make: |config, host| {
        let root = host.controller(Controller::Cpu)?;
        let (enable_cfs, low_priority) = (config.enable_cfs, config.revocable_cpu_low_priority);
        Ok(Box::new(Cpu { root, enable_cfs, low_priority }))
    },
};

#[derive(Debug)]
struct Cpu {
    root: Root,
    /// A quota even for a container that has no limit.
    enable_cfs: bool,
    /// Containers of revocable CPUs get the smallest weight.
    low_priority: bool,
}

impl Isolator for Cpu {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.own_limits |= !ask.shares_cgroups;
        Ok(())
    }

    fn isolate(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.write(container, limits, true)
    }

    fn update(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.write(container, limits, false)
    }

    fn usage(&self, container: Subject<'_>, usage: &mut Usage) {
        if let Some(directory) = container.limited_in(&self.root) {
            match self.root.version {
                Version::One => read_first(&directory, usage),
                Version::Two => read_second(&directory, usage),
            }
        }
    }
}

impl Cpu {
    fn write(&self, container: Subject<'_>, limits: &Limits, fresh: bool) -> io::Result<()> {
        let Some(directory) = container.limited_in(&self.root) else { return Ok(()) };
        let shape = CpuShape::new(limits, self.enable_cfs, self.low_priority);
        match self.root.version {
            Version::One => write_first(&directory, shape, fresh),
            Version::Two => write_second(&directory, shape, fresh),
        }
    }
}

fn write_first(directory: &Path, shape: CpuShape, fresh: bool) -> io::Result<()> {
    const DEFAULT_SHARES: u64 = 1024;
    if let Some(shares) = shape.shares().filter(|shares| !fresh || *shares != DEFAULT_SHARES) {
        files::write_control(&directory.join("cpu.shares"), &shares.to_string())?;
    }
    match shape.quota {
        Some(Some(quota)) => {
            files::write_control(&directory.join("cpu.cfs_period_us"), &PERIOD.as_micros().to_string())?;
            files::write_control(&directory.join("cpu.cfs_quota_us"), &quota.as_micros().to_string())
        }
        Some(None) if !fresh => files::write_control(&directory.join("cpu.cfs_quota_us"), "-1"),
        _ => Ok(()),
    }
}

fn write_second(directory: &Path, shape: CpuShape, fresh: bool) -> io::Result<()> {
    if let Some(weight) = shape.weight() {
        files::write_control(&directory.join("cpu.weight"), &weight.to_string())?;
    }
    match shape.quota {
        Some(Some(quota)) => {
            let text = format!("{} {}", quota.as_micros(), PERIOD.as_micros());
            files::write_control(&directory.join("cpu.max"), &text)
        }
        Some(None) if !fresh => files::write_control(&directory.join("cpu.max"), "max"),
        _ => Ok(()),
    }
}

fn read_first(directory: &Path, usage: &mut Usage) {
    read_pairs(&directory.join("cpu.stat"), |name, value| match name {
        "nr_periods" => usage.cpus_nr_periods = u32::try_from(value).ok(),
        "nr_throttled" => usage.cpus_nr_throttled = u32::try_from(value).ok(),
        "throttled_time" => usage.cpus_throttled_time_secs = Some(value as f64 / 1e9),
        _ => {}
    });
    // Where accounting is mounted with the controller.
    let hertz = 100.0;
    read_pairs(&directory.join("cpuacct.stat"), |name, value| match name {
        "user" => usage.cpus_user_time_secs = Some(value as f64 / hertz),
        "system" => usage.cpus_system_time_secs = Some(value as f64 / hertz),
        _ => {}
    });
}

fn read_second(directory: &Path, usage: &mut Usage) {
    read_pairs(&directory.join("cpu.stat"), |name, value| match name {
        "user_usec" => usage.cpus_user_time_secs = Some(value as f64 / 1e6),
        "system_usec" => usage.cpus_system_time_secs = Some(value as f64 / 1e6),
        "nr_periods" => usage.cpus_nr_periods = u32::try_from(value).ok(),
        "nr_throttled" => usage.cpus_nr_throttled = u32::try_from(value).ok(),
        "throttled_usec" => usage.cpus_throttled_time_secs = Some(value as f64 / 1e6),
        _ => {}
    });
}

/// The period quotas count in.
const PERIOD: Duration = Duration::from_millis(100);
const MIN_QUOTA: Duration = Duration::from_millis(1);

/// What cgroups are told about CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CpuShape {
    /// CPUs the weight stands for; `None` leaves the kernel's default.
    cpus: Option<f64>,
    low_priority: bool,
    /// `None` leaves the quota alone; `Some(None)` lifts it.
    quota: Option<Option<Duration>>,
}

impl CpuShape {
    fn new(limits: &Limits, enable_cfs: bool, low_priority: bool) -> CpuShape {
        let most = limits.cpu_limit.or(limits.cpus.filter(|_| enable_cfs));
        CpuShape { cpus: limits.cpus, low_priority: limits.revocable && low_priority, quota: most.map(quota) }
    }

    /// `cpu.shares` of v1.
    fn shares(&self) -> Option<u64> {
        let per_cpu = if self.low_priority { 10.0 } else { 1024.0 };
        self.cpus.map(|cpus| ((cpus * per_cpu) as u64).clamp(2, 262_144))
    }

    /// `cpu.weight` of v2.
    fn weight(&self) -> Option<u64> {
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
        CpuShape::new(&Limits { cpus: Some(cpus), cpu_limit: limit, revocable, ..Limits::default() }, cfs, true)
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

    #[test]
    fn limits_are_written_in_the_words_of_v2() {
        let directory = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        for name in ["cpu.weight", "cpu.max"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        write_second(directory.path(), shape(0.5, Some(1.5), false, false), true).unwrap();
        assert_eq!((read("cpu.weight").as_str(), read("cpu.max").as_str()), ("50", "150000 100000"));
    }
}
