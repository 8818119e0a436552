//! Opening what lies where somebody else can write: beneath a directory that is held, whatever its names are links to
//! by now, without ever waiting for the other end of a FIFO, and only the kind of file that is wanted.

use crate::{
    check, check_long,
    files::{self, c_path},
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::{Component, Path},
    sync::atomic::{AtomicBool, Ordering},
};

/// What is to be opened, and for what.
#[derive(Clone, Copy, Debug)]
pub struct How {
    flags: libc::c_int,
    mode: u32,
    kind: Kind,
    links: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Regular,
    Directory,
}

impl How {
    /// A regular file, for reading. Links are followed as far as they stay beneath the directory.
    pub const READ: How = How { flags: libc::O_RDONLY, mode: 0, kind: Kind::Regular, links: true };
    /// A regular file, for reading and writing.
    pub const UPDATE: How = How { flags: libc::O_RDWR, mode: 0, kind: Kind::Regular, links: true };
    /// A directory, for listing it and opening what is in it.
    pub const DIRECTORY: How =
        How { flags: libc::O_RDONLY | libc::O_DIRECTORY, mode: 0, kind: Kind::Directory, links: true };
    /// Whatever it is, for looking at it only.
    pub const LOOK: How = How { flags: libc::O_PATH, mode: 0, kind: Kind::Any, links: true };

    /// A regular file, for appending; made with `mode` if it is not there. A link in its place is refused, and so is a
    /// file that has a second name, which may be one of somebody else's.
    pub const fn append(mode: u32) -> How {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW;
        How { flags, mode, kind: Kind::Regular, links: true }
    }

    /// A regular file that was not there before, for writing.
    pub const fn create(mode: u32) -> How {
        How { flags: libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, mode, kind: Kind::Regular, links: true }
    }

    /// Refuses a link in any place of the path, also one that stays beneath.
    pub const fn no_links(self) -> How {
        How { links: false, ..self.no_link() }
    }

    /// Refuses a link in the last place of the path.
    pub const fn no_link(self) -> How {
        How { flags: self.flags | libc::O_NOFOLLOW, ..self }
    }
}

/// Opens `path`, which is relative, beneath `directory`. What leads out of it (an absolute link, too many `..`) or
/// through a link of `/proc` is refused, and so is a file of another kind than `how` wants. Never waits for another
/// process.
pub fn open_beneath(directory: &impl AsFd, path: &Path, how: How) -> io::Result<OwnedFd> {
    let directory = directory.as_fd();
    let opened = match open_at_once(directory, path, how) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => open_stepwise(directory, path, how),
        opened => opened,
    };
    accept(opened, how)
}

/// What was opened, if it is what was wanted, ready for whoever expects reads and writes to wait.
fn accept(opened: io::Result<OwnedFd>, how: How) -> io::Result<OwnedFd> {
    let fd = match opened {
        // What nobody reads cannot be opened for writing without waiting.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is a FIFO, a socket or a device without a reader",
            ));
        }
        opened => opened?,
    };
    check_kind(&fd, how)?;
    if how.kind == Kind::Regular {
        // SAFETY: takes numbers only.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, how.flags & libc::O_APPEND) })?;
    }
    Ok(fd)
}

/// What a descriptor holds.
pub fn status(fd: &impl AsFd) -> io::Result<libc::stat> {
    // SAFETY: it is integers.
    let mut found = unsafe { std::mem::zeroed::<libc::stat>() };
    // SAFETY: `found` is a valid place for the answer.
    check(unsafe { libc::fstat(fd.as_fd().as_raw_fd(), &mut found) })?;
    Ok(found)
}

/// Opens whatever `path` names for looking at it only, wherever links lead, but not through a link of `/proc` to what
/// some process has open.
pub fn look_up(path: &Path) -> io::Result<OwnedFd> {
    let c = c_path(path)?;
    match openat2(libc::AT_FDCWD, &c, libc::O_PATH, 0, RESOLVE_NO_MAGICLINKS) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => files::open_path(path),
        found => found,
    }
}

/// Opens for reading what `look_up` has found, without waiting.
pub fn open_found(found: &impl AsFd) -> io::Result<OwnedFd> {
    let path = c_path(&files::path_of(found))?;
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `path` ends with a zero byte and outlives the call.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether a descriptor holds something of a file system that the kernel makes up, where even regular files may be
/// endless or wait for something.
pub fn is_made_up(fd: &impl AsFd) -> io::Result<bool> {
    const MADE_UP: [i64; 13] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x27_e0eb,   // cgroup
        0x6367_7270, // cgroup2
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
        0xcafe_4a11, // bpf
        0x6265_6570, // configfs
        0xde5e_81e4, // efivarfs
        0xf97c_ff8c, // selinux
        0x6165_676c, // pstore
        0x4249_4e4d, // binfmt_misc
    ];
    // SAFETY: it is integers.
    let mut found = unsafe { std::mem::zeroed::<libc::statfs>() };
    // SAFETY: `found` is a valid place for the answer.
    check(unsafe { libc::fstatfs(fd.as_fd().as_raw_fd(), &mut found) })?;
    Ok(MADE_UP.contains(&(found.f_type as i64)))
}

const RESOLVE_NO_XDEV: u64 = 0x01;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;

/// openat2 came with Linux 5.6, and some sandboxes hide it.
static MISSING: AtomicBool = AtomicBool::new(false);

fn open_at_once(directory: BorrowedFd<'_>, path: &Path, how: How) -> io::Result<OwnedFd> {
    let path = c_path(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
    let links = if how.links { RESOLVE_NO_MAGICLINKS } else { RESOLVE_NO_SYMLINKS };
    openat2(directory.as_raw_fd(), &path, how.flags, how.mode, RESOLVE_BENEATH | links)
}

/// Opens a directory right in `at`: no link, no mount point. `ENOSYS` where the kernel cannot promise that.
pub(crate) fn open_directory_of_this_mount(at: RawFd, name: &CStr) -> io::Result<OwnedFd> {
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
    openat2(at, name, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, resolve)
}

fn openat2(at: RawFd, path: &CStr, flags: libc::c_int, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    // Renames elsewhere make the kernel give up a walk with `..` in it; it says so and is asked again.
    const TRIES: u32 = 16;
    if MISSING.load(Ordering::Relaxed) {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    // With O_PATH the kernel knows of no further flags.
    let never_wait = if flags & libc::O_PATH == 0 { libc::O_NONBLOCK | libc::O_NOCTTY } else { 0 };
    let how = OpenHow { flags: (flags | never_wait | libc::O_CLOEXEC) as u64, mode: u64::from(mode), resolve };
    for _ in 0..TRIES {
        // SAFETY: `path` ends with a zero byte and `how` is as long as it says; both outlive the call.
        let opened = check_long(unsafe {
            libc::syscall(libc::SYS_openat2, at, path.as_ptr(), &raw const how, size_of::<OpenHow>())
        });
        match opened {
            // SAFETY: the descriptor was just opened and is nobody else's.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => {}
                Some(libc::ENOSYS) => {
                    MISSING.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                Some(libc::EXDEV) if resolve & RESOLVE_NO_XDEV == 0 => return Err(leads_out()),
                _ => return Err(error),
            },
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "its directories are being renamed all the time"))
}

fn leads_out() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "it leads out of its directory")
}

/// Without openat2: one component after the other, and no links.
fn open_stepwise(directory: BorrowedFd<'_>, path: &Path, how: How) -> io::Result<OwnedFd> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name),
            _ => return Err(leads_out()),
        }
    }
    let step = |at: RawFd, name: &Path, flags: libc::c_int| {
        let name = c_path(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the name ends with a zero byte and outlives the call.
        let fd = check(unsafe { libc::openat(at, name.as_ptr(), flags, how.mode) }).map_err(no_links_here)?;
        // SAFETY: the descriptor was just opened and is nobody else's.
        Ok::<_, io::Error>(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let last = names.pop().unwrap_or(".".as_ref());
    let mut held: Option<OwnedFd> = None;
    let number = |held: &Option<OwnedFd>| held.as_ref().map_or(directory.as_raw_fd(), AsRawFd::as_raw_fd);
    for name in names {
        held = Some(step(number(&held), Path::new(name), libc::O_PATH | libc::O_DIRECTORY)?);
    }
    let never_wait = if how.flags & libc::O_PATH == 0 { libc::O_NONBLOCK | libc::O_NOCTTY } else { 0 };
    step(number(&held), Path::new(last), how.flags | never_wait)
}

fn no_links_here(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(
            io::ErrorKind::Unsupported,
            "there is a symbolic link in the path, which cannot be followed safely before Linux 5.6",
        ),
        _ => error,
    }
}

fn check_kind(fd: &OwnedFd, how: How) -> io::Result<()> {
    if how.kind == Kind::Any {
        return Ok(());
    }
    let status = status(fd)?;
    let found = status.st_mode & libc::S_IFMT;
    if found == libc::S_IFREG && how.flags & libc::O_ACCMODE != libc::O_RDONLY && status.st_nlink > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a file with a second name (a hard link)"));
    }
    let (right, name) = match how.kind {
        Kind::Directory => (libc::S_IFDIR, "a directory"),
        Kind::Regular | Kind::Any => (libc::S_IFREG, "a regular file"),
    };
    if found == right {
        return Ok(());
    }
    let what = match found {
        libc::S_IFDIR => "a directory",
        libc::S_IFREG => "a regular file",
        libc::S_IFIFO => "a FIFO",
        libc::S_IFSOCK => "a socket",
        libc::S_IFCHR | libc::S_IFBLK => "a device",
        _ => "something else",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::open_directory;
    use std::{fs, io::Read, os::unix::fs::symlink};

    type Opening = fn(BorrowedFd<'_>, &Path, How) -> io::Result<OwnedFd>;

    fn both(directory: &OwnedFd, path: &str, how: How, each: impl Fn(io::Result<OwnedFd>, bool)) {
        let ways: [(Opening, bool); 2] = [(open_at_once, true), (open_stepwise, false)];
        for (open, follows) in ways {
            let opened = open(directory.as_fd(), Path::new(path), how);
            if opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS)) {
                println!("this kernel has no openat2");
                continue;
            }
            each(accept(opened, how), follows);
        }
    }

    fn fifo(path: &Path) {
        let path = c_path(path).unwrap();
        // SAFETY: the path ends with a zero byte.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o666) }, 0);
    }

    #[test]
    fn what_is_beneath_is_read_and_what_leads_out_is_not() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "within").unwrap();
        symlink("b/file", root.join("a/near")).unwrap();
        symlink("../../secret", root.join("a/far")).unwrap();
        symlink(home.path().join("secret"), root.join("absolute")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let directory = open_directory(&root).unwrap();

        both(&directory, "a/b/file", How::READ, |opened, _| {
            let mut text = String::new();
            fs::File::from(opened.unwrap()).read_to_string(&mut text).unwrap();
            assert_eq!(text, "within");
        });
        both(&directory, "a/near", How::READ, |opened, follows| assert_eq!(opened.is_ok(), follows));
        both(&directory, "a/near", How::READ.no_link(), |opened, _| assert!(opened.is_err()));
        symlink("b", root.join("a/c")).unwrap();
        both(&directory, "a/c/file", How::READ.no_link(), |opened, follows| assert_eq!(opened.is_ok(), follows));
        both(&directory, "a/c/file", How::READ.no_links(), |opened, _| assert!(opened.is_err()));
        both(&directory, "a/b/file", How::READ.no_links(), |opened, _| assert!(opened.is_ok()));
        for path in ["a/far", "absolute", "magic/etc/passwd", "up/secret", "../secret", "/etc/passwd"] {
            both(&directory, path, How::READ, |opened, _| assert!(opened.is_err(), "{path}"));
        }
        both(&directory, "a/b", How::DIRECTORY, |opened, _| assert!(opened.is_ok()));
        both(&directory, "", How::DIRECTORY, |opened, _| assert!(opened.is_ok()));
        both(&directory, "a/far", How::LOOK.no_link(), |opened, _| drop(opened));
    }

    #[test]
    fn a_fifo_a_directory_or_a_device_in_place_of_a_file_is_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("directory")).unwrap();
        fifo(&home.path().join("fifo"));
        let directory = open_directory(home.path()).unwrap();
        for how in [How::READ, How::append(0o600)] {
            for name in ["fifo", "directory"] {
                both(&directory, name, how, |opened, _| assert!(opened.is_err(), "{name}"));
            }
        }
        let error = open_beneath(&directory, Path::new("fifo"), How::READ).unwrap_err();
        assert_eq!(error.to_string(), "it is a FIFO, not a regular file");
        let devices = open_directory(Path::new("/dev")).unwrap();
        both(&devices, "null", How::READ, |opened, _| assert!(opened.is_err()));
    }

    #[test]
    fn files_are_made_and_links_in_their_place_are_not_followed() {
        let home = tempfile::tempdir().unwrap();
        symlink("elsewhere", home.path().join("stdout")).unwrap();
        let directory = open_directory(home.path()).unwrap();
        both(&directory, "stdout", How::append(0o600), |opened, _| assert!(opened.is_err()));
        both(&directory, "stderr", How::append(0o600), |opened, _| assert!(opened.is_ok()));
        both(&directory, "stderr", How::create(0o600), |opened, _| assert!(opened.is_err()));
        assert!(!home.path().join("elsewhere").exists());
        fs::hard_link(home.path().join("stderr"), home.path().join("second")).unwrap();
        both(&directory, "second", How::append(0o600), |opened, _| assert!(opened.is_err()));
    }
}
