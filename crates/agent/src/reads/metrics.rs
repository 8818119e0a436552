//! The agent's own numbers, `slave/*`, and for Prometheus what each container uses.

use agent_core::State;
use observe::metrics::{Kind, Snapshot};
use stdx::{WallTime, clock};

use super::Usages;

/// So many containers have series of their own.
const CONTAINERS_MAX: usize = 1000;

/// `started` is when this process was.
pub fn add(state: &State, started: WallTime, snapshot: &mut Snapshot) {
    let uptime = clock::wall().as_secs_f64() - started.as_secs_f64();
    snapshot.put("slave/uptime_secs", uptime.max(0.0));
    for (name, value) in state.metrics() {
        snapshot.put(name, value);
    }
}

/// Adds what the containers of executors use, and that of their nested containers beside it.
pub fn add_containers(state: &State, usages: &Usages, snapshot: &mut Snapshot) {
    for (container, seen) in usages.iter().take(CONTAINERS_MAX) {
        let usage = &seen.usage;
        let root = container.parts().next();
        let mut labels = vec![("container_id", container.to_string())];
        if let Some(executor) = state.executors().find(|executor| executor.container.parts().next() == root) {
            labels.push(("framework_id", executor.framework.to_string()));
            labels.push(("executor_id", executor.id.to_string()));
        }
        for (name, value) in [
            ("container/cpus_user_seconds", usage.cpus_user_time_secs),
            ("container/cpus_system_seconds", usage.cpus_system_time_secs),
            ("container/cpus_limit", usage.cpus_limit),
            ("container/cpus_periods", usage.cpus_nr_periods.map(f64::from)),
            ("container/cpus_throttled_periods", usage.cpus_nr_throttled.map(f64::from)),
            ("container/cpus_throttled_seconds", usage.cpus_throttled_time_secs),
            ("container/memory_bytes", usage.mem_total_bytes.map(|bytes| bytes as f64)),
            ("container/memory_rss_bytes", usage.mem_rss_bytes.map(|bytes| bytes as f64)),
            ("container/memory_limit_bytes", usage.mem_limit_bytes.map(|bytes| bytes as f64)),
            ("container/disk_used_bytes", usage.disk_used_bytes.map(|bytes| bytes as f64)),
            ("container/disk_limit_bytes", usage.disk_limit_bytes.map(|bytes| bytes as f64)),
            ("container/oom_kills", usage.oom_kills.map(|count| count as f64)),
            ("container/processes", usage.processes.map(f64::from)),
        ] {
            if let Some(value) = value {
                snapshot.put_labeled(name, &labels, value);
            }
        }
    }
    let left_out = usages.len().saturating_sub(CONTAINERS_MAX);
    snapshot.put_own("containers_not_shown", Kind::Gauge, left_out as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_described() {
        let mut snapshot = Snapshot::default();
        add(&State::default(), WallTime(0), &mut snapshot);
        add_containers(&State::default(), &Usages::new(), &mut snapshot);
        assert_eq!(snapshot.undescribed(), Vec::<String>::new());
    }
}
