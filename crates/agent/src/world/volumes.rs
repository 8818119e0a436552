//! The directories of persistent volumes: made and removed away from the thread that decides, in order for each of
//! them. A launch waits for what was to be done to its volumes before.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::remove::{Removal, remove_tree};
use tokio::sync::watch;

/// How many entries are removed at a time.
const TURN: u64 = 100_000;

#[derive(Clone, Default)]
pub struct Volumes {
    /// By path: tells when the last work on it is done.
    last: Arc<Mutex<HashMap<String, Work>>>,
}

type Work = watch::Receiver<bool>;

impl Volumes {
    /// Makes the directory. Where it cannot be made, the launch that needs it fails.
    pub fn make(&self, path: String) {
        self.work(path, |path| {
            if let Err(error) = std::fs::create_dir_all(path) {
                tracing::error!(path, %error, "cannot make the directory of a persistent volume");
            }
        });
    }

    pub fn remove(&self, path: String, keep_directory: bool) {
        self.work(path, move |path| match remove(Path::new(path), keep_directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(path, %error, "cannot remove a persistent volume");
            }
            _ => {}
        });
    }

    /// Waits until what was asked for these volumes so far is done.
    pub fn settled(&self, paths: &[&str]) -> impl Future<Output = ()> + Send + use<> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let work: Vec<Work> = paths.iter().filter_map(|path| last.get(*path).cloned()).collect();
        async move {
            for work in work {
                finished(work).await;
            }
        }
    }

    fn work(&self, path: String, what: impl FnOnce(&str) + Send + 'static) {
        let (done, work) = watch::channel(false);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.insert(path.clone(), work.clone());
        let all = Arc::clone(&self.last);
        tokio::spawn(async move {
            if let Some(before) = before {
                finished(before).await;
            }
            let name = path.clone();
            // Work that panics has done what it could.
            let _ = tokio::task::spawn_blocking(move || what(&name)).await;
            let _ = done.send(true);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            if all.get(&path).is_some_and(|last| last.same_channel(&work)) {
                all.remove(&path);
            }
        });
    }
}

async fn finished(mut work: Work) {
    // Nobody is left to finish it: there is nothing to wait for.
    let _ = work.wait_for(|done| *done).await;
}

/// All that tasks have left in it, however deep; the directory itself stays if it is a disk's mount point.
fn remove(path: &Path, keep_directory: bool) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no volume's path"));
    };
    if !keep_directory {
        return remove_whole(&std::fs::File::open(parent)?.into(), Path::new(name));
    }
    let directory = std::fs::File::open(path)?.into();
    std::fs::read_dir(path)?.try_for_each(|entry| remove_whole(&directory, Path::new(&entry?.file_name())))
}

fn remove_whole(directory: &std::os::fd::OwnedFd, name: &Path) -> io::Result<()> {
    while remove_tree(directory, name, &mut TURN.clone()).map_err(io::Error::other)? == Removal::Unfinished {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_on_one_volume_is_done_in_order() {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| home.path().join("roles").join(name).to_string_lossy().into_owned();
        let volumes = Volumes::default();
        for _ in 0..20 {
            volumes.make(path("a"));
            volumes.settled(&[&path("a")]).await;
            std::fs::create_dir_all(path("a/deep/er")).expect("mkdir");
            volumes.remove(path("a"), false);
            volumes.make(path("a"));
            volumes.remove(path("b"), false);
            volumes.settled(&[&path("a"), &path("b")]).await;
            assert_eq!(std::fs::read_dir(path("a")).expect("there").count(), 0);
        }
        std::fs::create_dir_all(path("a/deep/er")).expect("mkdir");
        volumes.remove(path("a"), true);
        volumes.settled(&[&path("a")]).await;
        assert_eq!(std::fs::read_dir(path("a")).expect("there").count(), 0);
        assert!(volumes.last.lock().expect("whole").len() <= 1);
    }
}
