//! The calling process among others: its session, its children, how it is scheduled.

use crate::check;
use std::{io, ptr};

pub fn start_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Orphans of this process's descendants become its children.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Reaps one child that has ended: its id and raw wait status.
pub fn reap_any() -> Option<(u32, i32)> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the status.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid as u32, status))
}

/// Waits for one child, whichever; `None` when there is none left.
pub fn wait_any() -> Option<(u32, i32)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the status.
        let pid = unsafe { libc::waitpid(-1, &mut status, 0) };
        if pid > 0 {
            return Some((pid as u32, status));
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// Whether this process has any child, ended or not. Nothing is reaped.
pub fn has_children() -> bool {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel accepts a null place for the information.
    unsafe { libc::waitid(libc::P_ALL, 0, ptr::null_mut(), flags) == 0 }
}

/// Schedules the calling thread, and what it starts from now on, as programs commonly are, whatever its parent chose.
pub fn schedule_normally() -> io::Result<()> {
    // SAFETY: the parameters are integers.
    let parameters = unsafe { std::mem::zeroed::<libc::sched_param>() };
    // SAFETY: the kernel reads one valid value.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) }).map(drop)
}
