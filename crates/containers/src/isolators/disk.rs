//! Disk: adds up what a root container's sandbox takes, those of its nested containers included, now and then, and ends
//! the container if that is more than it was given and the agent's settings say so. Needs no privilege but to read the
//! sandbox: an agent that is not root does not see what a task has locked.
//!
//! One thread measures for all containers. Several are measured by turns, so that one with a million files keeps no
//! other waiting, and most of the time the thread rests.

use super::no_wish;
use crate::{
    ContainerId, Limitation, LimitationReason, Limits, Usage,
    isolator::{Isolator, Kind, Subject, Watch},
    mutex::lock,
};
use kernel::{TreeUse, files, tree_use::Progress};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use stdx::units::print_bytes;
use tokio::sync::watch;

pub const KIND: Kind = Kind {
    name: "disk/du",
    wanted: |isolation| isolation.disk,
    limit: |limits| Some(format!("at most {} of disk", print_bytes(limits.disk?))),
    wish: no_wish,
    make: |config, _| Ok(Box::new(Disk::start(config.disk_interval, config.enforce_disk)?)),
};

/// So many sandboxes are measured by turns; the others wait.
const AT_A_TIME: usize = 8;
/// How many entries are looked at in a turn.
const TURN: u64 = 2000;
/// How much longer than a turn the thread rests after it.
const REST: u32 = 7;
const REST_MIN: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    enforce: bool,
    interval: Duration,
    watched: Mutex<Watched>,
    closing: Condvar,
}

#[derive(Debug, Default)]
struct Watched {
    sandboxes: BTreeMap<ContainerId, Sandbox>,
    closed: bool,
}

/// The sandbox of one container.
#[derive(Debug)]
struct Sandbox {
    path: PathBuf,
    limit: Option<u64>,
    used: Option<u64>,
    /// When it is to be measured next; `None` while it is.
    due: Option<Instant>,
    broken: watch::Sender<Option<Limitation>>,
}

impl Disk {
    fn start(interval: Duration, enforce: bool) -> Result<Disk, String> {
        let (watched, closing) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { enforce, interval, watched, closing });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("disk".to_owned())
            .stack_size(128 << 10)
            .spawn(move || of_thread.run())
            .map_err(|error| format!("cannot start the thread that measures disk: {error}"))?;
        Ok(Disk { shared })
    }

    fn enter(&self, container: Subject<'_>, limits: &Limits) {
        if container.id.is_nested() {
            return;
        }
        let sandbox = Sandbox {
            path: container.sandbox.to_owned(),
            limit: limits.disk,
            used: None,
            due: Some(Instant::now() + self.shared.interval),
            broken: watch::Sender::new(None),
        };
        // The thread looks around at least once in an interval, so it need not be woken.
        lock(&self.shared.watched).sandboxes.insert(container.id.clone(), sandbox);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&self.shared.watched).closed = true;
        self.shared.closing.notify_all();
    }
}

impl Isolator for Disk {
    fn enforces(&self) -> Result<(), String> {
        match self.shared.enforce {
            true => Ok(()),
            false => Err("it is measured only: --enforce_container_disk_quota is not set".to_owned()),
        }
    }

    fn isolate(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.enter(container, limits);
        Ok(())
    }

    fn recover(&self, container: Subject<'_>, limits: &Limits) {
        self.enter(container, limits);
    }

    fn watch<'a>(&'a self, container: Subject<'a>) -> Option<Watch<'a>> {
        let watched = lock(&self.shared.watched);
        let mut broken = watched.sandboxes.get(container.id).filter(|_| self.shared.enforce)?.broken.subscribe();
        Some(Box::pin(async move {
            let found = broken.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
            match found {
                Some(limitation) => limitation,
                // Nobody measures it any more.
                None => std::future::pending().await,
            }
        }))
    }

    fn find_limitation(&self, container: Subject<'_>) -> Option<Limitation> {
        lock(&self.shared.watched).sandboxes.get(container.id)?.broken.borrow().clone()
    }

    fn update(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        if let Some(sandbox) = lock(&self.shared.watched).sandboxes.get_mut(container.id) {
            sandbox.limit = limits.disk;
            sandbox.used = sandbox.used.filter(|_| limits.disk.is_some());
        }
        Ok(())
    }

    fn usage(&self, container: Subject<'_>, usage: &mut Usage) {
        if let Some(sandbox) = lock(&self.shared.watched).sandboxes.get(container.id) {
            (usage.disk_limit_bytes, usage.disk_used_bytes) = (sandbox.limit, sandbox.used);
        }
    }

    fn cleanup(&self, container: &ContainerId) {
        lock(&self.shared.watched).sandboxes.remove(container);
    }
}

impl Shared {
    fn run(&self) {
        let mut measured: VecDeque<(ContainerId, TreeUse)> = VecDeque::new();
        while self.take_up(&mut measured) {
            let Some((id, mut tree)) = measured.pop_front() else { continue };
            let began = Instant::now();
            match tree.go(TURN) {
                Ok(Progress::Unfinished) if lock(&self.watched).sandboxes.contains_key(&id) => {
                    measured.push_back((id, tree));
                }
                Ok(_) => self.note(&id, tree.bytes()),
                Err(error) => {
                    tracing::debug!(container = %id, "its disk was not measured to the end: {error}");
                    self.note(&id, tree.bytes());
                }
            }
            thread::sleep((began.elapsed() * REST).max(REST_MIN));
        }
    }

    /// Waits until there is something to measure, and begins with what is due. Answers whether to go on.
    fn take_up(&self, measured: &mut VecDeque<(ContainerId, TreeUse)>) -> bool {
        let mut watched = lock(&self.watched);
        loop {
            if watched.closed {
                return false;
            }
            let now = Instant::now();
            let limited = watched.sandboxes.iter_mut().filter(|(_, sandbox)| sandbox.limit.is_some());
            let mut next: Option<Instant> = None;
            for (id, sandbox) in limited {
                let Some(due) = sandbox.due else { continue };
                if due > now || measured.len() >= AT_A_TIME {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    continue;
                }
                match begin(&sandbox.path, sandbox.limit.filter(|_| self.enforce)) {
                    Ok(tree) => {
                        sandbox.due = None;
                        measured.push_back((id.clone(), tree));
                    }
                    // It may not be there yet.
                    Err(_) => sandbox.due = Some(now + self.interval),
                }
            }
            if !measured.is_empty() {
                return true;
            }
            let wait = next.map_or(self.interval, |next| next.saturating_duration_since(now).min(self.interval));
            let waited = self.closing.wait_timeout(watched, wait.max(REST_MIN));
            watched = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note(&self, id: &ContainerId, bytes: u64) {
        let mut watched = lock(&self.watched);
        let Some(sandbox) = watched.sandboxes.get_mut(id) else { return };
        sandbox.due = Some(Instant::now() + self.interval);
        let Some(limit) = sandbox.limit else { return };
        sandbox.used = Some(bytes);
        if self.enforce && bytes > limit {
            let message = format!("Disk usage ({}) exceeds quota ({})", print_bytes(bytes), print_bytes(limit));
            let limitation = Limitation { reason: LimitationReason::Disk, message, bytes: Some(limit) };
            sandbox.broken.send_replace(Some(limitation));
        }
    }
}

fn begin(sandbox: &Path, limit: Option<u64>) -> io::Result<TreeUse> {
    TreeUse::of(files::open_directory(sandbox)?, limit.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CgroupUse;

    fn subject<'a>(id: &'a ContainerId, sandbox: &'a Path) -> Subject<'a> {
        Subject { id, sandbox, cgroups: CgroupUse::None, limited_by: None }
    }

    fn fill(path: &Path, bytes: usize) {
        std::fs::write(path.join("some"), vec![1; bytes]).unwrap();
    }

    #[test]
    fn amounts_are_told_as_mesos_tells_them() {
        let told = [0, 1, 1024, 1536, 100 << 20, 3 << 30, (1 << 30) + 1024].map(print_bytes);
        assert_eq!(told, ["0B", "1B", "1KB", "1536B", "100MB", "3GB", "1048577KB"]);
    }

    #[tokio::test]
    async fn who_takes_more_than_it_was_given_is_told_of() {
        let home = tempfile::tempdir().unwrap();
        let disk = Disk::start(Duration::from_millis(10), true).unwrap();
        let (id, limits) = (ContainerId::root("c").unwrap(), Limits { disk: Some(1 << 20), ..Limits::default() });
        let container = subject(&id, home.path());
        disk.isolate(container, &limits).unwrap();
        fill(home.path(), 3 << 20);
        let limitation = disk.watch(container).unwrap().await;
        assert_eq!((limitation.reason, limitation.bytes), (LimitationReason::Disk, Some(1 << 20)));
        assert!(
            limitation.message.starts_with("Disk usage (") && limitation.message.ends_with(") exceeds quota (1MB)")
        );
        assert_eq!(disk.find_limitation(container), Some(limitation));
        let mut usage = Usage::default();
        disk.usage(container, &mut usage);
        assert!(usage.disk_limit_bytes == Some(1 << 20) && usage.disk_used_bytes > usage.disk_limit_bytes);
        disk.cleanup(&id);
        assert_eq!((disk.find_limitation(container), disk.watch(container).is_none()), (None, true));
    }

    #[tokio::test]
    async fn a_nested_container_counts_with_its_root_and_nobody_is_ended_unless_that_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let disk = Disk::start(Duration::from_millis(10), false).unwrap();
        let id = ContainerId::root("c").unwrap();
        let nested = id.child("n").unwrap();
        let inside = home.path().join("containers/n");
        std::fs::create_dir_all(&inside).unwrap();
        fill(&inside, 3 << 20);
        let limits = Limits { disk: Some(1 << 20), ..Limits::default() };
        disk.isolate(subject(&id, home.path()), &limits).unwrap();
        disk.isolate(subject(&nested, &inside), &limits).unwrap();
        let mut usage = Usage::default();
        while usage.disk_used_bytes.is_none() {
            thread::sleep(Duration::from_millis(1));
            disk.usage(subject(&id, home.path()), &mut usage);
        }
        assert!(usage.disk_used_bytes > Some(3 << 20), "{usage:?}");
        assert_eq!(disk.find_limitation(subject(&id, home.path())), None);
        assert!(disk.watch(subject(&id, home.path())).is_none() && disk.enforces().is_err());
        let mut usage = Usage::default();
        disk.usage(subject(&nested, &inside), &mut usage);
        assert_eq!(usage, Usage::default());
    }
}
