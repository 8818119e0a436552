//! Cgroups v1: one hierarchy per controller. Of the controllers only those in use get a directory per container: `cpu`
//! and `memory` for limits, `freezer` to hold processes together where no PID namespace does.

use super::{
    CgroupUse, Door, Hierarchy, OomWatch, SEPARATOR, Shape, make, processes_below, read_pairs, remove_empty_above,
    remove_tree,
};
use crate::{Config, ContainerId, Isolation, Usage, isolators::cpu::PERIOD};
use kernel::{credentials, files, procfs::Mount, signals};
use std::{
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where the controllers are mounted.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    pub cpu: Option<PathBuf>,
    pub memory: Option<PathBuf>,
    pub pids: Option<PathBuf>,
    pub freezer: Option<PathBuf>,
    /// CPU accounting comes with the CPU controller, at no cost of its own.
    accounting: bool,
}

impl Mounts {
    pub fn note(&mut self, mount: &Mount) {
        for option in &mount.options {
            match option.as_str() {
                "cpu" => self.cpu = Some(mount.target.clone()),
                "memory" => self.memory = Some(mount.target.clone()),
                "pids" => self.pids = Some(mount.target.clone()),
                "freezer" => self.freezer = Some(mount.target.clone()),
                _ => {}
            }
        }
        let has = |name: &str| mount.options.iter().any(|option| option == name);
        self.accounting |= has("cpu") && has("cpuacct");
    }
}

/// The root cgroups of the controllers in use.
#[derive(Clone, Debug)]
pub struct Controllers {
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    freezer: Option<PathBuf>,
    accounting: bool,
    limit_swap: bool,
}

impl Controllers {
    /// Makes the root cgroups; a controller that cannot be used is left out with a sentence why.
    pub fn prepare(mounts: Mounts, config: &Config, isolation: Isolation) -> (Option<Controllers>, Vec<String>) {
        let mut complaints = Vec::new();
        let mut claim = |mount: Option<PathBuf>, lost: &str| {
            let root = mount?.join(&config.cgroups_root);
            match make(&root).and_then(|()| check_writable(&root)) {
                Ok(()) => Some(root),
                Err(error) => {
                    complaints.push(format!("The cgroup '{}' cannot be used ({error}); {lost}.", root.display()));
                    None
                }
            }
        };
        let cpu = claim(mounts.cpu.filter(|_| isolation.cpu), "no limit on CPU is enforced");
        let memory = claim(mounts.memory.filter(|_| isolation.memory), "no limit on memory is enforced");
        let pids = claim(mounts.pids.filter(|_| isolation.pids), "no limit on processes is enforced");
        let freezer = claim(
            mounts.freezer.filter(|_| credentials::is_root()),
            "processes of a container without a PID namespace are looked for in /proc when it is destroyed",
        );
        let controllers =
            Controllers { cpu, memory, pids, freezer, accounting: mounts.accounting, limit_swap: config.limit_swap };
        let any =
            controllers.has_cpu() || controllers.has_memory() || controllers.has_pids() || controllers.has_processes();
        (any.then_some(controllers), complaints)
    }

    pub fn has_cpu(&self) -> bool {
        self.cpu.is_some()
    }

    pub fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    pub fn has_pids(&self) -> bool {
        self.pids.is_some()
    }

    pub fn has_processes(&self) -> bool {
        self.freezer.is_some()
    }

    fn at(root: &Option<PathBuf>, id: &ContainerId) -> Option<PathBuf> {
        root.as_ref().map(|root| root.join(id.directory(SEPARATOR)))
    }

    /// The container's own directories.
    fn own(&self, id: &ContainerId, used: CgroupUse) -> Vec<PathBuf> {
        let mut own = Vec::new();
        if used.processes() {
            own.extend(Self::at(&self.freezer, id));
        }
        if used.limits() {
            own.extend(Self::at(&self.memory, id));
            own.extend(Self::at(&self.cpu, id));
            own.extend(Self::at(&self.pids, id));
        }
        own
    }

    fn write_cpu(&self, directory: &Path, shape: &Shape, fresh: bool) -> io::Result<()> {
        const DEFAULT_SHARES: u64 = 1024;
        if let Some(shares) = shape.cpu.shares().filter(|shares| !fresh || *shares != DEFAULT_SHARES) {
            files::write_control(&directory.join("cpu.shares"), &shares.to_string())?;
        }
        match shape.cpu.quota {
            Some(Some(quota)) => {
                let period = PERIOD.as_micros().to_string();
                files::write_control(&directory.join("cpu.cfs_period_us"), &period)?;
                files::write_control(&directory.join("cpu.cfs_quota_us"), &quota.as_micros().to_string())
            }
            Some(None) if !fresh => files::write_control(&directory.join("cpu.cfs_quota_us"), "-1"),
            _ => Ok(()),
        }
    }

    fn write_memory(&self, directory: &Path, shape: &Shape, fresh: bool) -> io::Result<()> {
        let number = |bytes: u64| if bytes == u64::MAX { "-1".to_owned() } else { bytes.to_string() };
        // Under a hard limit as low, a soft one says nothing.
        if let Some(soft) = shape.memory.soft.filter(|soft| !fresh || shape.memory.hard != Some(*soft)) {
            files::write_control(&directory.join("memory.soft_limit_in_bytes"), &number(soft))?;
        }
        let Some(hard) = shape.memory.hard else { return Ok(()) };
        let file = directory.join("memory.limit_in_bytes");
        if fresh {
            files::write_control(&file, &number(hard))?;
            if self.limit_swap {
                files::write_control(&directory.join("memory.memsw.limit_in_bytes"), &number(hard))?;
            }
        } else if hard > files::read_number(&file)? {
            if self.limit_swap {
                files::write_control(&directory.join("memory.memsw.limit_in_bytes"), &number(hard))?;
            }
            files::write_control(&file, &number(hard))?;
        }
        Ok(())
    }
}

fn check_writable(root: &Path) -> io::Result<()> {
    let probe = root.join(format!("probe{}", std::process::id()));
    make(&probe)?;
    std::fs::remove_dir(&probe)
}

impl Hierarchy for Controllers {
    fn create(&self, id: &ContainerId, used: CgroupUse, shape: &Shape) -> io::Result<()> {
        if used.processes()
            && let Some(directory) = Self::at(&self.freezer, id)
        {
            make(&directory)?;
        }
        if used.limits() {
            if let Some(directory) = Self::at(&self.cpu, id) {
                make(&directory)?;
                self.write_cpu(&directory, shape, true)?;
            }
            if let Some(directory) = Self::at(&self.memory, id) {
                make(&directory)?;
                self.write_memory(&directory, shape, true)?;
            }
            if let Some(directory) = Self::at(&self.pids, id) {
                make(&directory)?;
                if let Some(most) = shape.pids {
                    files::write_control(&directory.join("pids.max"), &most.to_string())?;
                }
            }
        }
        Ok(())
    }

    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door> {
        let mut door = Door::default();
        let directories = limits
            .into_iter()
            .flat_map(|id| [Self::at(&self.cpu, id), Self::at(&self.memory, id), Self::at(&self.pids, id)])
            .chain(processes.map(|id| Self::at(&self.freezer, id)));
        for directory in directories.flatten() {
            // One thread that moves itself passes without the lock over all processes that `cgroup.procs` takes.
            door.joins.push(files::open_control(&directory.join("tasks"))?);
        }
        Ok(door)
    }

    fn update(&self, id: &ContainerId, shape: &Shape) -> io::Result<()> {
        if let Some(directory) = Self::at(&self.cpu, id) {
            self.write_cpu(&directory, shape, false)?;
        }
        if let Some(directory) = Self::at(&self.memory, id) {
            self.write_memory(&directory, shape, false)?;
        }
        Ok(())
    }

    fn read_usage(&self, id: &ContainerId, usage: &mut Usage) {
        if let Some(directory) = Self::at(&self.cpu, id) {
            read_pairs(&directory.join("cpu.stat"), |name, value| match name {
                "nr_periods" => usage.cpus_nr_periods = u32::try_from(value).ok(),
                "nr_throttled" => usage.cpus_nr_throttled = u32::try_from(value).ok(),
                "throttled_time" => usage.cpus_throttled_time_secs = Some(value as f64 / 1e9),
                _ => {}
            });
            if self.accounting {
                let hertz = 100.0;
                read_pairs(&directory.join("cpuacct.stat"), |name, value| match name {
                    "user" => usage.cpus_user_time_secs = Some(value as f64 / hertz),
                    "system" => usage.cpus_system_time_secs = Some(value as f64 / hertz),
                    _ => {}
                });
            }
        }
        if let Some(directory) = Self::at(&self.memory, id) {
            usage.mem_total_bytes = files::read_number(&directory.join("memory.usage_in_bytes")).ok();
            usage.mem_limit_bytes = files::read_number(&directory.join("memory.limit_in_bytes")).ok();
            usage.mem_soft_limit_bytes = files::read_number(&directory.join("memory.soft_limit_in_bytes")).ok();
            read_pairs(&directory.join("memory.stat"), |name, value| match name {
                "total_cache" => {
                    usage.mem_cache_bytes = Some(value);
                    usage.mem_file_bytes = Some(value);
                }
                "total_rss" => {
                    usage.mem_rss_bytes = Some(value);
                    usage.mem_anon_bytes = Some(value);
                }
                "total_mapped_file" => usage.mem_mapped_file_bytes = Some(value),
                "total_swap" => usage.mem_swap_bytes = Some(value),
                "total_unevictable" => usage.mem_unevictable_bytes = Some(value),
                _ => {}
            });
        }
    }

    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32> {
        self.own(id, used).first().map(|directory| processes_below(directory)).unwrap_or_default()
    }

    fn oom_kills(&self, id: &ContainerId) -> u64 {
        let mut kills = 0;
        if let Some(directory) = Self::at(&self.memory, id) {
            read_pairs(&directory.join("memory.oom_control"), |name, value| {
                if name == "oom_kill" {
                    kills = value;
                }
            });
        }
        kills
    }

    fn watch_oom(&self, id: &ContainerId) -> io::Result<OomWatch> {
        let directory = Self::at(&self.memory, id).ok_or(io::ErrorKind::Unsupported)?;
        let counter = files::event_counter()?;
        let control = std::fs::File::open(directory.join("memory.oom_control"))?;
        let registration = format!("{} {}", counter.as_raw_fd(), control.as_raw_fd());
        files::write_control(&directory.join("cgroup.event_control"), &registration)?;
        Ok(OomWatch::Counter(counter))
    }

    fn memory_report(&self, id: &ContainerId) -> (Option<u64>, Option<u64>, String) {
        let Some(directory) = Self::at(&self.memory, id) else { return (None, None, String::new()) };
        (
            files::read_number(&directory.join("memory.limit_in_bytes")).ok(),
            files::read_number(&directory.join("memory.max_usage_in_bytes")).ok(),
            files::read_control(&directory.join("memory.stat")).unwrap_or_default(),
        )
    }

    fn kill(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        let Some(directory) = Self::at(&self.freezer, id).filter(|_| used.processes()) else {
            for pid in self.processes(id, used) {
                let _ = signals::send(pid as i32, libc::SIGKILL);
            }
            return Ok(());
        };
        let state = directory.join("freezer.state");
        files::write_control(&state, "FROZEN")?;
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline && files::read_control(&state)?.trim() != "FROZEN" {
            std::thread::sleep(Duration::from_millis(1));
        }
        for pid in processes_below(&directory) {
            let _ = signals::send(pid as i32, libc::SIGKILL);
        }
        files::write_control(&state, "THAWED")
    }

    fn remove(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        let mut outcome = Ok(());
        for directory in self.own(id, used) {
            outcome = outcome.and(remove_tree(&directory));
        }
        if let Some(root) = self.freezer.as_ref().filter(|_| used.processes()) {
            remove_empty_above(root, id);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits,
        isolators::{cpu::CpuShape, memory::MemoryShape},
    };

    fn shape(limits: &Limits) -> Shape {
        Shape { cpu: CpuShape::new(limits, &Config::new("/x")), memory: MemoryShape::new(limits), pids: None }
    }

    #[test]
    fn a_hard_limit_goes_up_and_never_down() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("memory.limit_in_bytes");
        std::fs::write(root.path().join("memory.soft_limit_in_bytes"), "").unwrap();
        std::fs::write(&file, (64u64 << 20).to_string()).unwrap();
        let controllers =
            Controllers { cpu: None, memory: None, pids: None, freezer: None, accounting: false, limit_swap: false };
        let mem = |mebibytes: u64| shape(&Limits { mem: Some(mebibytes << 20), ..Limits::default() });
        controllers.write_memory(root.path(), &mem(40), false).unwrap();
        assert_eq!(files::read_number(&file).unwrap(), 64 << 20);
        controllers.write_memory(root.path(), &mem(200), false).unwrap();
        assert_eq!(files::read_number(&file).unwrap(), 200 << 20);
    }
}
