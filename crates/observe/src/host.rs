//! The machine we run on: its name, processors, memory and disks.

use std::{fs, io, net::IpAddr, path::Path};

/// The name to give to others for `ip`: this machine's own name, or the address itself where the machine has none.
pub fn hostname(ip: IpAddr) -> String {
    if ip.is_loopback() {
        return "localhost".into();
    }
    own_name().unwrap_or_else(|| ip.to_string())
}

/// What this machine calls itself.
pub fn own_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Logical processors.
pub fn cpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// All memory.
pub fn memory_bytes() -> u64 {
    meminfo("MemTotal:")
}

/// The size of the disk that holds `path`.
pub fn disk_bytes(path: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    Ok(disk.blocks() * disk.fragment_size())
}

/// The load of the last 1, 5 and 15 minutes.
pub fn load() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

fn meminfo(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
