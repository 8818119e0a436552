//! Cgroups v2: one hierarchy. A container's limits are on `<root>/<id>`, its own processes in `<root>/<id>/leaf`, the
//! containers nested in it below `<root>/<id>/mesos`: a cgroup that hands controllers down may hold no processes
//! itself.

use super::{
    CgroupUse, Door, Hierarchy, OomWatch, SEPARATOR, Shape, make, processes_below, read_pairs, remove_empty_above,
    remove_tree,
};
use crate::{ContainerId, Isolation, Usage, isolators::cpu::PERIOD};
use kernel::files;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const LEAF: &str = "leaf";

/// The root cgroup of all containers, and the controllers it hands down.
#[derive(Clone, Debug)]
pub struct Unified {
    root: PathBuf,
    cpu: bool,
    memory: bool,
    pids: bool,
}

impl Unified {
    pub fn prepare(mount: &Path, root: &str, isolation: Isolation, available: &[String]) -> io::Result<Unified> {
        let has = |name: &str| available.iter().any(|controller| controller == name);
        let unified = Unified {
            root: mount.join(root),
            cpu: isolation.cpu && has("cpu"),
            memory: isolation.memory && has("memory"),
            pids: isolation.pids && has("pids"),
        };
        make(&unified.root)?;
        let mut directory = mount.to_owned();
        unified.hand_down(&directory)?;
        for part in Path::new(root) {
            directory.push(part);
            unified.hand_down(&directory)?;
        }
        Ok(unified)
    }

    pub fn has_cpu(&self) -> bool {
        self.cpu
    }

    pub fn has_memory(&self) -> bool {
        self.memory
    }

    pub fn has_pids(&self) -> bool {
        self.pids
    }

    /// Lets the children of `directory` use the controllers.
    fn hand_down(&self, directory: &Path) -> io::Result<()> {
        let used = [(self.cpu, "+cpu"), (self.memory, "+memory"), (self.pids, "+pids")];
        let wanted: Vec<&str> = used.into_iter().filter(|(used, _)| *used).map(|(_, name)| name).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        files::write_control(&directory.join("cgroup.subtree_control"), &wanted.join(" "))
    }

    fn at(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.directory(SEPARATOR))
    }

    fn write(&self, directory: &Path, shape: &Shape, fresh: bool) -> io::Result<()> {
        if self.cpu {
            if let Some(weight) = shape.cpu.weight() {
                files::write_control(&directory.join("cpu.weight"), &weight.to_string())?;
            }
            match shape.cpu.quota {
                Some(Some(quota)) => {
                    let text = format!("{} {}", quota.as_micros(), PERIOD.as_micros());
                    files::write_control(&directory.join("cpu.max"), &text)?;
                }
                Some(None) if !fresh => files::write_control(&directory.join("cpu.max"), "max")?,
                _ => {}
            }
        }
        if let Some(most) = shape.pids.filter(|_| self.pids && fresh) {
            files::write_control(&directory.join("pids.max"), &most.to_string())?;
        }
        if self.memory {
            let number = |bytes: u64| if bytes == u64::MAX { "max".to_owned() } else { bytes.to_string() };
            if let Some(soft) = shape.memory.soft {
                files::write_control(&directory.join("memory.low"), &number(soft))?;
            }
            if let Some(hard) = shape.memory.hard {
                let file = directory.join("memory.max");
                if fresh || hard > files::read_number(&file)? {
                    files::write_control(&file, &number(hard))?;
                }
            }
        }
        Ok(())
    }
}

impl Hierarchy for Unified {
    fn create(&self, id: &ContainerId, used: CgroupUse, shape: &Shape) -> io::Result<()> {
        if used == CgroupUse::None {
            return Ok(());
        }
        let directory = self.at(id);
        if let Some(parent) = id.parent() {
            let between = self.at(&parent).join(SEPARATOR);
            make(&between)?;
            if used.limits() {
                self.hand_down(&self.at(&parent))?;
                self.hand_down(&between)?;
            }
        }
        make(&directory)?;
        make(&directory.join(LEAF))?;
        if used.limits() { self.write(&directory, shape, true) } else { Ok(()) }
    }

    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door> {
        let innermost = processes.or(limits);
        let birth = innermost.map(|id| files::open_directory(&self.at(id).join(LEAF))).transpose()?;
        Ok(Door { birth, joins: Vec::new() })
    }

    fn update(&self, id: &ContainerId, shape: &Shape) -> io::Result<()> {
        self.write(&self.at(id), shape, false)
    }

    fn read_usage(&self, id: &ContainerId, usage: &mut Usage) {
        let directory = self.at(id);
        read_pairs(&directory.join("cpu.stat"), |name, value| match name {
            "user_usec" => usage.cpus_user_time_secs = Some(value as f64 / 1e6),
            "system_usec" => usage.cpus_system_time_secs = Some(value as f64 / 1e6),
            "nr_periods" => usage.cpus_nr_periods = u32::try_from(value).ok(),
            "nr_throttled" => usage.cpus_nr_throttled = u32::try_from(value).ok(),
            "throttled_usec" => usage.cpus_throttled_time_secs = Some(value as f64 / 1e6),
            _ => {}
        });
        if !self.memory {
            return;
        }
        usage.mem_total_bytes = files::read_number(&directory.join("memory.current")).ok();
        usage.mem_limit_bytes = files::read_number(&directory.join("memory.max")).ok();
        usage.mem_soft_limit_bytes = files::read_number(&directory.join("memory.low")).ok();
        usage.mem_swap_bytes = files::read_number(&directory.join("memory.swap.current")).ok();
        read_pairs(&directory.join("memory.stat"), |name, value| match name {
            "anon" => {
                usage.mem_anon_bytes = Some(value);
                usage.mem_rss_bytes = Some(value);
            }
            "file" => {
                usage.mem_file_bytes = Some(value);
                usage.mem_cache_bytes = Some(value);
            }
            "file_mapped" => usage.mem_mapped_file_bytes = Some(value),
            "unevictable" => usage.mem_unevictable_bytes = Some(value),
            _ => {}
        });
    }

    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32> {
        if used == CgroupUse::None { Vec::new() } else { processes_below(&self.at(id)) }
    }

    fn oom_kills(&self, id: &ContainerId) -> u64 {
        let directory = self.at(id);
        let count = |file: &str| {
            let mut kills = None;
            read_pairs(&directory.join(file), |name, value| {
                if name == "oom_kill" {
                    kills = Some(value);
                }
            });
            kills
        };
        // Nested containers with limits of their own answer for themselves. Before Linux 5.2 they cannot be told apart.
        match count("memory.events.local") {
            Some(kills) => kills + count(&format!("{LEAF}/memory.events")).unwrap_or(0),
            None => count("memory.events").unwrap_or(0),
        }
    }

    fn watch_oom(&self, id: &ContainerId) -> io::Result<OomWatch> {
        let mut file = fs::File::open(self.at(id).join("memory.events"))?;
        // An event counts from the last read.
        io::copy(&mut file, &mut io::sink())?;
        Ok(OomWatch::Events(file.into()))
    }

    fn memory_report(&self, id: &ContainerId) -> (Option<u64>, Option<u64>, String) {
        let directory = self.at(id);
        let peak = files::read_number(&directory.join("memory.peak"))
            .or_else(|_| files::read_number(&directory.join("memory.current")));
        (
            files::read_number(&directory.join("memory.max")).ok(),
            peak.ok(),
            files::read_control(&directory.join("memory.stat")).unwrap_or_default(),
        )
    }

    fn kill(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        if used == CgroupUse::None {
            return Ok(());
        }
        let directory = self.at(id);
        match files::write_control(&directory.join("cgroup.kill"), "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Before Linux 5.14: stop them, so that none forks meanwhile.
                let _ = files::write_control(&directory.join("cgroup.freeze"), "1");
                for pid in processes_below(&directory) {
                    let _ = kernel::signals::send(pid as i32, libc::SIGKILL);
                }
                let _ = files::write_control(&directory.join("cgroup.freeze"), "0");
                Ok(())
            }
            other => other,
        }
    }

    fn remove(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        if used == CgroupUse::None {
            return Ok(());
        }
        let directory = self.at(id);
        let _ = fs::remove_dir(directory.join(LEAF));
        let outcome = remove_tree(&directory);
        if !used.limits() {
            remove_empty_above(&self.root, id);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config, Limits,
        isolators::{cpu::CpuShape, memory::MemoryShape},
    };

    #[test]
    fn limits_are_written_in_the_words_of_v2() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["cpu.weight", "cpu.max", "memory.low", "memory.max", "pids.max"] {
            fs::write(at(name), "0").unwrap();
        }
        let unified = Unified { root: root.path().to_owned(), cpu: true, memory: true, pids: true };
        let limits = Limits {
            cpus: Some(0.5),
            cpu_limit: Some(1.5),
            mem: Some(64 << 20),
            mem_limit: Some(u64::MAX),
            revocable: false,
        };
        let shape = Shape {
            cpu: CpuShape::new(&limits, &Config::new("/x")),
            memory: MemoryShape::new(&limits),
            pids: Some(77),
        };
        unified.write(root.path(), &shape, true).unwrap();
        let read = |name: &str| fs::read_to_string(at(name)).unwrap();
        assert!(read("cpu.weight").starts_with("50"));
        assert!(read("cpu.max").starts_with("150000 100000"));
        assert!(read("memory.low").starts_with("67108864"));
        assert!(read("memory.max").starts_with("max"));
        assert!(read("pids.max").starts_with("77"));
        assert_eq!(files::read_number(&at("memory.max")).unwrap(), u64::MAX);
    }
}
