//! Cgroups, the same for v1 and v2: one directory (v1: one per controller) for each container that has its own. What
//! the two versions write where is in `v1` and `v2`; which one this host has is found out here.

mod v1;
mod v2;

use crate::{
    Config, ContainerId, Isolation, Usage,
    isolators::{cpu::CpuShape, memory::MemoryShape},
    record::CgroupUse,
};
use kernel::{credentials, files, procfs};
use std::{
    fmt, fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Between the ids of nested containers in the path of a cgroup.
const SEPARATOR: &str = "mesos";

/// What is written to a container's own cgroups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub cpu: CpuShape,
    pub memory: MemoryShape,
    /// Processes and threads at most.
    pub pids: Option<u64>,
}

/// How a new process gets into cgroups.
#[derive(Debug, Default)]
pub struct Door {
    /// The directory to be born in (v2).
    pub birth: Option<OwnedFd>,
    /// The files the process writes itself to (v1).
    pub joins: Vec<OwnedFd>,
}

/// Tells that a container ran out of memory.
#[derive(Debug)]
pub enum OomWatch {
    /// Becomes readable.
    Counter(OwnedFd),
    /// Becomes exceptional (`POLLPRI`).
    Events(OwnedFd),
}

/// One version's way with cgroups. A container that shares its parent's is never named here; its owner is.
pub trait Hierarchy: fmt::Debug + Send + Sync {
    /// Makes the container's cgroups and gives them their shape.
    fn create(&self, id: &ContainerId, used: CgroupUse, shape: &Shape) -> io::Result<()>;
    /// Opens the way into the limits of `limits` and the process group of `processes`.
    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door>;
    /// Changes the shape while the container runs: a hard memory limit only goes up.
    fn update(&self, id: &ContainerId, shape: &Shape) -> io::Result<()>;
    /// Adds what the controllers know.
    fn read_usage(&self, id: &ContainerId, usage: &mut Usage);
    /// The processes in the limits of `id`, those of nested cgroups included.
    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32>;
    /// How many processes of the container the kernel has killed for want of memory.
    fn oom_kills(&self, id: &ContainerId) -> u64;
    fn watch_oom(&self, id: &ContainerId) -> io::Result<OomWatch>;
    /// The hard limit, the most that was used, and the kernel's statistics.
    fn memory_report(&self, id: &ContainerId) -> (Option<u64>, Option<u64>, String);
    /// Sends SIGKILL to everything inside at once, so that nothing can escape by forking.
    fn kill(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()>;
    /// Removes the container's cgroups, which must be empty.
    fn remove(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()>;
}

/// What the host offers.
#[derive(Debug)]
pub struct Found {
    pub hierarchy: Option<Box<dyn Hierarchy>>,
    pub cpu: bool,
    pub memory: bool,
    pub pids: bool,
    /// Containers can be held together by a cgroup even without a PID namespace.
    pub processes: bool,
    pub complaints: Vec<String>,
}

/// Looks for the controllers that `isolation` wants and makes the root cgroups.
pub fn find(config: &Config, isolation: Isolation) -> Found {
    let mut found =
        Found { hierarchy: None, cpu: false, memory: false, pids: false, processes: false, complaints: Vec::new() };
    if !isolation.cpu && !isolation.memory && !isolation.pids && !credentials::is_root() {
        return found;
    }
    let mounts = procfs::mounts().unwrap_or_default();
    let here = mounts.iter().filter(|mount| mount.target.starts_with(&config.cgroups_hierarchy));
    let (mut unified, mut controllers) = (None, v1::Mounts::default());
    for mount in here {
        match mount.kind.as_str() {
            "cgroup2" if unified.is_none() => unified = Some(mount.target.clone()),
            "cgroup" => controllers.note(mount),
            _ => {}
        }
    }
    let unified_controllers = unified
        .as_ref()
        .and_then(|path| files::read_control(&path.join("cgroup.controllers")).ok())
        .map(|text| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .unwrap_or_default();
    let in_unified = |name: &str| unified_controllers.iter().any(|controller| controller == name);

    let limits_in_v1 = controllers.cpu.is_some() || controllers.memory.is_some();
    let limits_in_v2 = in_unified("cpu") || in_unified("memory");
    if let Some(mount) = unified.filter(|_| !limits_in_v1 && (limits_in_v2 || controllers.freezer.is_none())) {
        match v2::Unified::prepare(&mount, &config.cgroups_root, isolation, &unified_controllers) {
            Ok(hierarchy) => {
                (found.cpu, found.memory) = (hierarchy.has_cpu(), hierarchy.has_memory());
                found.pids = hierarchy.has_pids();
                found.processes = true;
                found.hierarchy = Some(Box::new(hierarchy));
            }
            Err(error) => found.complaints.push(format!(
                "The cgroup '{}' cannot be used ({error}); no limit on CPU or memory is enforced.",
                mount.join(&config.cgroups_root).display()
            )),
        }
    } else {
        let (hierarchy, complaints) = v1::Controllers::prepare(controllers, config, isolation);
        found.complaints.extend(complaints);
        if let Some(hierarchy) = hierarchy {
            (found.cpu, found.memory) = (hierarchy.has_cpu(), hierarchy.has_memory());
            found.pids = hierarchy.has_pids();
            found.processes = hierarchy.has_processes();
            found.hierarchy = Some(Box::new(hierarchy));
        }
    }
    if found.complaints.is_empty() {
        if isolation.cpu && !found.cpu {
            found.complaints.push("This host has no CPU cgroup controller; no limit on CPU is enforced.".to_owned());
        }
        if isolation.memory && !found.memory {
            found
                .complaints
                .push("This host has no memory cgroup controller; no limit on memory is enforced.".to_owned());
        }
        if isolation.pids && !found.pids {
            found
                .complaints
                .push("This host has no pids cgroup controller; containers may fork as much as they like.".to_owned());
        }
    }
    found
}

/// Makes a directory; its parents too when they are missing.
fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        // Again: what is above may just be going because it is empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).or_else(|_| fs::create_dir_all(path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Removes a cgroup, and whatever cgroups lie below it. The kernel may need a moment until the last process has left.
fn remove_tree(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                for child in child_directories(path) {
                    remove_tree(&child)?;
                }
                if fs::remove_dir(path).is_ok() {
                    return Ok(());
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Removes the directories above a nested container's that were only made to hold it.
fn remove_empty_above(root: &Path, id: &ContainerId) {
    let mut above = id.parent();
    while let Some(id) = above {
        let directory = root.join(id.directory(SEPARATOR));
        if fs::remove_dir(directory.join(SEPARATOR)).and_then(|()| fs::remove_dir(&directory)).is_err() {
            return;
        }
        above = id.parent();
    }
}

fn child_directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The processes of a cgroup and of all below it.
fn processes_below(path: &Path) -> Vec<u32> {
    let mut pids: Vec<u32> = files::read_control(&path.join("cgroup.procs"))
        .map(|text| text.lines().filter_map(|line| line.parse().ok()).collect())
        .unwrap_or_default();
    for child in child_directories(path) {
        pids.extend(processes_below(&child));
    }
    pids
}

/// The numbers of a file of `name value` lines.
fn read_pairs(path: &Path, mut each: impl FnMut(&str, u64)) {
    if let Ok(text) = files::read_control(path) {
        for line in text.lines() {
            if let Some((name, value)) = line.split_once(' ')
                && let Ok(value) = value.trim().parse()
            {
                each(name, value);
            }
        }
    }
}
