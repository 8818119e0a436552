//! Mounts, host name and namespaces of the calling process, which the launcher sets up for the container it is in.

use crate::check;
use std::{ffi::CStr, io, os::fd::RawFd, ptr};

/// Keeps this namespace's mounts from the host; the host's still come here.
pub fn follow_host_only() -> io::Result<()> {
    mount(None, c"/", None, libc::MS_REC | libc::MS_SLAVE, None)
}

/// Mounts the processes of this PID namespace over `/proc`.
pub fn mount_proc() -> io::Result<()> {
    mount(Some(c"proc"), c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, None)
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
