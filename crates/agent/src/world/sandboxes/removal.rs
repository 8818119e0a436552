//! The thread that removes sandboxes: the work on large ones is shared out, so that none holds up the others, and what
//! fails is tried again when the disk is looked at the next time.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
};

use kernel::{
    How, credentials,
    remove::{Removal, empty_directory, remove_tree},
};
use stdx::WallTime;
use tokio::sync::oneshot;

use super::{Counts, Launching, set_time, tree};

/// How many entries of one tree are removed before it is another's turn.
const TURN: u64 = 10_000;

#[derive(Debug)]
pub enum Job {
    Retire {
        path: PathBuf,
        at: WallTime,
    },
    Prune {
        until: WallTime,
    },
    /// `done` hears when nothing more will be removed.
    Remove {
        path: PathBuf,
        done: oneshot::Sender<()>,
    },
}

pub struct Remover {
    work_dir: PathBuf,
    launching: Launching,
    pub counts: Arc<Counts>,
    /// What may be removed once it is old enough, and how often that has failed.
    garbage: BTreeMap<(WallTime, PathBuf), u32>,
    /// What is being removed.
    due: VecDeque<Due>,
}

struct Due {
    path: PathBuf,
    /// When it retired, for another try, and how many there were.
    retired: Option<(WallTime, u32)>,
    done: Option<oneshot::Sender<()>>,
}

impl Remover {
    pub fn new(work_dir: &Path, launching: Launching) -> Remover {
        Remover {
            work_dir: work_dir.to_owned(),
            launching,
            counts: Arc::default(),
            garbage: BTreeMap::new(),
            due: VecDeque::new(),
        }
    }

    /// Takes in what was found.
    pub fn retire(&mut self, path: PathBuf, at: WallTime) {
        self.garbage.insert((at, path), 0);
        self.count_pending();
    }

    /// Removes the oldest garbage that retired until then and has not been tried yet; false if there is none.
    pub fn remove_oldest(&mut self, until: WallTime) -> bool {
        let mut old = self.garbage.iter().take_while(|((at, _), _)| *at <= until);
        let Some(((at, path), _)) = old.find(|(_, failures)| **failures == 0) else { return false };
        let (at, path) = (*at, path.clone());
        self.garbage.remove(&(at, path.clone()));
        self.due.push_back(Due { path, retired: Some((at, 0)), done: None });
        while let Some(due) = self.due.pop_front() {
            self.work_on(due);
        }
        true
    }

    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let job =
                if self.due.is_empty() { jobs.recv().map_err(|_| TryRecvError::Disconnected) } else { jobs.try_recv() };
            match job {
                Ok(job) => self.take(job),
                Err(TryRecvError::Empty) => {
                    if let Some(due) = self.due.pop_front() {
                        self.work_on(due);
                    }
                }
                Err(TryRecvError::Disconnected) => return,
            }
            self.count_pending();
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Retire { path, at } => {
                if let Err(error) = set_time(&path, at) {
                    tracing::debug!(path = %path.display(), %error, "cannot note when a sandbox became garbage");
                }
                self.garbage.insert((at, path), 0);
            }
            Job::Prune { until } => {
                while let Some(oldest) = self.garbage.first_entry().filter(|entry| entry.key().0 <= until) {
                    let ((at, path), failures) = oldest.remove_entry();
                    self.due.push_back(Due { path, retired: Some((at, failures)), done: None });
                }
            }
            Job::Remove { path, done } => self.due.push_back(Due { path, retired: None, done: Some(done) }),
        }
    }

    fn work_on(&mut self, due: Due) {
        let failures = due.retired.map_or(0, |(_, failures)| failures);
        match self.remove(&due.path) {
            Ok(Removal::Unfinished) => return self.due.push_back(due),
            Ok(Removal::Done) => {
                tree::remove_husks(&due.path, &self.launching);
                self.counts.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => {
                if failures == 0 {
                    tracing::warn!(path = %due.path.display(), why, "cannot remove a sandbox now");
                }
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                if let Some((at, failures)) = due.retired {
                    self.garbage.insert((at, due.path), failures.saturating_add(1));
                }
            }
        }
        self.count_pending();
        if let Some(done) = due.done {
            // Nobody need wait for it.
            let _ = done.send(());
        }
    }

    fn remove(&self, path: &Path) -> Result<Removal, String> {
        let name = path.file_name().map(Path::new).unwrap_or(Path::new(""));
        match tree::open_parent(&self.work_dir, path) {
            Ok(parent) => {
                let mut turn = TURN;
                if empty_as_owner(&parent, name, &mut turn) == Some(Removal::Unfinished) {
                    return Ok(Removal::Unfinished);
                }
                remove_tree(&parent, name, &mut turn).map_err(|error| error.to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Removal::Done),
            Err(error) => Err(error.to_string()),
        }
    }

    fn count_pending(&self) {
        self.counts.pending.store((self.garbage.len() + self.due.len()) as u64, Ordering::Relaxed);
    }
}

/// Removes what is in a directory with no more rights than its owner's. What is left then takes more.
fn empty_as_owner(parent: &OwnedFd, name: &Path, turn: &mut u64) -> Option<Removal> {
    let directory = kernel::open_beneath(parent, name, How::DIRECTORY.no_links()).ok()?;
    let owner = kernel::status(&directory).ok()?;
    if owner.st_uid == 0 || !credentials::is_root() {
        return None;
    }
    let (uid, gid) = (owner.st_uid, owner.st_gid);
    credentials::with_rights_of(uid, gid, &[gid], || empty_directory(&directory, turn)).ok()?.ok()
}
