//! Cgroups, the same for v1 and v2: one directory (v1: one per controller) for each container that has its own. Making
//! and removing them, and getting processes into them, is here and in `v1` and `v2`; what limits are written into them
//! is for the isolators.

mod v1;
mod v2;

use crate::{Config, ContainerId, Isolation, record::CgroupUse};
use kernel::{credentials, files, procfs};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Between the ids of nested containers in the path of a cgroup.
const SEPARATOR: &str = "mesos";
/// Where a container's own processes are in v2.
const LEAF: &str = "leaf";

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    Cpu,
    Memory,
    Pids,
}

impl Controller {
    const ALL: [Controller; 3] = [Controller::Cpu, Controller::Memory, Controller::Pids];

    fn is_wanted(self, isolation: Isolation) -> bool {
        match self {
            Controller::Cpu => isolation.cpu,
            Controller::Memory => isolation.memory,
            Controller::Pids => isolation.pids,
        }
    }

    /// As the kernel calls it.
    fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
        }
    }

    /// What it means to be without it.
    fn loss(self) -> &'static str {
        match self {
            Controller::Cpu => "no limit on CPU is enforced",
            Controller::Memory => "no limit on memory is enforced",
            Controller::Pids => "containers may fork as much as they like",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// Where the files of one controller are.
#[derive(Clone, Debug)]
pub struct Root {
    pub version: Version,
    path: PathBuf,
}

impl Root {
    /// The directory of a container that has limits of its own.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.path.join(id.directory(SEPARATOR))
    }

    /// Where, in v2, the container's processes are that are in no container nested in it.
    pub fn leaf(&self, directory: &Path) -> PathBuf {
        directory.join(LEAF)
    }
}

/// How a new process gets into cgroups.
#[derive(Debug, Default)]
pub struct Door {
    /// The directory to be born in (v2).
    pub birth: Option<OwnedFd>,
    /// The files the process writes itself to (v1).
    pub joins: Vec<OwnedFd>,
}

/// One version's way with cgroups. A container that shares its parent's is never named here; its owner is.
pub trait Hierarchy: fmt::Debug + Send + Sync {
    /// Makes the container's cgroups.
    fn create(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()>;
    /// Opens the way into the limits of `limits` and the process group of `processes`.
    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door>;
    /// The processes in the limits of `id`, those of nested cgroups included.
    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32>;
    /// Sends SIGKILL to everything inside at once, so that nothing can escape by forking.
    fn kill(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()>;
    /// Removes the container's cgroups, which must be empty.
    fn remove(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()>;
}

/// What the host offers.
#[derive(Debug, Default)]
pub struct Found {
    pub hierarchy: Option<Box<dyn Hierarchy>>,
    /// For each controller that is wanted: where it is, or why it is not used.
    pub controllers: BTreeMap<Controller, Result<Root, String>>,
    /// Containers can be held together by a cgroup even without a PID namespace.
    pub processes: bool,
    pub complaints: Vec<String>,
}

/// Looks for the controllers that `isolation` wants and makes the root cgroups.
pub fn find(config: &Config, isolation: Isolation) -> Found {
    let wanted: Vec<Controller> = Controller::ALL.into_iter().filter(|one| one.is_wanted(isolation)).collect();
    if wanted.is_empty() && !credentials::is_root() {
        return Found::default();
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

    let limits_in_v1 = controllers.has(Controller::Cpu) || controllers.has(Controller::Memory);
    let limits_in_v2 = in_unified("cpu") || in_unified("memory");
    let mut found = match unified.filter(|_| !limits_in_v1 && (limits_in_v2 || !controllers.has_freezer())) {
        Some(mount) => v2::prepare(&mount, &config.cgroups_root, &wanted, &unified_controllers),
        None => v1::prepare(controllers, config, &wanted),
    };
    for controller in wanted {
        found.controllers.entry(controller).or_insert_with(|| {
            let (name, loss) = (controller.name(), controller.loss());
            found.complaints.push(format!("This host has no {name} cgroup controller; {loss}."));
            Err(format!("this host has no {name} cgroup controller"))
        });
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
pub fn read_pairs(path: &Path, mut each: impl FnMut(&str, u64)) {
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
