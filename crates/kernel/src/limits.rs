//! Resource limits of the calling process.

use crate::{check, check_long};
use std::{io, ptr};

/// One resource limit, by the kernel's number (`libc::RLIMIT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub resource: u32,
    /// `u64::MAX` is unlimited.
    pub soft: u64,
    pub hard: u64,
}

pub fn set(limit: &Rlimit) -> io::Result<()> {
    let new = [limit.soft, limit.hard];
    let old = ptr::null_mut::<u64>();
    // SAFETY: the kernel reads two words from `new` and writes nothing.
    check_long(unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource, new.as_ptr(), old) }).map(drop)
}

/// How many descriptors this process may open.
pub fn descriptors() -> io::Result<Rlimit> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `found` is a valid place for the answer.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut found) })?;
    Ok(Rlimit { resource: libc::RLIMIT_NOFILE, soft: found.rlim_cur, hard: found.rlim_max })
}
