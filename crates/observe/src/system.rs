//! The machine and this process, as numbers: load, processors, memory. Linux only, read from `/proc` and `/sys`.

use std::{fmt::Write, fs};

use crate::metrics::{Kind, Registry, Snapshot};

/// What the machine says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct System {
    pub load_1min: f64,
    pub load_5min: f64,
    pub load_15min: f64,
    pub cpus_total: u64,
    pub mem_total_bytes: u64,
    pub mem_free_bytes: u64,
}

impl System {
    /// Reads the machine's numbers; what cannot be read is 0.
    pub fn read() -> System {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        System::parse(&file("/proc/loadavg"), &file("/proc/meminfo"), &file("/sys/devices/system/cpu/online"))
    }

    fn parse(loadavg: &str, meminfo: &str, online: &str) -> System {
        let mut loads = loadavg.split_whitespace().map(|word| word.parse().unwrap_or_default());
        let mut load = || loads.next().unwrap_or_default();
        let kib = |key: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
        };
        System {
            load_1min: load(),
            load_5min: load(),
            load_15min: load(),
            cpus_total: count_ranges(online.trim()),
            mem_total_bytes: kib("MemTotal"),
            mem_free_bytes: kib("MemFree"),
        }
    }

    /// The body of `/system/stats.json`.
    pub fn stats_json(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "{{\"avg_load_15min\":{:?},\"avg_load_1min\":{:?},\"avg_load_5min\":{:?},\"cpus_total\":{},\
             \"mem_free_bytes\":{},\"mem_total_bytes\":{}}}",
            self.load_15min, self.load_1min, self.load_5min, self.cpus_total, self.mem_free_bytes, self.mem_total_bytes
        );
        out
    }
}

/// How many numbers `0-3,5` names.
fn count_ranges(text: &str) -> u64 {
    text.split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(last.parse::<u64>().ok()?.saturating_sub(first.parse().ok()?).saturating_add(1))
        })
        .sum()
}

/// Adds `system/*`, and the numbers of this process for Prometheus.
pub fn register(registry: &Registry) {
    registry.pull_many("system", |snapshot| {
        let system = System::read();
        snapshot.put("system/load_1min", system.load_1min);
        snapshot.put("system/load_5min", system.load_5min);
        snapshot.put("system/load_15min", system.load_15min);
        snapshot.put("system/cpus_total", system.cpus_total as f64);
        snapshot.put("system/mem_total_bytes", system.mem_total_bytes as f64);
        snapshot.put("system/mem_free_bytes", system.mem_free_bytes as f64);
    });
    registry.pull_many("process", put_process);
}

fn put_process(snapshot: &mut Snapshot) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
    };
    if let Some(kib) = field("VmRSS") {
        snapshot.put_own("process/resident_memory_bytes", Kind::Gauge, kib * 1024.0);
    }
    if let Some(threads) = field("Threads") {
        snapshot.put_own("process/threads", Kind::Gauge, threads);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        snapshot.put_own("process/open_fds", Kind::Gauge, entries.count() as f64);
    }
    // User and system time stand 14th and 15th; the name before them may hold spaces, but ends with the last bracket.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks: f64 = ticks.into_iter().flatten().filter_map(|word| word.parse::<f64>().ok()).sum();
    // The kernel reports hundredths of a second on every machine we run on.
    snapshot.put_own("process/cpu_seconds", Kind::Counter, ticks / 100.0);
    snapshot.put_own("never_reached", Kind::Counter, stdx::never::reached() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let system = System::parse(
            "0.91 0.64 0.40 3/129 32054\n",
            "MemTotal:       24684084 kB\nMemFree:        21154496 kB\nMemAvailable:   1 kB\n",
            "0-3,5\n",
        );
        assert_eq!((system.load_1min, system.load_15min, system.cpus_total), (0.91, 0.40, 5));
        assert_eq!((system.mem_total_bytes, system.mem_free_bytes), (24_684_084 * 1024, 21_154_496 * 1024));
        let json = system.stats_json();
        assert!(json.starts_with(r#"{"avg_load_15min":0.4,"avg_load_1min":0.91,"#), "{json}");
        assert_eq!(System::parse("", "", ""), System::default());
    }

    #[test]
    fn this_machine_has_numbers() {
        let registry = Registry::default();
        register(&registry);
        let snapshot = registry.snapshot();
        let flat = snapshot.flat();
        assert_eq!(flat.len(), 6, "{flat:?}");
        assert!(flat["system/cpus_total"] >= 1.0 && flat["system/mem_total_bytes"] > 0.0);
        let text = snapshot.to_prometheus();
        assert!(
            text.contains("\nprocess_resident_memory_bytes ") && text.contains("\nprocess_cpu_seconds_total "),
            "{text}"
        );
    }
}
