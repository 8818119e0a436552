//! Reading what a running container uses: from the isolators, and the rest from its processes.

use crate::{OpError, Usage, container::Container, engine::Engine, mutex::lock};
use kernel::procfs::{self, Stat};
use std::time::{SystemTime, UNIX_EPOCH};

pub fn read(engine: &Engine, container: &Container) -> Result<Usage, OpError> {
    let Some(live) = container.running() else {
        return Err(OpError::NotRunning(container.id.clone()));
    };
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut usage = Usage { timestamp, ..Usage::default() };
    let limits = *lock(&container.limits);
    usage.cpus_soft_limit = limits.cpus;
    usage.cpus_limit = limits.cpu_limit.or(limits.cpus).filter(|cpus| cpus.is_finite());
    engine.isolators.usage(container.subject(live), &mut usage);
    if usage.mem_limit_bytes.is_none() {
        usage.mem_limit_bytes = limits.mem_limit.or(limits.mem).filter(|bytes| *bytes != u64::MAX);
    }

    let cgroups = engine.host.cgroups.as_ref().filter(|_| live.used().limits());
    let pids = cgroups.map(|cgroups| cgroups.processes(&container.id, live.used())).unwrap_or_default();
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
