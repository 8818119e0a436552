//! Signals: which of them the calling thread takes, and sending them by process id. What is held by descriptor is
//! signalled through `pidfd`.

use crate::check;
use std::{io, ptr};

/// Blocks every signal. SIGPIPE stays ignored, as Rust programs start; what they start gets it back.
pub fn block() {
    // SAFETY: a set of signals is integers, and both calls get a valid one.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
}

pub fn unblock() {
    // SAFETY: as in `block`.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Waits for the next blocked signal.
pub fn next() -> i32 {
    // SAFETY: as in `block`; where the signal came from is not asked.
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

/// Sends `signal` to the process `pid`, to the group `-pid`, or with -1 to everything there is in the PID namespace but
/// its first process and the caller.
pub fn send(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes and gives numbers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}
