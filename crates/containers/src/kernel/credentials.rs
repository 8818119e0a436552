//! Who the calling process is: user, groups, capabilities, limits, signals. For the launcher, which has one thread.

use super::{check, check_long};
use crate::Rlimit;
use std::{io, ptr};

pub fn is_root() -> bool {
    unsafe { libc::geteuid() == 0 }
}

pub fn own_ids() -> (u32, u32) {
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Switches user and groups for good.
pub fn switch_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()))?;
        check(libc::setgid(gid))?;
        check(libc::setuid(uid))?;
    }
    Ok(())
}

/// The content of uid_map and gid_map that lets the calling user be itself inside a new user namespace.
pub fn identity_maps() -> (Vec<u8>, Vec<u8>) {
    let (uid, gid) = own_ids();
    (format!("{uid} {uid} 1").into_bytes(), format!("{gid} {gid} 1").into_bytes())
}

/// Writes the maps of the user namespace this process was born in. Its ids read as unmapped until then, so `ids` are those
/// it had before.
pub fn map_own_user(ids: (u32, u32)) -> io::Result<()> {
    let (uid, gid) = ids;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

pub fn start_session() -> io::Result<()> {
    check(unsafe { libc::setsid() }).map(drop)
}

/// Gives up every capability, in every set.
pub fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let sets = [[0u32; 3]; 2];
    check_long(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

pub fn set_rlimit(limit: &Rlimit) -> io::Result<()> {
    let new = [limit.soft, limit.hard];
    let old = ptr::null_mut::<u64>();
    check_long(unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource, new.as_ptr(), old) }).map(drop)
}

/// How many descriptors this process may open.
pub fn descriptor_limit() -> io::Result<Rlimit> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut found) })?;
    Ok(Rlimit { resource: libc::RLIMIT_NOFILE, soft: found.rlim_cur, hard: found.rlim_max })
}

/// Orphans of this process's descendants become its children.
pub fn become_subreaper() -> io::Result<()> {
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Blocks every signal. SIGPIPE stays ignored, as Rust programs start; what they start gets it back.
pub fn block_signals() {
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
}

pub fn unblock_signals() {
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Waits for the next blocked signal.
pub fn next_signal() -> i32 {
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        loop {
            let signal = libc::sigwaitinfo(&all, ptr::null_mut());
            if signal > 0 {
                return signal;
            }
        }
    }
}

/// Reaps one child that has ended: its id and raw wait status.
pub fn reap_any() -> Option<(u32, i32)> {
    let mut status = 0;
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid as u32, status))
}

/// Waits for one child, whichever; `None` when there is none left.
pub fn wait_any() -> Option<(u32, i32)> {
    loop {
        let mut status = 0;
        let pid = unsafe { libc::waitpid(-1, &mut status, 0) };
        if pid > 0 {
            return Some((pid as u32, status));
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}
