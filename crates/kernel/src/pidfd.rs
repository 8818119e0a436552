//! Processes held by descriptor, so that a recycled process id is never mistaken for the process meant.

use crate::{check, check_long};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

/// Opens the process `pid`; the caller checks that it is the one meant.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = check_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the descriptor was just opened and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

pub fn signal(pidfd: &impl AsFd, signal: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the kernel makes the information up when it gets none.
    check_long(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, 0) }).map(drop)
}

/// Waits until the process has ended and reaps it. `None` when it is no child of ours.
pub fn reap(pidfd: &impl AsFd) -> io::Result<Option<i32>> {
    loop {
        // SAFETY: it is integers.
        let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
        let id = pidfd.as_fd().as_raw_fd() as libc::id_t;
        // SAFETY: `info` is a valid place for the answer.
        match check(unsafe { libc::waitid(libc::P_PIDFD, id, &mut info, libc::WEXITED) }) {
            // SAFETY: after `waitid` this field is the one in use.
            Ok(_) => return Ok(Some(wait_word(info.si_code, unsafe { info.si_status() }))),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait_word(code: i32, status: i32) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }
}

/// The wait status of a process that somebody else has reaped, where the kernel still tells it (Linux 6.15 and newer).
pub fn exit_status(pidfd: &impl AsFd) -> Option<i32> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup_id: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    // _IOWR(0xFF, 11, struct of 64 bytes)
    let request: u64 = (3 << 30) | ((size_of::<PidfdInfo>() as u64) << 16) | (0xff << 8) | 11;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the kernel writes no more than the size that `request` names.
    let result = unsafe { libc::ioctl(fd, request as _, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// Whether the process has ended (reaped or not).
pub fn has_ended(pidfd: &impl AsFd) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one valid entry.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 && poll.revents & (libc::POLLIN | libc::POLLHUP) != 0 }
}
