//! Removing a whole tree that somebody else made, maybe with malice: as deep, as wide and as locked as may be. Nothing
//! is followed, no mount is entered, few descriptors are open at a time, and the work can be done in parts.

use crate::{
    beneath::{open_directory_of_this_mount, status},
    check, check_long,
    entries::Entries,
    files::{c_path, read_control},
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
};

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nothing is left.
    Done,
    /// The work allowed is done and some is left: call again.
    Unfinished,
}

/// Why something is left. What could be removed is; the same call may be tried again later.
#[derive(Debug, thiserror::Error)]
#[error("{left} of its entries could not be removed, the first of them '{}': {source}", name.display())]
pub struct RemoveError {
    /// How many entries were tried in vain.
    pub left: u64,
    /// The first of them: its name, not its path.
    pub name: std::path::PathBuf,
    pub source: io::Error,
}

/// The most directories that are open at a time. What lies deeper is first moved up.
const DEPTH_MAX: usize = 32;
/// A directory that is filled while it is emptied is given up after so many rounds without an end.
const ROUNDS_MAX: u32 = 10_000;

/// Removes `name`, which lies right in `directory`, with all that is in it. `work` bounds the entries that are looked
/// at and says afterwards how many of them are left over. That nothing of this name is there is fine.
pub fn remove_tree(directory: &impl AsFd, name: &Path, work: &mut u64) -> Result<Removal, RemoveError> {
    let at = directory.as_fd().as_raw_fd();
    let failed = |source| RemoveError { left: 1, name: name.to_owned(), source };
    let c_name = c_path(name).map_err(failed)?;
    if name.components().count() != 1 || name.file_name().is_none() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of an entry")));
    }
    match unlink(at, &c_name) {
        Ok(Unlinked::Gone) => return Ok(Removal::Done),
        Ok(Unlinked::Filled) => {}
        Err(error) => return Err(failed(error)),
    }
    Walk::from(Level::open(at, c_name).map_err(failed)?, Some(at)).go(work)
}

/// The same with what is in `directory`, which itself stays.
pub fn empty_directory(directory: &impl AsFd, work: &mut u64) -> Result<Removal, RemoveError> {
    let name = c".".to_owned();
    let top = Level::open(directory.as_fd().as_raw_fd(), name);
    let top = top.map_err(|source| RemoveError { left: 1, name: ".".into(), source })?;
    Walk::from(top, None).go(work)
}

struct Walk {
    /// The directory that the tree lies in; without one the top of the tree stays.
    at: Option<RawFd>,
    /// From the top of the tree down to where the work is.
    levels: Vec<Level>,
    first_failure: Option<(std::path::PathBuf, io::Error)>,
    left: u64,
    removed: u64,
}

/// One open directory.
struct Level {
    entries: Entries,
    name: CString,
    /// In this round through its entries.
    removed: bool,
    failed: bool,
    rounds: u32,
}

impl Walk {
    fn from(top: Level, at: Option<RawFd>) -> Walk {
        Walk { at, levels: vec![top], first_failure: None, left: 0, removed: 0 }
    }

    fn go(mut self, work: &mut u64) -> Result<Removal, RemoveError> {
        let finished = self.run(work);
        match self.first_failure {
            Some((name, source)) if finished || self.removed == 0 => Err(RemoveError { left: self.left, name, source }),
            _ if finished => Ok(Removal::Done),
            _ => Ok(Removal::Unfinished),
        }
    }

    /// Answers whether it came to the end; else the work allowed was used up.
    fn run(&mut self, work: &mut u64) -> bool {
        while let Some(level) = self.levels.last_mut() {
            let name = match level.entries.next() {
                Ok(Some(name)) => name,
                Ok(None) => {
                    self.leave();
                    continue;
                }
                Err(error) => {
                    let name = level.name.clone();
                    self.give_up(&name, error);
                    continue;
                }
            };
            if *work == 0 {
                return false;
            }
            *work -= 1;
            match unlink(level.entries.fd.as_raw_fd(), &name) {
                Ok(Unlinked::Gone) => {
                    level.removed = true;
                    self.removed += 1;
                }
                Ok(Unlinked::Filled) => self.enter(name),
                Err(error) => self.note_failure(&name, error),
            }
        }
        true
    }

    /// Goes into a directory that is not empty, or moves it up where that would be too deep.
    fn enter(&mut self, name: CString) {
        let (Some(level), Some(top)) = (self.levels.last(), self.levels.first()) else { return };
        if self.levels.len() < DEPTH_MAX {
            match Level::open(level.entries.fd.as_raw_fd(), name.clone()) {
                Ok(fresh) => self.levels.push(fresh),
                Err(error) => self.note_failure(&name, error),
            }
            return;
        }
        match move_up(level.entries.fd.as_raw_fd(), &name, top.entries.fd.as_raw_fd()) {
            Ok(()) => {
                if let Some(level) = self.levels.last_mut() {
                    level.removed = true;
                }
                if let Some(top) = self.levels.first_mut() {
                    // It may lie in a part of the directory that was read already.
                    top.removed = true;
                }
            }
            Err(error) => self.note_failure(&name, error),
        }
    }

    /// The last directory has been read to its end: removes it, or reads it again if that may help.
    fn leave(&mut self) {
        let Some(mut level) = self.levels.pop() else { return };
        let at = self.levels.last().map(|parent| parent.entries.fd.as_raw_fd()).or(self.at);
        let gone = match at.map_or(Ok(Unlinked::Filled), |at| unlink(at, &level.name)) {
            Ok(Unlinked::Gone) => Ok(()),
            Ok(Unlinked::Filled) if level.removed && level.rounds < ROUNDS_MAX => match level.rewind() {
                Ok(()) => {
                    self.levels.push(level);
                    return;
                }
                Err(error) => Err(error),
            },
            Ok(Unlinked::Filled) if at.is_none() => return,
            Ok(Unlinked::Filled) => Err(io::Error::from_raw_os_error(libc::ENOTEMPTY)),
            Err(error) => Err(error),
        };
        match gone {
            Ok(()) => {
                self.removed += 1;
                if let Some(parent) = self.levels.last_mut() {
                    parent.removed = true;
                }
            }
            // What failed inside is the reason, and counted.
            Err(_) if level.failed => self.mark_failed(),
            Err(error) => self.note_failure(&level.name, error),
        }
    }

    fn give_up(&mut self, name: &CStr, error: io::Error) {
        self.levels.pop();
        self.note_failure(name, error);
    }

    fn note_failure(&mut self, name: &CStr, error: io::Error) {
        use std::os::unix::ffi::OsStrExt;
        self.left += 1;
        self.mark_failed();
        if self.first_failure.is_none() {
            self.first_failure = Some((std::ffi::OsStr::from_bytes(name.to_bytes()).into(), error));
        }
    }

    fn mark_failed(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.failed = true;
        }
    }
}

impl Level {
    fn open(at: RawFd, name: CString) -> io::Result<Level> {
        let fd = match open_directory(at, &name) {
            // Its owner may have locked it; whoever may remove it may unlock it.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                unlock(at, &name).and_then(|()| open_directory(at, &name)).map_err(|_| error)?
            }
            opened => opened?,
        };
        Ok(Level { entries: Entries::new(fd), name, removed: false, failed: false, rounds: 0 })
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.entries.go_on_at(0)?;
        (self.removed, self.failed) = (false, false);
        self.rounds += 1;
        Ok(())
    }
}

enum Unlinked {
    Gone,
    /// It is a directory with something in it.
    Filled,
}

/// Removes an entry that is no directory, or an empty one.
fn unlink(at: RawFd, name: &CStr) -> io::Result<Unlinked> {
    // SAFETY: the name ends with a zero byte and outlives the call.
    let unlinked = check(unsafe { libc::unlinkat(at, name.as_ptr(), 0) });
    let first = match unlinked {
        Ok(_) => return Ok(Unlinked::Gone),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => return Ok(Unlinked::Gone),
            // Linux says EISDIR, POSIX EPERM; some network file systems go by POSIX.
            Some(libc::EISDIR | libc::EPERM) => error,
            _ => return Err(error),
        },
    };
    // SAFETY: as above.
    match check(unsafe { libc::unlinkat(at, name.as_ptr(), libc::AT_REMOVEDIR) }) {
        Ok(_) => Ok(Unlinked::Gone),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(Unlinked::Gone),
            Some(libc::ENOTEMPTY | libc::EEXIST) => Ok(Unlinked::Filled),
            Some(libc::ENOTDIR) => Err(first),
            _ => Err(error),
        },
    }
}

fn open_directory(at: RawFd, name: &CStr) -> io::Result<OwnedFd> {
    let mounted = || io::Error::new(io::ErrorKind::CrossesDevices, "something is mounted there");
    match open_directory_of_this_mount(at, name) {
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => return Err(mounted()),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {}
        opened => return opened,
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::openat(at, name.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if mount_of(at)? == mount_of(fd.as_raw_fd())? { Ok(fd) } else { Err(mounted()) }
}

/// The number of the mount that a descriptor was opened on.
fn mount_of(fd: RawFd) -> io::Result<String> {
    let text = read_control(Path::new(&format!("/proc/self/fdinfo/{fd}")))?;
    let mount = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    mount.map(|number| number.trim().to_owned()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Lets the owner list a directory and change what is in it.
fn unlock(at: RawFd, name: &CStr) -> io::Result<()> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::openat(at, name.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    unlock_open(&fd)
}

/// A descriptor that is open for its path only cannot be changed; its name in `/proc` can.
fn unlock_open(fd: &OwnedFd) -> io::Result<()> {
    let path = c_path(&crate::files::path_of(fd))?;
    // SAFETY: the path ends with a zero byte and outlives the call.
    check(unsafe { libc::chmod(path.as_ptr(), 0o700) }).map(drop)
}

/// Renames a directory into `top` under a name that is free there.
fn move_up(at: RawFd, name: &CStr, top: RawFd) -> io::Result<()> {
    const TRIES: u32 = 16;
    // Moving a directory changes its entry `..`, which takes the right to write in it.
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::openat(at, name.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let inode = status(&fd)?.st_ino;
    let mut failure = io::Error::from_raw_os_error(libc::EEXIST);
    let mut unlocked = false;
    for number in 0..TRIES {
        let new = CString::new(format!(".removed-{inode}-{number}"))?;
        let rename = || {
            // SAFETY: both names end with a zero byte and outlive the call.
            check_long(unsafe {
                libc::syscall(libc::SYS_renameat2, at, name.as_ptr(), top, new.as_ptr(), libc::RENAME_NOREPLACE)
            })
        };
        let mut renamed = rename();
        if !unlocked && renamed.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EACCES)) {
            unlocked = true;
            unlock_open(&fd)?;
            renamed = rename();
        }
        match renamed {
            Ok(_) => return Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EEXIST) => failure = error,
                _ => return Err(error),
            },
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{make_directory_at, open_directory, open_directory_at};
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    fn all(home: &OwnedFd, name: &str) -> Result<Removal, RemoveError> {
        remove_tree(home, Path::new(name), &mut u64::MAX.clone())
    }

    /// Deeper than any path can say.
    fn make_deep(home: &Path, depth: usize) {
        let mut at = open_directory(home).unwrap();
        for _ in 0..depth {
            make_directory_at(at.as_raw_fd(), Path::new("d"), 0o755).unwrap();
            fs::File::create(crate::files::path_of(&at).join("file")).unwrap();
            at = open_directory_at(at.as_raw_fd(), Path::new("d")).unwrap();
        }
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_with_a_small_stack_and_few_descriptors() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tree")).unwrap();
        make_deep(&home.path().join("tree"), 4_000);
        let directory = open_directory(home.path()).unwrap();
        let remove = move || all(&directory, "tree").unwrap();
        let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(remove).unwrap();
        assert_eq!(thread.join().unwrap(), Removal::Done);
        assert!(!home.path().join("tree").exists());
    }

    #[test]
    fn a_directory_can_be_emptied_and_stay() {
        let home = tempfile::tempdir().unwrap();
        make_deep(home.path(), 100);
        let directory = open_directory(home.path()).unwrap();
        assert_eq!(empty_directory(&directory, &mut u64::MAX.clone()).unwrap(), Removal::Done);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_work_is_done_in_parts() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tree")).unwrap();
        make_deep(&home.path().join("tree"), 300);
        let directory = open_directory(home.path()).unwrap();
        let mut calls = 0;
        loop {
            let mut work = 50;
            calls += 1;
            if remove_tree(&directory, Path::new("tree"), &mut work).unwrap() == Removal::Done {
                break;
            }
            assert_eq!(work, 0);
            assert!(calls < 1000, "no progress");
        }
        assert!(calls >= 600 / 50, "{calls}");
        assert!(!home.path().join("tree").exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        fs::create_dir(home.path().join("tree")).unwrap();
        symlink(&kept, home.path().join("tree/link")).unwrap();
        symlink(&kept, home.path().join("alias")).unwrap();
        let directory = open_directory(home.path()).unwrap();
        for name in ["tree", "alias", "nothing"] {
            assert_eq!(all(&directory, name).unwrap(), Removal::Done);
        }
        assert!(
            kept.join("file").exists() && !home.path().join("tree").exists() && !home.path().join("alias").exists()
        );
        for name in ["", ".", "..", "a/b", "/"] {
            assert!(all(&directory, name).is_err(), "{name}");
        }
    }

    #[test]
    fn directories_that_their_owner_locked_are_removed() {
        let home = tempfile::tempdir().unwrap();
        for name in ["tree", "tree/a", "tree/a/b"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        for name in ["tree/a/b", "tree/a", "tree"] {
            fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(0o0)).unwrap();
        }
        let directory = open_directory(home.path()).unwrap();
        assert_eq!(all(&directory, "tree").unwrap(), Removal::Done);
    }
}
