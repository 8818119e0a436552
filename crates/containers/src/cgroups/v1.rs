//! Cgroups v1: one hierarchy per controller. Of the controllers only those in use get a directory per container, and
//! `freezer` to hold processes together where no PID namespace does.

use super::{
    CgroupUse, Controller, Door, Found, Hierarchy, Root, Version, make, processes_below, remove_empty_above,
    remove_tree,
};
use crate::{Config, ContainerId};
use kernel::{credentials, files, procfs::Mount, signals};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where the controllers are mounted.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    controllers: BTreeMap<Controller, PathBuf>,
    freezer: Option<PathBuf>,
}

impl Mounts {
    pub fn note(&mut self, mount: &Mount) {
        for option in &mount.options {
            if option == "freezer" {
                self.freezer = Some(mount.target.clone());
            }
            if let Some(controller) = Controller::ALL.into_iter().find(|controller| controller.name() == option) {
                self.controllers.insert(controller, mount.target.clone());
            }
        }
    }

    pub fn has(&self, controller: Controller) -> bool {
        self.controllers.contains_key(&controller)
    }

    pub fn has_freezer(&self) -> bool {
        self.freezer.is_some()
    }
}

/// The root cgroups of the controllers in use.
#[derive(Clone, Debug)]
struct Controllers {
    /// That of memory first: it is the one whose list of processes is asked for.
    limits: Vec<Root>,
    freezer: Option<Root>,
}

/// Makes the root cgroups; a controller that cannot be used is left out, and why.
pub fn prepare(mounts: Mounts, config: &Config, wanted: &[Controller]) -> Found {
    let mut found = Found::default();
    let claim = |mount: &Path| {
        let path = mount.join(&config.cgroups_root);
        match make(&path).and_then(|()| check_writable(&path)) {
            Ok(()) => Ok(Root { version: Version::One, path }),
            Err(error) => Err(format!("the cgroup '{}' cannot be used ({error})", path.display())),
        }
    };
    let mut complain = |why: &str, lost: &str| {
        found.complaints.push(format!("{}; {lost}.", why.replacen("the", "The", 1)));
    };
    for controller in wanted {
        let Some(mount) = mounts.controllers.get(controller) else { continue };
        let claimed = claim(mount).inspect_err(|why| complain(why, controller.loss()));
        found.controllers.insert(*controller, claimed);
    }
    let lost = "processes of a container without a PID namespace are looked for in /proc when it is destroyed";
    let freezer = mounts.freezer.filter(|_| credentials::is_root()).map(|mount| claim(&mount));
    let freezer = freezer.and_then(|claimed| claimed.inspect_err(|why| complain(why, lost)).ok());

    let order = [Controller::Memory, Controller::Cpu, Controller::Pids];
    let limits = order.iter().filter_map(|controller| found.controllers.get(controller)?.clone().ok()).collect();
    let controllers = Controllers { limits, freezer };
    found.processes = controllers.freezer.is_some();
    if found.processes || !controllers.limits.is_empty() {
        found.hierarchy = Some(Box::new(controllers));
    }
    found
}

impl Controllers {
    /// The container's own directories.
    fn own<'a>(&'a self, id: &'a ContainerId, used: CgroupUse) -> impl Iterator<Item = PathBuf> + 'a {
        let processes = self.freezer.iter().filter(move |_| used.processes());
        let limits = self.limits.iter().filter(move |_| used.limits());
        processes.chain(limits).map(move |root| root.directory(id))
    }
}

fn check_writable(root: &Path) -> io::Result<()> {
    let probe = root.join(format!("probe{}", std::process::id()));
    make(&probe)?;
    std::fs::remove_dir(&probe)
}

impl Hierarchy for Controllers {
    fn create(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        self.own(id, used).try_for_each(|directory| make(&directory))
    }

    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door> {
        let mut door = Door::default();
        let limits = limits.into_iter().flat_map(|id| self.limits.iter().map(|root| root.directory(id)));
        let processes = processes.into_iter().flat_map(|id| self.freezer.iter().map(|root| root.directory(id)));
        for directory in limits.chain(processes) {
            // One thread that moves itself passes without the lock over all processes that `cgroup.procs` takes.
            door.joins.push(files::open_control(&directory.join("tasks"))?);
        }
        Ok(door)
    }

    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32> {
        self.own(id, used).next().map(|directory| processes_below(&directory)).unwrap_or_default()
    }

    fn kill(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
        let Some(directory) = self.freezer.as_ref().map(|root| root.directory(id)).filter(|_| used.processes()) else {
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
            remove_empty_above(&root.path, id);
        }
        outcome
    }
}
