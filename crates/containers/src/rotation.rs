//! Keeps what running containers print short: a `stdout` that has grown too large is cut at its front, and what is cut
//! off is kept for a while as `stdout.1`, `stdout.2` and so on. The file itself stays what it is, so that whoever
//! writes into it need not know, and no process stands between a container and its output.

use crate::{ContainerId, Rotation, State, engine::Engine};
use kernel::{How, beneath, credentials, files, open_beneath};
use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::{self, Read, Seek, SeekFrom},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// How long output that does not grow is not looked at.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const KEPT_MODE: u32 = 0o600;

/// Starts the thread that looks at all output; it ends soon after `engine` is gone.
pub fn start(engine: &Arc<Engine>) -> io::Result<()> {
    let outputs = [("stdout", engine.config.stdout), ("stderr", engine.config.stderr)];
    if outputs.iter().all(|(_, rotation)| rotation.is_none()) {
        return Ok(());
    }
    let engine = Arc::downgrade(engine);
    let watch = move || {
        let mut watched = HashMap::new();
        loop {
            // Held no longer than it takes to ask: whoever comes next waits for it to go.
            let Some(running) = engine.upgrade().map(|engine| running(&engine)) else { return };
            thread::sleep(look(&outputs, running, &mut watched));
        }
    };
    thread::Builder::new().name("rotate".to_owned()).stack_size(128 << 10).spawn(watch).map(drop)
}

/// Where a container's output lies: in a directory below one that no task can move.
struct Output {
    trusted: PathBuf,
    below: PathBuf,
}

fn running(engine: &Engine) -> Vec<(ContainerId, Output)> {
    let table = engine.table();
    // Nested containers follow their root in the table.
    let mut root: Option<(&ContainerId, &PathBuf)> = None;
    let mut running = Vec::new();
    for container in table.values() {
        if !container.id.is_nested() {
            root = Some((&container.id, &container.sandbox));
        }
        if *container.state.borrow() != State::Running {
            continue;
        }
        let above = root.filter(|(root, _)| container.id.is_below(root)).map(|(_, sandbox)| sandbox);
        let trusted = above.unwrap_or(&container.sandbox);
        if let Ok(below) = container.sandbox.strip_prefix(trusted) {
            let output = Output { trusted: trusted.clone(), below: below.to_owned() };
            running.push((container.id.clone(), output));
        }
    }
    running
}

#[derive(Clone, Copy)]
struct Watch {
    looked: Instant,
    due: Instant,
    sizes: [u64; 2],
    pause: Duration,
}

/// Looks at what is due; gives how long nothing is.
fn look(
    outputs: &[(&str, Option<Rotation>); 2],
    running: Vec<(ContainerId, Output)>,
    watched: &mut HashMap<ContainerId, Watch>,
) -> Duration {
    let mut known = std::mem::take(watched);
    let mut next = LONGEST_PAUSE;
    for (id, output) in running {
        let now = Instant::now();
        let before = known.remove(&id);
        let watch = match before.filter(|watch| watch.due > now) {
            Some(watch) => watch,
            None => {
                let sizes = sizes_after(&id, &output, outputs);
                let pause = before.map_or(SHORTEST_PAUSE, |before| pause(&before, now, outputs, sizes));
                Watch { looked: now, due: now + pause, sizes, pause }
            }
        };
        next = next.min(watch.due.saturating_duration_since(now));
        watched.insert(id, watch);
    }
    next.max(SHORTEST_PAUSE)
}

/// Half the time in which one of the files will be full if it goes on growing like this.
fn pause(before: &Watch, now: Instant, outputs: &[(&str, Option<Rotation>); 2], sizes: [u64; 2]) -> Duration {
    let elapsed = now.saturating_duration_since(before.looked).as_secs_f64();
    let mut pause = (before.pause * 2).min(LONGEST_PAUSE);
    for ((_, rotation), (now, then)) in outputs.iter().zip(sizes.into_iter().zip(before.sizes)) {
        let Some(rotation) = rotation else { continue };
        // One that has been cut has grown by at least as much as may be in it.
        let grown = if now < then { rotation.bytes_max } else { now - then };
        let rate = grown as f64 / elapsed.max(0.001);
        if rate > 0.0 {
            let full = rotation.bytes_max.saturating_sub(now) as f64 / rate;
            pause = pause.min(Duration::from_secs_f64((full / 2.0).min(LONGEST_PAUSE.as_secs_f64())));
        }
    }
    pause.max(SHORTEST_PAUSE)
}

/// Cuts what is too large; gives the sizes that were found.
fn sizes_after(id: &ContainerId, output: &Output, outputs: &[(&str, Option<Rotation>); 2]) -> [u64; 2] {
    let Ok(directory) = files::open_directory(&output.trusted)
        .and_then(|trusted| open_beneath(&trusted, &output.below, How::DIRECTORY.no_links()))
    else {
        return [0, 0];
    };
    outputs.map(|(name, rotation)| {
        let Some(rotation) = rotation else { return 0 };
        let Ok(size) = size_of(&directory, name) else { return 0 };
        if size > rotation.bytes_max
            && let Err(error) = rotate_as_owner(&directory, name, rotation)
        {
            tracing::warn!("Failed to rotate '{name}' of container '{id}': {error}");
        }
        size
    })
}

fn size_of(directory: &OwnedFd, name: &str) -> io::Result<u64> {
    let found = beneath::status(&open_beneath(directory, Path::new(name), How::LOOK.no_link())?)?;
    Ok(if found.st_mode & libc::S_IFMT == libc::S_IFREG { found.st_size as u64 } else { 0 })
}

/// What lies in a sandbox is its owner's: it is touched with the owner's rights only.
fn rotate_as_owner(directory: &OwnedFd, name: &str, rotation: Rotation) -> io::Result<()> {
    let owner = beneath::status(directory)?;
    if !credentials::is_root() || owner.st_uid == 0 {
        return rotate(directory, name, rotation);
    }
    let rotate = || rotate(directory, name, rotation);
    credentials::with_rights_of(owner.st_uid, owner.st_gid, &[owner.st_gid], rotate)?
}

fn rotate(directory: &OwnedFd, name: &str, rotation: Rotation) -> io::Result<()> {
    let mut file = open(directory, name)?;
    // At least one byte stays: the kernel cuts fronts, not whole files.
    let pieces = file.metadata()?.len().saturating_sub(1) / rotation.bytes_max;
    let kept = pieces.min(rotation.files.into());
    for piece in pieces - kept..pieces {
        if let Err(error) = keep(directory, name, rotation, &mut file, piece * rotation.bytes_max, rotation.bytes_max) {
            tracing::debug!("What is cut off '{name}' cannot be kept: {error}");
        }
    }
    match files::cut_front(&file, pieces * rotation.bytes_max) {
        Ok(()) => Ok(()),
        // Not every file system can. What is written between copying and cutting is lost there.
        Err(_) => {
            if rotation.files > 0 {
                let from = pieces * rotation.bytes_max;
                let _ = keep(directory, name, rotation, &mut file, from, u64::MAX);
            }
            file.set_len(0)
        }
    }
}

/// For reading and writing, even if the owner has closed it to itself.
fn open(directory: &OwnedFd, name: &str) -> io::Result<File> {
    match open_beneath(directory, Path::new(name), How::UPDATE.no_link()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let found = open_beneath(directory, Path::new(name), How::LOOK.no_link())?;
            fs::set_permissions(files::path_of(&found), Permissions::from_mode(KEPT_MODE))?;
            open_beneath(directory, Path::new(name), How::UPDATE.no_link()).map(File::from)
        }
        opened => opened.map(File::from),
    }
}

/// Copies a piece of `file` into `name.1`, and makes what was there older by one.
fn keep(
    directory: &OwnedFd,
    name: &str,
    rotation: Rotation,
    file: &mut File,
    from: u64,
    length: u64,
) -> io::Result<()> {
    let aged = |age: u32| PathBuf::from(format!("{name}.{age}"));
    let absent_is_fine = |done: io::Result<()>| match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    absent_is_fine(files::unlink_at(directory, &aged(rotation.files)))?;
    for age in (1..rotation.files).rev() {
        absent_is_fine(files::rename_at(directory, &aged(age), &aged(age + 1)))?;
    }
    let mut to = File::from(open_beneath(directory, &aged(1), How::create(KEPT_MODE))?);
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file.take(length), &mut to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::fs::symlink};

    const MAX: u64 = 64 << 10;

    fn sandbox() -> (tempfile::TempDir, OwnedFd) {
        let home = tempfile::tempdir().unwrap();
        let directory = files::open_directory(home.path()).unwrap();
        (home, directory)
    }

    fn rotation(files: u32) -> Rotation {
        Rotation { bytes_max: MAX, files }
    }

    #[test]
    fn what_is_cut_off_is_kept_in_order_and_nothing_is_lost() {
        let (home, directory) = sandbox();
        let append = fs::OpenOptions::new().append(true).create(true).open(home.path().join("stdout"));
        let mut writer = append.unwrap();
        let mut written = Vec::new();
        for number in 0..50_000u32 {
            let line = format!("{number}\n").into_bytes();
            writer.write_all(&line).unwrap();
            written.extend(line);
            if number % 20_000 == 19_999 {
                rotate(&directory, "stdout", rotation(9)).unwrap();
            }
        }
        let mut found = Vec::new();
        for name in (1..=9).rev().map(|age| format!("stdout.{age}")).chain(["stdout".to_owned()]) {
            found.extend(fs::read(home.path().join(name)).unwrap_or_default());
        }
        assert!(found == written, "{} of {} bytes", found.len(), written.len());
        assert!(fs::metadata(home.path().join("stdout")).unwrap().len() < written.len() as u64);
        assert_eq!(fs::metadata(home.path().join("stdout.1")).unwrap().len(), MAX);
    }

    #[test]
    fn no_more_is_kept_than_wanted() {
        let (home, directory) = sandbox();
        for _ in 0..3 {
            fs::write(home.path().join("stdout"), vec![b'x'; 5 * MAX as usize + 7]).unwrap();
            rotate(&directory, "stdout", rotation(2)).unwrap();
        }
        let sizes = ["stdout", "stdout.1", "stdout.2"].map(|name| fs::metadata(home.path().join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= MAX), "{sizes:?}");
        assert!(!home.path().join("stdout.3").exists());
        fs::write(home.path().join("stderr"), vec![b'x'; 2 * MAX as usize]).unwrap();
        rotate(&directory, "stderr", rotation(0)).unwrap();
        assert!(fs::metadata(home.path().join("stderr")).unwrap().len() <= MAX);
        assert!(!home.path().join("stderr.1").exists());
    }

    #[test]
    fn what_a_task_puts_in_the_way_is_not_followed_and_does_not_help_it() {
        let (home, directory) = sandbox();
        let victim = tempfile::NamedTempFile::new().unwrap();
        fs::write(victim.path(), vec![b'v'; 2 * MAX as usize]).unwrap();
        symlink(victim.path(), home.path().join("stdout")).unwrap();
        assert_eq!(size_of(&directory, "stdout").unwrap(), 0);
        assert!(rotate(&directory, "stdout", rotation(2)).is_err());
        assert_eq!(fs::metadata(victim.path()).unwrap().len(), 2 * MAX);
        fs::write(home.path().join("stderr"), vec![b'x'; 2 * MAX as usize]).unwrap();
        fs::create_dir(home.path().join("stderr.2")).unwrap();
        rotate(&directory, "stderr", rotation(2)).unwrap();
        assert!(fs::metadata(home.path().join("stderr")).unwrap().len() <= MAX);
    }

    #[test]
    fn what_grows_fast_is_looked_at_soon() {
        let now = Instant::now();
        let before = Watch { looked: now, due: now, sizes: [0, 0], pause: LONGEST_PAUSE };
        let outputs = [("stdout", Some(rotation(1))), ("stderr", None)];
        let later = now + Duration::from_millis(100);
        assert_eq!(pause(&before, later, &outputs, [0, 0]), LONGEST_PAUSE);
        assert_eq!(pause(&before, later, &outputs, [MAX, 0]), SHORTEST_PAUSE);
        let slow = pause(&before, later, &outputs, [MAX / 8, 0]);
        assert!(slow > SHORTEST_PAUSE && slow < LONGEST_PAUSE, "{slow:?}");
    }
}
