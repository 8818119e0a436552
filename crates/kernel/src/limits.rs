//! Resource limits of the calling process.

use crate::{check, check_long};
use std::{io, ptr, sync::OnceLock};

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

/// How many this process might open when this was first asked, before anything in it raised the limit: what programs
/// that it starts should get.
pub fn original_descriptors() -> io::Result<Rlimit> {
    static FIRST: OnceLock<Rlimit> = OnceLock::new();
    let now = descriptors()?;
    Ok(*FIRST.get_or_init(|| now))
}

/// Lets this process open as many descriptors as it may ever; gives how many those are.
pub fn raise_descriptors() -> io::Result<u64> {
    let limit = original_descriptors().and_then(|_| descriptors())?;
    if limit.soft < limit.hard {
        set(&Rlimit { soft: limit.hard, ..limit })?;
    }
    Ok(limit.hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_the_first_one_remembered() {
        let before = descriptors().unwrap();
        assert_eq!(raise_descriptors().unwrap(), before.hard);
        assert_eq!(descriptors().unwrap().soft, before.hard);
        assert_eq!(original_descriptors().unwrap(), before);
    }
}
