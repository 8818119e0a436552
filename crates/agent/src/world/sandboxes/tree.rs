//! Where sandboxes lie below the work directory, and what is left above them when they are gone.

use std::{
    fs, io,
    os::{fd::AsRawFd, fd::OwnedFd, unix::fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use kernel::files;
use stdx::WallTime;

use super::Launching;

/// `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs`: from here on down a path is in a task's hands.
const ABOVE_RUNS: usize = 7;
/// `containers`, for those of no executor.
const ABOVE_STANDALONE: usize = 1;

/// Every sandbox of an executor or standalone container, and when it was last changed.
pub fn all(work_dir: &Path) -> Vec<(PathBuf, WallTime)> {
    let mut found = Vec::new();
    for agent in directories(&work_dir.join("slaves")) {
        for framework in directories(&agent.join("frameworks")) {
            for executor in directories(&framework.join("executors")) {
                found.extend(directories(&executor.join("runs")));
            }
        }
    }
    found.extend(directories(&work_dir.join("containers")));
    let changed = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).ok()?;
        let nanos = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Some((path, WallTime(nanos)))
    };
    found.into_iter().filter_map(changed).collect()
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Holds the directory that `path` lies in. No link is followed where a task could have put one, and nothing but
/// sandboxes and what is in them is opened.
pub fn open_parent(work_dir: &Path, path: &Path) -> io::Result<OwnedFd> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "this is no sandbox below the work directory");
    let below = path.strip_prefix(work_dir).map_err(|_| wrong())?;
    let names: Vec<&Path> = below.components().map_while(name_of).collect();
    let above = match names.first().and_then(|first| first.to_str()) {
        Some("slaves") => ABOVE_RUNS,
        Some("containers") => ABOVE_STANDALONE,
        _ => return Err(wrong()),
    };
    if names.len() <= above || names.len() != below.components().count() {
        return Err(wrong());
    }
    let (trusted, others) = names.split_at(above);
    let mut at = files::open_directory(&trusted.iter().fold(work_dir.to_owned(), |path, name| path.join(name)))?;
    for name in others.iter().take(others.len() - 1) {
        at = files::open_directory_at(at.as_raw_fd(), name)?;
    }
    Ok(at)
}

fn name_of(component: Component<'_>) -> Option<&Path> {
    match component {
        Component::Normal(name) => Some(Path::new(name)),
        _ => None,
    }
}

/// A run is gone: so is the link to it, and whatever above it is empty now, up to its framework.
pub fn remove_husks(run: &Path, launching: &Launching) {
    let Some(runs) = run.parent().filter(|runs| runs.ends_with("runs")) else { return };
    let latest = runs.join("latest");
    // Whoever launches here waits until this is over, or is seen.
    let launching = launching.lock();
    if fs::read_link(&latest).is_ok_and(|target| target == run) {
        // One that stays leads nowhere.
        let _ = fs::remove_file(&latest);
    }
    for directory in run.ancestors().skip(1).take(4) {
        if launching.keys().any(|path| path.starts_with(directory)) || fs::remove_dir(directory).is_err() {
            return;
        }
    }
}
