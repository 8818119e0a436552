//! The directories of containers that ended: which are garbage since when, and their removal, on a thread of its own.
//! When a directory became garbage stands in its own time of change, so that nothing need be written and nothing is
//! forgotten: whatever lies below the work directory at the start of an agent and is in nobody's use is garbage.

mod removal;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, UNIX_EPOCH},
};

use observe::metrics::Snapshot;
use stdx::WallTime;
use tokio::sync::oneshot;

use removal::{Job, Remover};

/// How many requests may wait for the thread. What finds no place is garbage that the next start finds.
const JOBS_MAX: usize = 65_536;

/// Below so many free bytes garbage is removed before an agent starts, which needs some of them.
const ROOM_AT_START: u64 = 8 << 20;

#[derive(Clone)]
pub struct Sandboxes {
    work_dir: Arc<Path>,
    jobs: SyncSender<Job>,
    launching: Launching,
    counts: Arc<Counts>,
}

/// Containers whose directories are being made: those above them must stay.
#[derive(Clone, Default)]
struct Launching(Arc<Mutex<BTreeMap<PathBuf, usize>>>);

/// How many directories wait to be removed, and what became of the others since this process began.
#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Sandboxes {
    /// `in_use` names containers that live or are still spoken of. `age_max` says how old garbage may become while that
    /// share of the disk is in use. Takes its time.
    pub fn open(
        work_dir: &Path,
        in_use: &BTreeSet<String>,
        age_max: impl Fn(f64) -> Duration,
        now: WallTime,
    ) -> io::Result<Sandboxes> {
        let launching = Launching::default();
        let mut remover = Remover::new(work_dir, launching.clone());
        for (path, changed) in tree::all(work_dir) {
            // By name, for a work directory may have been moved.
            let name = path.file_name().map(|name| name.to_string_lossy());
            if name.is_some_and(|name| !in_use.contains(&*name)) {
                remover.retire(path, changed.min(now));
            }
        }
        let disk = || disk(work_dir).unwrap_or(Disk { all: u64::MAX, free: u64::MAX });
        while disk().free < ROOM_AT_START && remover.remove_oldest(before(now, age_max(disk().used_share()))) {}
        let counts = Arc::clone(&remover.counts);
        let (jobs, queue) = sync_channel(JOBS_MAX);
        std::thread::Builder::new().name("sandboxes".into()).spawn(move || remover.run(&queue))?;
        Ok(Sandboxes { work_dir: work_dir.into(), jobs, launching, counts })
    }

    /// Notes that `path` is garbage since `at`.
    pub fn retire(&self, path: String, at: WallTime) {
        self.ask(Job::Retire { path: path.into(), at });
    }

    /// Removes every sandbox that retired until `until`.
    pub fn prune(&self, until: WallTime) {
        self.ask(Job::Prune { until });
    }

    /// Removes one directory now.
    pub async fn remove(&self, path: String) {
        let (done, told) = oneshot::channel();
        self.ask(Job::Remove { path: path.into(), done });
        // Whoever asked goes on whatever came of it; a directory that stays is garbage.
        let _ = told.await;
    }

    /// The directories above `path` stay until what is returned is dropped.
    pub fn launching(&self, path: &str) -> Launch {
        let path = PathBuf::from(path);
        *self.launching.lock().entry(path.clone()).or_default() += 1;
        Launch { path, all: self.launching.clone() }
    }

    pub fn add_metrics(&self, snapshot: &mut Snapshot) {
        let Counts { pending, succeeded, failed } = &*self.counts;
        snapshot.put("gc/path_removals_pending", pending.load(Ordering::Relaxed) as f64);
        snapshot.put_counter("gc/path_removals_succeeded", succeeded.load(Ordering::Relaxed) as f64);
        snapshot.put_counter("gc/path_removals_failed", failed.load(Ordering::Relaxed) as f64);
    }

    /// Which share of the work directory's disk is in use, 0 to 1.
    pub fn used_share(&self) -> io::Result<f64> {
        disk(&self.work_dir).map(|disk| disk.used_share())
    }

    fn ask(&self, job: Job) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                tracing::warn!(?job, "sandboxes wait too long to be removed; the agent's next start finds this one");
            }
        }
    }
}

/// A container that is being launched.
pub struct Launch {
    path: PathBuf,
    all: Launching,
}

impl Drop for Launch {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.path);
            }
        }
    }
}

impl Launching {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Disk {
    all: u64,
    free: u64,
}

impl Disk {
    fn used_share(&self) -> f64 {
        if self.all > 0 { 1.0 - self.free as f64 / self.all as f64 } else { 0.0 }
    }
}

fn disk(path: &Path) -> io::Result<Disk> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Ok(Disk { all: bytes(disk.blocks()), free: bytes(disk.blocks_available()) })
}

fn before(now: WallTime, age: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)))
}

/// Notes in the directory itself since when it is garbage.
fn set_time(directory: &Path, at: WallTime) -> io::Result<()> {
    let since = Duration::from_nanos(u64::try_from(at.0).unwrap_or(0));
    File::from(kernel::files::open_directory(directory)?).set_modified(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A work directory with sandboxes of some executors, each with a file.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Home {
            Home(tempfile::tempdir().expect("a directory"))
        }

        fn sandbox(&self, framework: &str, executor: &str, run: &str) -> String {
            let runs = self.0.path().join(format!("slaves/S1/frameworks/{framework}/executors/{executor}/runs"));
            fs::create_dir_all(runs.join(run).join("deep")).expect("mkdir");
            fs::write(runs.join(run).join("deep/file"), "x").expect("write");
            let _ = fs::remove_file(runs.join("latest"));
            std::os::unix::fs::symlink(runs.join(run), runs.join("latest")).expect("link");
            runs.join(run).to_string_lossy().into_owned()
        }

        fn open(&self, in_use: &[&str]) -> Sandboxes {
            let in_use = in_use.iter().filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect();
            Sandboxes::open(self.0.path(), &in_use, |_| Duration::ZERO, WallTime(i64::MAX)).expect("open")
        }

        /// What is below `frameworks`, by name.
        fn left(&self) -> Vec<String> {
            fn walk(directory: &Path, names: &mut Vec<String>) {
                for entry in fs::read_dir(directory).expect("readable").flatten() {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                    if entry.file_type().expect("a type").is_dir() {
                        walk(&entry.path(), names);
                    }
                }
            }
            let mut names = Vec::new();
            walk(&self.0.path().join("slaves/S1/frameworks"), &mut names);
            names.sort();
            names
        }
    }

    fn figures(sandboxes: &Sandboxes) -> Vec<f64> {
        let mut shown = Snapshot::default();
        sandboxes.add_metrics(&mut shown);
        shown.flat().into_values().collect()
    }

    /// What is asked for is done in order, so this waits for all that was asked before.
    async fn settle(sandboxes: &Sandboxes) {
        sandboxes.remove("/nowhere".into()).await;
    }

    #[tokio::test]
    async fn of_what_was_removed_nothing_is_left() {
        let home = Home::new();
        let (early, late, other) =
            (home.sandbox("f", "e", "1"), home.sandbox("f", "e", "2"), home.sandbox("f", "x", "3"));
        let sandboxes = home.open(&[&early, &late, &other]);
        sandboxes.retire(early.clone(), WallTime(10));
        sandboxes.retire(late.clone(), WallTime(20));
        sandboxes.retire(other, WallTime(5));
        sandboxes.prune(WallTime(15));
        settle(&sandboxes).await;
        assert_eq!(home.left(), ["2", "deep", "e", "executors", "f", "file", "latest", "runs"]);
        assert_eq!(figures(&sandboxes), [1.0, 1.0, 2.0], "failed, pending, succeeded");
        sandboxes.prune(WallTime(20));
        settle(&sandboxes).await;
        assert_eq!(home.left(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_former_agents_garbage_is_found_with_its_age() {
        let home = Home::new();
        let (kept, early, late) =
            (home.sandbox("f", "e", "1"), home.sandbox("f", "e", "2"), home.sandbox("g", "e", "3"));
        {
            let sandboxes = home.open(&[&kept, &early, &late]);
            sandboxes.retire(early.clone(), WallTime(10));
            sandboxes.retire(late.clone(), WallTime(20));
            settle(&sandboxes).await;
        }
        let sandboxes = home.open(&[&kept]);
        sandboxes.prune(WallTime(15));
        settle(&sandboxes).await;
        let there = |path: &str| fs::exists(path).expect("known");
        assert!(there(&kept) && !there(&early) && there(&late));
    }

    #[tokio::test]
    async fn a_removal_that_fails_is_tried_again() {
        let home = Home::new();
        let sandbox = home.sandbox("f", "e", "1");
        let sandboxes = home.open(&[&sandbox]);
        // While it is somewhere else, nothing of that name can be removed.
        let framework = home.0.path().join("slaves/S1/frameworks/f");
        fs::rename(&framework, home.0.path().join("away")).expect("rename");
        fs::write(&framework, "in the way").expect("write");
        sandboxes.retire(sandbox, WallTime(1));
        sandboxes.prune(WallTime(1));
        settle(&sandboxes).await;
        assert_eq!(figures(&sandboxes), [2.0, 1.0, 0.0], "failed, pending, succeeded");
        fs::remove_file(&framework).expect("remove");
        fs::rename(home.0.path().join("away"), &framework).expect("rename");
        sandboxes.prune(WallTime(1));
        settle(&sandboxes).await;
        assert_eq!(home.left(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn directories_above_a_launch_stay() {
        let home = Home::new();
        let sandbox = home.sandbox("f", "e", "1");
        let sandboxes = home.open(&[&sandbox]);
        let launch = sandboxes.launching(&sandbox.replace("/1", "/2"));
        sandboxes.remove(sandbox.clone()).await;
        assert_eq!(home.left(), ["e", "executors", "f", "runs"]);
        drop(launch);
        sandboxes.remove(sandbox).await;
        assert_eq!(home.left(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn links_in_a_sandbox_lead_the_removal_nowhere() {
        let home = Home::new();
        let (own, others) = (home.sandbox("f", "e", "1"), home.sandbox("g", "e", "2"));
        fs::create_dir_all(format!("{others}/containers/n")).expect("mkdir");
        std::os::unix::fs::symlink(format!("{others}/containers"), format!("{own}/containers")).expect("link");
        let sandboxes = home.open(&[&own, &others]);
        sandboxes.remove(format!("{own}/containers/n")).await;
        sandboxes.remove(format!("{own}/../../../../../g/executors/e/runs/2")).await;
        sandboxes.remove(home.0.path().join("slaves/S1").to_string_lossy().into_owned()).await;
        assert!(fs::exists(format!("{others}/containers/n")).expect("known"));
        sandboxes.remove(format!("{others}/containers/n")).await;
        assert!(!fs::exists(format!("{others}/containers/n")).expect("known"));
        assert!(fs::exists(&others).expect("known"));
    }

    #[test]
    fn an_agent_makes_room_before_it_starts() {
        let home = Home::new();
        let (kept, garbage) = (home.sandbox("f", "e", "1"), home.sandbox("f", "e", "2"));
        let mut remover = Remover::new(home.0.path(), Launching::default());
        remover.retire(garbage.clone().into(), WallTime(10));
        assert!(!remover.remove_oldest(WallTime(9)), "it is not old enough");
        assert!(remover.remove_oldest(WallTime(10)));
        assert!(!remover.remove_oldest(WallTime(10)), "there is no more");
        assert!(fs::exists(kept).expect("known") && !fs::exists(garbage).expect("known"));
    }
}
