//! The cgroups of the agents of a test: whatever is in them is ended, and they are removed, when their guard goes. What
//! tests have left that were killed themselves goes with the next test.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::processes::wait_for;

const PREFIX: &str = "meseta-test-";

/// The root cgroup of one agent, in whichever hierarchies.
#[derive(Debug)]
pub struct Cgroups {
    name: String,
}

impl Cgroups {
    /// `name` tells it from others of this process.
    pub fn new(name: &str) -> Cgroups {
        sweep();
        Cgroups { name: format!("{PREFIX}{}-{name}", std::process::id()) }
    }

    /// For `--cgroups_root`.
    pub fn root(&self) -> &str {
        &self.name
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let paths: Vec<PathBuf> = hierarchies().map(|root| root.join(&self.name)).collect();
        // The kernel may need a moment until the last process has left.
        let gone = wait_for(Duration::from_secs(10), || {
            let removed: Vec<bool> = paths.iter().map(|path| remove(path, true).is_ok()).collect();
            removed.iter().all(|removed| *removed).then_some(())
        });
        if gone.is_none() {
            eprintln!("the cgroups {} cannot be removed", self.name);
        }
    }
}

/// Removes the cgroups of processes that are gone.
fn sweep() {
    for root in hierarchies() {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = remove(&entry.path(), false);
            }
        }
    }
}

/// Where hierarchies may be mounted.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let below = fs::read_dir(&top).into_iter().flatten().flatten().map(|entry| entry.path());
    below.chain([top]).filter(|path| path.join("cgroup.procs").exists())
}

/// Removes a cgroup with all below it; `ends` what is in them first.
fn remove(path: &Path, ends: bool) -> io::Result<()> {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path(), ends)?;
        }
    }
    if ends {
        let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines().filter_map(|line| line.parse::<i32>().ok()) {
            // SAFETY: takes numbers only.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_is_in_them_ends_and_they_go() {
        let Some(root) = hierarchies().find(|path| fs::create_dir(path.join(format!("{PREFIX}probe"))).is_ok()) else {
            crate::skip("no cgroup can be made here");
            return;
        };
        fs::remove_dir(root.join(format!("{PREFIX}probe"))).unwrap();
        let guard = Cgroups::new("guard");
        let below = root.join(guard.root()).join("below");
        fs::create_dir_all(&below).unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(below.join("cgroup.procs"), child.id().to_string()).unwrap();
        // Reaped while the guard waits.
        let waiting = std::thread::spawn(move || child.wait());
        let path = root.join(guard.root());
        drop(guard);
        assert!(!path.exists());
        assert!(!waiting.join().unwrap().unwrap().success());
    }

    #[test]
    fn those_of_dead_processes_are_swept() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let name = format!("{PREFIX}{}-left", child.id());
        let made = |root: &PathBuf| fs::create_dir_all(root.join(&name).join("below")).is_ok();
        let made: Vec<PathBuf> = hierarchies().filter(made).collect();
        if made.is_empty() {
            crate::skip("no cgroup can be made here");
            return;
        }
        sweep();
        assert!(made.iter().all(|root| !root.join(&name).exists()));
    }
}
