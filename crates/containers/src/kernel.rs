//! Every raw system call of this crate, under safe names. No policy: who calls what, and when, is decided elsewhere.
//!
//! `clone` starts processes, `pidfd` holds on to them, `procfs` looks at them, `files` opens and writes, `socket` talks, `mounts` and
//! `credentials` act on the calling process.

pub mod clone;
pub mod credentials;
pub mod files;
pub mod mounts;
pub mod pidfd;
pub mod procfs;
pub mod socket;

use std::io;

/// The result of a libc call that answers -1 on failure.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that answer a long.
pub fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
