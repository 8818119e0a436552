//! What a tree takes of the disk that somebody else makes and changes meanwhile, maybe with malice: nothing is
//! followed, no mount is entered, few descriptors are open at a time, little is kept in memory, and the work is done
//! in parts.

use crate::{
    beneath::{open_directory_of_this_mount, status},
    check,
    entries::Entries,
};
use std::{
    collections::{HashSet, VecDeque},
    ffi::CStr,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// The most directories that are open at a time; those above are found again when what lies below is done.
const OPEN_MAX: usize = 32;
/// So many files of several names are counted once; any further one as often as it is met.
const LINKED_MAX: usize = 1 << 18;
const BLOCK_BYTES: u64 = 512;

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is counted, or as much as was asked for.
    Done,
    /// The work allowed is done: call again.
    Unfinished,
}

/// Counts what one tree takes.
#[derive(Debug)]
pub struct TreeUse {
    /// From the latest of the directories that are not open any more to where the work is.
    levels: VecDeque<Level>,
    /// Directories further up, closed.
    above: Vec<Closed>,
    /// The files of several names that are counted.
    linked: HashSet<u64>,
    bytes: u64,
    /// Counting ends above this.
    enough: u64,
}

#[derive(Debug)]
struct Level {
    entries: Entries,
    inode: u64,
}

/// A directory that is to be gone on with.
#[derive(Debug)]
struct Closed {
    inode: u64,
    offset: i64,
}

impl TreeUse {
    /// Of `directory` and all that is in it, as far as it is on the same mount. Counting stops above `enough` bytes.
    pub fn of(directory: OwnedFd, enough: u64) -> io::Result<TreeUse> {
        let found = status(&directory)?;
        let level = Level { entries: Entries::new(directory), inode: found.st_ino };
        let bytes = found.st_blocks.max(0) as u64 * BLOCK_BYTES;
        Ok(TreeUse { levels: [level].into(), above: Vec::new(), linked: HashSet::new(), bytes, enough })
    }

    /// What is counted so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts at most `work` entries more. What goes, or cannot be read, is passed over. An error is a tree that is
    /// moved about while it is counted: then what is counted so far is the least that it takes.
    pub fn go(&mut self, work: u64) -> io::Result<Progress> {
        for _ in 0..work {
            let Some(level) = self.levels.back_mut() else { return Ok(Progress::Done) };
            if self.bytes > self.enough {
                return Ok(Progress::Done);
            }
            match level.entries.next() {
                Ok(Some(name)) => {
                    let at = level.entries.fd.as_raw_fd();
                    self.count(at, &name);
                }
                Ok(None) | Err(_) => self.leave()?,
            }
        }
        Ok(if self.levels.is_empty() { Progress::Done } else { Progress::Unfinished })
    }

    fn count(&mut self, at: RawFd, name: &CStr) {
        // SAFETY: it is integers.
        let mut found = unsafe { std::mem::zeroed::<libc::stat>() };
        // SAFETY: the name ends with a zero byte, and `found` is a valid place for the answer.
        if check(unsafe { libc::fstatat(at, name.as_ptr(), &mut found, libc::AT_SYMLINK_NOFOLLOW) }).is_err() {
            return;
        }
        let is_directory = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if is_directory {
            // What is mounted there is not the tree's.
            let Ok(fd) = open_directory(at, name) else { return };
            let level = Level { entries: Entries::new(fd), inode: found.st_ino };
            self.levels.push_back(level);
            if self.levels.len() > OPEN_MAX
                && let Some(Level { entries, inode }) = self.levels.pop_front()
            {
                self.above.push(Closed { inode, offset: entries.offset() });
            }
        } else if found.st_nlink > 1 {
            if self.linked.contains(&found.st_ino) {
                return;
            }
            if self.linked.len() < LINKED_MAX {
                self.linked.insert(found.st_ino);
            }
        }
        self.bytes = self.bytes.saturating_add(found.st_blocks.max(0) as u64 * BLOCK_BYTES);
    }

    /// The last directory is read to its end: back to the one above.
    fn leave(&mut self) -> io::Result<()> {
        let Some(done) = self.levels.pop_back() else { return Ok(()) };
        let Some(Closed { inode, offset }) = self.above.pop_if(|_| self.levels.is_empty()) else { return Ok(()) };
        let fd = open_parent(&done.entries.fd)?;
        if status(&fd)?.st_ino != inode {
            return Err(io::Error::other("directories were moved while their sizes were added up"));
        }
        let mut entries = Entries::new(fd);
        entries.go_on_at(offset)?;
        self.levels.push_back(Level { entries, inode });
        Ok(())
    }
}

fn open_directory(at: RawFd, name: &CStr) -> io::Result<OwnedFd> {
    match open_directory_of_this_mount(at, name) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => open(at, name),
        opened => opened,
    }
}

fn open_parent(directory: &OwnedFd) -> io::Result<OwnedFd> {
    open(directory.as_raw_fd(), c"..")
}

fn open(at: RawFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the name ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::openat(at, name.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The bytes that may still be written to the file system of an open file by users other than root.
pub fn free_bytes(file: &OwnedFd) -> io::Result<u64> {
    // SAFETY: it is integers.
    let mut found = unsafe { std::mem::zeroed::<libc::statvfs>() };
    // SAFETY: `found` is a valid place for the answer.
    check(unsafe { libc::fstatvfs(file.as_raw_fd(), &mut found) })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

    fn measure(path: &Path, enough: u64, work: u64) -> io::Result<u64> {
        let mut tree = TreeUse::of(crate::files::open_directory(path)?, enough)?;
        while tree.go(work)? == Progress::Unfinished {}
        Ok(tree.bytes())
    }

    fn du(path: &Path) -> u64 {
        let output = Command::new("du").args(["-s", "-B", "512"]).arg(path).output().unwrap().stdout;
        let text = String::from_utf8(output).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 512
    }

    #[test]
    fn a_tree_takes_what_du_says() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/some"), vec![1; 100_000]).unwrap();
        fs::hard_link(at("a/b/some"), at("again")).unwrap();
        fs::File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        symlink("/usr", at("link")).unwrap();
        symlink("..", at("a/b/up")).unwrap();
        for number in 0..500 {
            fs::write(at(&format!("a/{number}")), "x").unwrap();
        }
        for work in [1, 7, 1_000_000] {
            assert_eq!(measure(root.path(), u64::MAX, work).unwrap(), du(root.path()), "{work}");
        }
        let some = measure(root.path(), 50_000, 1_000_000).unwrap();
        assert!(some > 50_000 && some < du(root.path()));
    }

    #[test]
    fn a_tree_may_be_as_deep_as_it_likes() {
        let root = tempfile::tempdir().unwrap();
        let make = "for n in $(seq 150); do mkdir d e; echo x > f; echo y > e/g; cd d; done";
        assert!(Command::new("sh").args(["-c", make]).current_dir(root.path()).status().unwrap().success());
        assert_eq!(measure(root.path(), u64::MAX, 13).unwrap(), du(root.path()));
        let mut tree = TreeUse::of(crate::files::open_directory(root.path()).unwrap(), u64::MAX).unwrap();
        let mut most = 0;
        while tree.go(1).unwrap() == Progress::Unfinished {
            most = most.max(tree.levels.len());
        }
        assert_eq!(most, OPEN_MAX);
    }

    #[test]
    fn a_tree_that_is_moved_about_is_told() {
        let root = tempfile::tempdir().unwrap();
        let make = "for n in $(seq 60); do mkdir d; cd d; done";
        assert!(Command::new("sh").args(["-c", make]).current_dir(root.path()).status().unwrap().success());
        let mut tree = TreeUse::of(crate::files::open_directory(root.path()).unwrap(), u64::MAX).unwrap();
        assert_eq!(tree.go(50).unwrap(), Progress::Unfinished);
        let deep = root.path().join("d/".repeat(10));
        fs::rename(deep.join("d"), root.path().join("elsewhere")).unwrap();
        let moved = (0..1000).find_map(|_| tree.go(1).err());
        assert!(moved.is_some_and(|error| error.to_string().contains("were moved")));
    }

    #[test]
    fn there_is_room_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        assert!(free_bytes(&crate::files::open_directory(root.path()).unwrap()).unwrap() > 0);
    }
}
