//! Opening, reading and writing small files, relative to a directory that is already held where a name could be
//! swapped.

use crate::check;
use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::Path,
    time::{Duration, Instant},
};

/// The path as C wants it.
pub fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Opens a path for looking it up or executing it only.
pub fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: `path` ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a directory; a symbolic link in its place is refused.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    open_directory_at(libc::AT_FDCWD, path)
}

/// The same, `path` taken from the directory `at`.
pub fn open_directory_at(at: RawFd, path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::openat(at, path.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the directory `name` inside `at`; one that is there already is fine and answers `false`.
pub fn make_directory_at(at: RawFd, name: &Path, mode: u32) -> io::Result<bool> {
    let name = c_path(name)?;
    // SAFETY: the name ends with a zero byte and outlives the call.
    match check(unsafe { libc::mkdirat(at, name.as_ptr(), mode) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the symbolic link `name` inside `at`; false if something of this name is there.
pub fn make_link_at(at: RawFd, name: &Path, target: &Path) -> io::Result<bool> {
    let (name, target) = (c_path(name)?, c_path(target)?);
    // SAFETY: both names end with a zero byte and outlive the call.
    match check(unsafe { libc::symlinkat(target.as_ptr(), at, name.as_ptr()) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives what `old` inside `from` names another name, `name` inside `at`. A symbolic link is not followed, but linked.
pub fn hard_link_at(from: &impl AsFd, old: &Path, at: &impl AsFd, name: &Path) -> io::Result<()> {
    let (old, name) = (c_path(old)?, c_path(name)?);
    let (from, at) = (from.as_fd().as_raw_fd(), at.as_fd().as_raw_fd());
    // SAFETY: both names end with a zero byte and outlive the call.
    check(unsafe { libc::linkat(from, old.as_ptr(), at, name.as_ptr(), 0) }).map(drop)
}

/// Gives what is called `old` inside `at` the name `new`; what had that is replaced.
pub fn rename_at(at: &impl AsFd, old: &Path, new: &Path) -> io::Result<()> {
    let (old, new) = (c_path(old)?, c_path(new)?);
    let at = at.as_fd().as_raw_fd();
    // SAFETY: both names end with a zero byte and outlive the call.
    check(unsafe { libc::renameat(at, old.as_ptr(), at, new.as_ptr()) }).map(drop)
}

/// Takes the first `bytes` of a file out of it, where the file system can: a multiple of its blocks, and not all there
/// is. Whoever appends meanwhile goes on at the new end.
pub fn cut_front(file: &impl AsFd, bytes: u64) -> io::Result<()> {
    let bytes = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: takes numbers only.
    check(unsafe { libc::fallocate(file.as_fd().as_raw_fd(), libc::FALLOC_FL_COLLAPSE_RANGE, 0, bytes) }).map(drop)
}

/// Takes the name `name` away from `at`; a directory is refused.
pub fn unlink_at(at: &impl AsFd, name: &Path) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: the name ends with a zero byte and outlives the call.
    check(unsafe { libc::unlinkat(at.as_fd().as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Sets the permission bits.
pub fn change_mode(fd: &impl AsFd, mode: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::fchmod(fd.as_fd().as_raw_fd(), mode) }).map(drop)
}

pub fn change_owner(fd: &impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::fchown(fd.as_fd().as_raw_fd(), uid, gid) }).map(drop)
}

/// Opens for writing what the kernel made (a control file).
pub fn open_control(path: &Path) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().write(true).custom_flags(libc::O_CLOEXEC).open(path)?.into())
}

/// Writes a control file in one call.
pub fn write_control(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let written = file.write(text.as_bytes())?;
    if written == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Reads a small file of the kernel's.
pub fn read_control(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Reads one number; `max` (v2's word for no limit) is `u64::MAX`.
pub fn read_number(path: &Path) -> io::Result<u64> {
    let text = read_control(path)?;
    match text.trim() {
        "max" => Ok(u64::MAX),
        number => number.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// A duplicate of `fd` numbered `lowest` or higher, if `fd` itself lies lower.
pub fn lift(fd: &impl AsFd, lowest: RawFd) -> io::Result<Option<OwnedFd>> {
    let fd = fd.as_fd().as_raw_fd();
    if fd >= lowest {
        return Ok(None);
    }
    // SAFETY: takes numbers only.
    let fd = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Makes `to` another number for what `fd` holds, open over exec.
pub fn place(fd: &impl AsFd, to: RawFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: both calls take numbers only.
    let done = if fd == to { unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } } else { unsafe { libc::dup3(fd, to, 0) } };
    check(done).map(drop)
}

/// A pipe, closed on exec, whose read end does not block.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors into `fds`.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both were just opened and are nobody else's.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    // SAFETY: takes numbers only.
    check(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok((read, write))
}

/// An event counter that does not block, closed on exec.
pub fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor from `first` on, whoever owns it: only for a process that goes on with those below.
pub fn close_from(first: RawFd) {
    // Kernels before 5.9 do not know this; there, what the agent opened closes on exec anyway.
    // SAFETY: takes numbers only. No owner of such a descriptor is used after this.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// A path that names whatever `fd` holds, wherever that may have been moved.
pub fn path_of(fd: &impl AsFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()).into()
}

/// Closes on exec what a parent left open under this number.
pub fn close_on_exec(fd: RawFd) {
    // SAFETY: takes numbers only.
    unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Takes the lock of an open file, if nobody holds it; it lasts as long as the file is open.
fn try_lock(file: &impl AsFd) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// The same, where a holder may be on its way out: a process that is gone, or a child of it that is just being made,
/// may hold the file for a moment more.
pub fn lock_soon(file: &impl AsFd, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match try_lock(file) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

/// Has the file system set so many bytes aside for `file` from `offset` on, without making the file longer.
pub fn set_space_aside(file: &impl AsFd, offset: u64, bytes: u64) -> io::Result<()> {
    let number = |value: u64| libc::off_t::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let (offset, bytes) = (number(offset)?, number(bytes)?);
    // SAFETY: takes numbers only.
    check(unsafe { libc::fallocate(file.as_fd().as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, offset, bytes) }).map(drop)
}
