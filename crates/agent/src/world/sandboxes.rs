//! The directories of containers that ended: which are garbage since when, and their removal. The list is a small file
//! of lines `<nanoseconds> <path>`, appended to as sandboxes retire and written anew when some are removed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use observe::metrics::Snapshot;
use stdx::WallTime;

#[derive(Clone)]
pub struct Sandboxes {
    work_dir: Arc<Path>,
    /// One change of the list at a time.
    list: Arc<Mutex<PathBuf>>,
    removals: Arc<Removals>,
}

/// How many directories wait to be removed, and what became of the others since this process began.
#[derive(Default)]
struct Removals {
    pending: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Sandboxes {
    pub fn new(work_dir: &Path) -> Sandboxes {
        let list = work_dir.join("meta/retired");
        let pending = fs::read_to_string(&list).map_or(0, |text| text.lines().filter_map(retired).count() as u64);
        let removals = Removals { pending: pending.into(), ..Removals::default() };
        Sandboxes { work_dir: work_dir.into(), list: Arc::new(Mutex::new(list)), removals: Arc::new(removals) }
    }

    /// Notes that `path` is garbage since `at`. A list that cannot be written costs disk, not correctness.
    pub fn retire(&self, path: &str, at: WallTime) {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let append = || writeln!(OpenOptions::new().create(true).append(true).open(&*list)?, "{} {path}", at.0);
        match append() {
            Ok(()) => drop(self.removals.pending.fetch_add(1, Ordering::Relaxed)),
            Err(error) => tracing::warn!(path, %error, "cannot note a sandbox for its later removal"),
        }
    }

    /// Removes every sandbox that retired until `until`.
    pub fn prune(&self, until: WallTime) {
        let due = |line: &str| retired(line).filter(|(at, _)| *at <= until).map(|(_, path)| path.to_owned());
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let text = fs::read_to_string(&*list).unwrap_or_default();
        let garbage: Vec<String> = text.lines().filter_map(due).collect();
        if garbage.is_empty() {
            return;
        }
        let kept: String = text.lines().filter(|line| due(line).is_none()).map(|line| format!("{line}\n")).collect();
        garbage.iter().for_each(|path| self.remove_tree(Path::new(path)));
        self.removals.pending.fetch_sub(garbage.len() as u64, Ordering::Relaxed);
        if let Err(error) = replace(&list, &kept) {
            tracing::warn!(%error, "cannot shorten the list of retired sandboxes");
        }
    }

    pub fn add_metrics(&self, snapshot: &mut Snapshot) {
        let Removals { pending, succeeded, failed } = &*self.removals;
        snapshot.put("gc/path_removals_pending", pending.load(Ordering::Relaxed) as f64);
        snapshot.put_counter("gc/path_removals_succeeded", succeeded.load(Ordering::Relaxed) as f64);
        snapshot.put_counter("gc/path_removals_failed", failed.load(Ordering::Relaxed) as f64);
    }

    /// Removes one directory now.
    pub async fn remove(&self, path: String) {
        let sandboxes = self.clone();
        // A removal that panics has removed what it could.
        let _ = tokio::task::spawn_blocking(move || sandboxes.remove_tree(Path::new(&path))).await;
    }

    /// Which share of the work directory's disk is in use, 0 to 1.
    pub fn used_share(&self) -> io::Result<f64> {
        let disk = nix::sys::statvfs::statvfs(&*self.work_dir)?;
        let (all, free) = (disk.blocks() as f64, disk.blocks_available() as f64);
        Ok(if all > 0.0 { 1.0 - free / all } else { 0.0 })
    }

    /// Only below the work directory, whatever the list says.
    fn remove_tree(&self, path: &Path) {
        if !path.starts_with(&*self.work_dir) || path.components().any(|c| c.as_os_str() == "..") {
            tracing::warn!(path = %path.display(), "not removed: it is not below the work directory");
            self.removals.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a sandbox");
                self.removals.failed.fetch_add(1, Ordering::Relaxed);
            }
            _ => drop(self.removals.succeeded.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn retired(line: &str) -> Option<(WallTime, &str)> {
    let (at, path) = line.split_once(' ')?;
    Some((WallTime(at.parse().ok()?), path))
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    File::create(&new)?.write_all(content.as_bytes())?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_removed_and_the_rest_is_remembered() {
        let home = tempfile::tempdir().expect("a directory");
        let make = |name: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.join("deep")).expect("mkdir");
            path.to_string_lossy().into_owned()
        };
        let (meta, early, late) = (make("meta"), make("early"), make("late"));
        let outside = tempfile::tempdir().expect("a directory");
        let sandboxes = Sandboxes::new(home.path());
        sandboxes.retire(&early, WallTime(10));
        sandboxes.retire(&late, WallTime(20));
        sandboxes.retire(&outside.path().to_string_lossy(), WallTime(1));
        let later = Sandboxes::new(home.path());
        later.prune(WallTime(15));
        assert!(!fs::exists(&early).unwrap() && fs::exists(&late).unwrap() && fs::exists(outside.path()).unwrap());
        let list = fs::read_to_string(format!("{meta}/retired")).unwrap();
        assert_eq!(list, format!("20 {late}\n"));
        let mut shown = Snapshot::default();
        later.add_metrics(&mut shown);
        assert_eq!(shown.flat().into_values().collect::<Vec<_>>(), [1.0, 1.0, 1.0], "failed, pending, succeeded");
    }
}
