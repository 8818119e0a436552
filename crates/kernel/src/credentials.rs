//! Who the calling process is: user, groups, capabilities. Most of it is for processes of one thread.

use crate::{check, check_long};
use std::io;

pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

pub fn own_ids() -> (u32, u32) {
    // SAFETY: takes nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Switches user and groups for good.
pub fn switch_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `groups`.
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

/// Gives up every capability, in every set.
pub fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let sets = [[0u32; 3]; 2];
    // SAFETY: version 3 has a header of two words and two sets of three.
    check_long(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}
