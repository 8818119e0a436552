//! Mounts, host name and namespaces of the calling process, which the launcher sets up for the container it is in.

use crate::{check, check_long};
use std::{
    ffi::{CStr, CString},
    io,
    os::{fd::RawFd, unix::ffi::OsStrExt},
    ptr,
};

/// Keeps this namespace's mounts from the host; the host's still come here.
pub fn follow_host_only() -> io::Result<()> {
    mount(None, c"/", None, libc::MS_REC | libc::MS_SLAVE, None)
}

/// No programs, devices or privileges come from what the kernel itself shows.
const KERNEL_FILES: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// Mounts the processes of this PID namespace over `/proc`.
pub fn mount_proc(read_only: bool) -> io::Result<()> {
    let read_only = if read_only { libc::MS_RDONLY } else { 0 };
    mount(Some(c"proc"), c"/proc", Some(c"proc"), KERNEL_FILES | read_only, None)
}

/// Makes `/proc`, as it is mounted in this namespace, one to read only.
pub fn make_proc_read_only() -> io::Result<()> {
    mount(None, c"/proc", None, libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | KERNEL_FILES, None)
}

/// Makes `/sys`, and whatever is mounted below it in this namespace, ones to read only.
pub fn make_sys_read_only() -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const MOUNT_ATTR_RDONLY: u64 = 1;
    const AT_RECURSIVE: libc::c_int = 0x8000;
    let wanted = MountAttr { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace: 0 };
    let (path, at, size) = (c"/sys".as_ptr(), libc::AT_FDCWD, size_of::<MountAttr>());
    // SAFETY: the path ends with a zero byte, and the kernel reads no more than the size says.
    let set = unsafe { libc::syscall(libc::SYS_mount_setattr, at, path, AT_RECURSIVE, &raw const wanted, size) };
    match check_long(set) {
        // Before Linux 5.12: one after the other.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {}
        set => return set.map(drop),
    }
    for found in crate::procfs::mounts()?.iter().filter(|found| found.target.starts_with("/sys")) {
        let target = crate::files::c_path(&found.target)?;
        mount(None, &target, None, libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | KERNEL_FILES, None)?;
    }
    Ok(())
}

/// Something that the kernel shows at a path, and that is not to be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    path: CString,
    is_directory: bool,
    /// Other users than root can look into it.
    pub is_open: bool,
}

impl Mask {
    /// What is to be hidden at `path`, if there is anything; an empty directory is nothing.
    pub fn of(path: &CStr) -> Option<Mask> {
        // SAFETY: it is integers.
        let mut found = unsafe { std::mem::zeroed::<libc::stat>() };
        // SAFETY: the path ends with a zero byte, and `found` is a valid place for the answer.
        check(unsafe { libc::lstat(path.as_ptr(), &mut found) }).ok()?;
        let is_directory = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let inside =
            || std::fs::read_dir(std::ffi::OsStr::from_bytes(path.to_bytes())).map(|mut all| all.next().is_some());
        if is_directory && !inside().unwrap_or(true) {
            return None;
        }
        Some(Mask { path: path.to_owned(), is_directory, is_open: found.st_mode & 0o004 != 0 })
    }

    /// Hides it in this namespace: behind an empty directory, or behind `/dev/null`.
    pub fn put_on(&self) -> io::Result<()> {
        let flags = KERNEL_FILES | libc::MS_RDONLY;
        match self.is_directory {
            true => mount(Some(c"tmpfs"), &self.path, Some(c"tmpfs"), flags, Some(c"size=0,mode=555")),
            false => mount(Some(c"/dev/null"), &self.path, None, libc::MS_BIND, None),
        }
    }
}

/// Mounts an empty `/dev/shm`.
pub fn mount_shm(options: &CStr) -> io::Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_STRICTATIME;
    mount(Some(c"tmpfs"), c"/dev/shm", Some(c"tmpfs"), flags, Some(options))
}

fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    options: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    let data = pointer(options).cast();
    // SAFETY: each pointer is null or a text that ends with a zero byte.
    check(unsafe { libc::mount(pointer(source), target.as_ptr(), pointer(kind), flags, data) }).map(drop)
}

pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `name`.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Moves the calling thread into namespaces: of a process when `fd` is a pidfd, else the one `fd` is.
pub fn enter(fd: RawFd, namespaces: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::setns(fd, namespaces) }).map(drop)
}

pub fn leave(namespaces: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}
