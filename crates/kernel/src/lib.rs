//! Every raw system call of the house, under safe names; knows Linux, and no policy: who calls what, and when, is
//! decided elsewhere.
//!
//! `clone` starts processes, `pidfd` holds on to them, `procfs` looks at them, `process`, `signals`, `limits`,
//! `mounts`, `credentials`, `capabilities` and `seccomp` act on the calling one. `files` opens and writes what is
//! trusted, `beneath` what lies where somebody else can write, `remove` takes whole trees away,
//! `tree_use` counts what they take. `socket` talks, `poll` waits, `tcp` finds the far ends of connections.

pub mod beneath;
pub mod capabilities;
pub mod clone;
pub mod credentials;
mod entries;
pub mod files;
pub mod limits;
pub mod memory;
pub mod mounts;
pub mod pidfd;
pub mod poll;
pub mod process;
pub mod procfs;
pub mod remove;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod tcp;
pub mod tree_use;

pub use beneath::{How, open_beneath, status};
pub use limits::Rlimit;
pub use remove::{Removal, RemoveError, empty_directory, remove_tree};
pub use tree_use::TreeUse;

use std::io;

/// The result of a libc call that answers -1 on failure.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that answer a long.
pub(crate) fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Fills `bytes` from the kernel's generator.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the pointer and the length describe `rest`.
        match check_long(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) } as libc::c_long) {
            Ok(count) => filled += count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The bytes of a page of memory.
pub fn page_bytes() -> u64 {
    // SAFETY: asks for a constant.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as u64
}

/// How many of the ticks that processes' times are counted in make a second.
pub fn ticks_per_second() -> u64 {
    // SAFETY: asks for a constant.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64
}
