//! What a container uses at one moment: the basics of Mesos's ResourceStatistics, as plain numbers.

use crate::{
    OpError,
    handle::{Container, Inner, lock},
};
use kernel::procfs::{self, Stat};
use std::time::{SystemTime, UNIX_EPOCH};

/// The use of one container; what could not be read is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds since the epoch.
    pub timestamp: f64,
    pub processes: Option<u32>,
    pub threads: Option<u32>,
    pub cpus_user_time_secs: Option<f64>,
    pub cpus_system_time_secs: Option<f64>,
    pub cpus_limit: Option<f64>,
    pub cpus_soft_limit: Option<f64>,
    pub cpus_nr_periods: Option<u32>,
    pub cpus_nr_throttled: Option<u32>,
    pub cpus_throttled_time_secs: Option<f64>,
    pub mem_total_bytes: Option<u64>,
    pub mem_limit_bytes: Option<u64>,
    pub mem_soft_limit_bytes: Option<u64>,
    pub mem_rss_bytes: Option<u64>,
    pub mem_anon_bytes: Option<u64>,
    pub mem_file_bytes: Option<u64>,
    pub mem_cache_bytes: Option<u64>,
    pub mem_mapped_file_bytes: Option<u64>,
    pub mem_swap_bytes: Option<u64>,
    pub mem_unevictable_bytes: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// Reads a running container: what the controllers know, and the rest from its processes.
pub(crate) fn read(inner: &Inner, container: &Container) -> Result<Usage, OpError> {
    let Some(live) = container.live.get().filter(|_| container.is_running()) else {
        return Err(OpError::NotRunning(container.id.clone()));
    };
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut usage = Usage { timestamp, ..Usage::default() };
    let limits = *lock(&container.limits);
    usage.cpus_soft_limit = limits.cpus;
    usage.cpus_limit = limits.cpu_limit.or(limits.cpus).filter(|cpus| cpus.is_finite());

    let mut pids = Vec::new();
    if let Some(cgroups) = &inner.host.cgroups
        && live.used().limits()
    {
        cgroups.read_usage(&container.id, &mut usage);
        usage.oom_kills = Some(cgroups.oom_kills(&container.id));
        pids = cgroups.processes(&container.id, live.used());
    }
    if usage.mem_limit_bytes.is_none() {
        usage.mem_limit_bytes = limits.mem_limit.or(limits.mem).filter(|bytes| *bytes != u64::MAX);
    }
    let stats: Vec<Stat> = if pids.is_empty() {
        let all = procfs::all_stats();
        let own = all.iter().filter(|stat| stat.pid == live.pid);
        own.copied().chain(procfs::descendants(live.pid, &all)).collect()
    } else {
        pids.into_iter().filter_map(|pid| procfs::stat(pid).ok()).collect()
    };
    add_processes(&mut usage, &stats);
    Ok(usage)
}

fn add_processes(usage: &mut Usage, stats: &[Stat]) {
    // A process that was reaped counts with its parent: the sum over the living is complete.
    let hertz = kernel::ticks_per_second() as f64;
    let sum = |ticks: fn(&Stat) -> u64| stats.iter().map(ticks).sum::<u64>() as f64 / hertz;
    usage.cpus_user_time_secs.get_or_insert_with(|| sum(|stat| stat.user_ticks + stat.children_user_ticks));
    usage.cpus_system_time_secs.get_or_insert_with(|| sum(|stat| stat.system_ticks + stat.children_system_ticks));
    usage.mem_rss_bytes.get_or_insert_with(|| {
        let page = kernel::page_bytes();
        stats.iter().map(|stat| stat.rss_pages * page).sum()
    });
    usage.processes = u32::try_from(stats.len()).ok();
    usage.threads = Some(stats.iter().map(|stat| stat.threads).sum());
}
