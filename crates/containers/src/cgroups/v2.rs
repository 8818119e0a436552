//! Cgroups v2: one hierarchy. A container's limits are on `<root>/<id>`, its own processes in `<root>/<id>/leaf`, the
//! containers nested in it below `<root>/<id>/mesos`: a cgroup that hands controllers down may hold no processes
//! itself.

use super::{
    CgroupUse, Controller, Door, Found, Hierarchy, LEAF, Root, SEPARATOR, Version, make, processes_below,
    remove_empty_above, remove_tree,
};
use crate::ContainerId;
use kernel::files;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The root cgroup of all containers, and the controllers it hands down, as the kernel is told to.
#[derive(Clone, Debug)]
struct Unified {
    root: PathBuf,
    handed_down: String,
}

/// Makes the root cgroup and lets it use those of the `available` controllers that are `wanted`.
pub fn prepare(mount: &Path, root: &str, wanted: &[Controller], available: &[String]) -> Found {
    let mut found = Found::default();
    let used = || wanted.iter().filter(|controller| available.iter().any(|name| name == controller.name()));
    let handed_down: Vec<String> = used().map(|controller| format!("+{}", controller.name())).collect();
    let unified = Unified { root: mount.join(root), handed_down: handed_down.join(" ") };
    match unified.claim(mount, root) {
        Ok(()) => {
            let root = Root { version: Version::Two, path: unified.root.clone() };
            found.controllers.extend(used().map(|controller| (*controller, Ok(root.clone()))));
            found.processes = true;
            found.hierarchy = Some(Box::new(unified));
        }
        Err(error) => {
            let what = format!("cgroup '{}' cannot be used ({error})", unified.root.display());
            found.complaints.push(format!("The {what}; no limit on CPU, memory or processes is enforced."));
            found.controllers.extend(wanted.iter().map(|controller| (*controller, Err(format!("the {what}")))));
        }
    }
    found
}

impl Unified {
    fn claim(&self, mount: &Path, root: &str) -> io::Result<()> {
        make(&self.root)?;
        let mut directory = mount.to_owned();
        self.hand_down(&directory)?;
        for part in Path::new(root) {
            directory.push(part);
            self.hand_down(&directory)?;
        }
        Ok(())
    }

    /// Lets the children of `directory` use the controllers.
    fn hand_down(&self, directory: &Path) -> io::Result<()> {
        match self.handed_down.is_empty() {
            true => Ok(()),
            false => files::write_control(&directory.join("cgroup.subtree_control"), &self.handed_down),
        }
    }

    fn at(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.directory(SEPARATOR))
    }
}

impl Hierarchy for Unified {
    fn create(&self, id: &ContainerId, used: CgroupUse) -> io::Result<()> {
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
        make(&directory.join(LEAF))
    }

    fn open(&self, limits: Option<&ContainerId>, processes: Option<&ContainerId>) -> io::Result<Door> {
        let innermost = processes.or(limits);
        let birth = innermost.map(|id| files::open_directory(&self.at(id).join(LEAF))).transpose()?;
        Ok(Door { birth, joins: Vec::new() })
    }

    fn processes(&self, id: &ContainerId, used: CgroupUse) -> Vec<u32> {
        if used == CgroupUse::None { Vec::new() } else { processes_below(&self.at(id)) }
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
