//! Who the calling process is: user, groups, capabilities. Most of it is for processes of one thread.

use crate::{
    capabilities::{self, Bounds, Capabilities},
    check, check_long,
};
use std::{
    io,
    path::{Path, PathBuf},
};

pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

pub fn own_ids() -> (u32, u32) {
    // SAFETY: takes nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Makes the calling thread somebody else for good: who, and with which capabilities. Allocates nothing and takes no
/// lock.
pub fn become_user(user: Option<User<'_>>, bounds: Option<&Bounds>) -> io::Result<()> {
    let root = user.map_or_else(is_root, |user| user.uid == 0);
    if let Some(bounds) = bounds {
        capabilities::bound(bounds.bounding)?;
        if !root && !bounds.ambient.is_empty() {
            capabilities::keep_over_change_of_user()?;
        }
    }
    if let Some(User { uid, gid, groups }) = user {
        // libc's own calls would ask every thread of the process.
        // SAFETY: the pointer and the length describe `groups`; the other calls take numbers only.
        unsafe {
            check_long(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
            check_long(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            check_long(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
        }
    }
    match bounds {
        Some(bounds) if root => capabilities::set(bounds.effective, Capabilities::NONE),
        Some(bounds) => {
            capabilities::set(bounds.ambient, bounds.ambient)?;
            capabilities::make_ambient(bounds.ambient)
        }
        None => Ok(()),
    }
}

/// Whom a process can be.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    pub uid: u32,
    pub gid: u32,
    pub groups: &'a [u32],
}

/// Does `job` with the rights of a user over files, by this thread alone: what it opens and makes is opened and made as
/// by that user. Otherwise the thread stays who it is, so that the user can neither signal nor trace it.
pub fn with_rights_of<T>(uid: u32, gid: u32, groups: &[u32], job: impl FnOnce() -> T) -> io::Result<T> {
    let before = Rights { uid: file_uid(u32::MAX), gid: file_gid(u32::MAX), groups: own_groups()? };
    let back = Restore(before);
    set_rights(uid, gid, groups)?;
    let done = job();
    drop(back);
    Ok(done)
}

/// The directory above `path` that a user cannot come through, if there is one. `path` must be there.
pub fn find_barrier(path: &Path, uid: u32, gid: u32, groups: &[u32]) -> io::Result<Option<PathBuf>> {
    let is_closed = |path: &Path| match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    };
    with_rights_of(uid, gid, groups, || {
        if !is_closed(path)? {
            return Ok(None);
        }
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for (directory, inside) in above.iter().zip(above.iter().skip(1)) {
            if is_closed(inside)? {
                return Ok(Some(directory.to_path_buf()));
            }
        }
        Ok(None)
    })?
}

struct Rights {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

struct Restore(Rights);

impl Drop for Restore {
    fn drop(&mut self) {
        let Rights { uid, gid, groups } = &self.0;
        if set_rights(*uid, *gid, groups).is_err() {
            // Nothing that follows on this thread could be trusted.
            std::process::abort();
        }
    }
}

/// Only what concerns files is set, and so only the capabilities over files come and go with it.
fn set_rights(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // libc's own call would change every thread of the process.
    // SAFETY: the pointer and the length describe `groups`.
    check_long(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    file_gid(gid);
    file_uid(uid);
    // These calls tell no failure; asked again they tell what is.
    let refused = file_gid(u32::MAX) != gid || file_uid(u32::MAX) != uid;
    if refused { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// Sets the user that counts for files and gives the one before; -1 sets nothing.
fn file_uid(uid: u32) -> u32 {
    // SAFETY: takes and gives numbers only.
    unsafe { libc::syscall(libc::SYS_setfsuid, uid) as u32 }
}

fn file_gid(gid: u32) -> u32 {
    // SAFETY: takes and gives numbers only.
    unsafe { libc::syscall(libc::SYS_setfsgid, gid) as u32 }
}

fn own_groups() -> io::Result<Vec<u32>> {
    // SAFETY: asked for none, the call gives their number and writes nothing.
    let count = check(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; count as usize];
    // SAFETY: the pointer and the length describe `groups`.
    let count = check(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(count as usize);
    Ok(groups)
}

/// The content of uid_map and gid_map that lets the calling user be itself inside a new user namespace.
pub fn identity_maps() -> (Vec<u8>, Vec<u8>) {
    let (uid, gid) = own_ids();
    (format!("{uid} {uid} 1").into_bytes(), format!("{gid} {gid} 1").into_bytes())
}

/// Writes the maps of the user namespace this process was born in. Its ids read as unmapped until then, so `ids` are
/// those it had before.
pub fn map_own_user(ids: (u32, u32)) -> io::Result<()> {
    let (uid, gid) = ids;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::MetadataExt};

    #[test]
    fn rights_over_files_are_the_users_and_come_back() {
        if !is_root() {
            testkit::skip("it takes the rights of another user: run it as root");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534)).unwrap();
        with_rights_of(65534, 65534, &[65534], || {
            assert!(fs::read(&secret).is_err());
            assert!(fs::write("/etc/made-by-a-test", "").is_err());
            fs::write(directory.path().join("own"), "").unwrap();
            assert_eq!(own_ids().0, 0, "it can still not be signalled by the user");
        })
        .unwrap();
        let own = fs::metadata(directory.path().join("own")).unwrap();
        assert_eq!((own.uid(), own.gid()), (65534, 65534));
        assert_eq!(fs::read(&secret).unwrap(), b"x");
    }

    #[test]
    fn the_first_directory_that_keeps_a_user_out_is_found() {
        if !is_root() {
            testkit::skip("it takes the rights of another user: run it as root");
            return;
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode;
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("a/b/c");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(home.path(), open(0o755)).unwrap();
        let barrier = || find_barrier(&inside, 65534, 65534, &[]).unwrap();
        assert_eq!(barrier(), None);
        fs::set_permissions(home.path().join("a/b"), open(0o700)).unwrap();
        assert_eq!(barrier(), Some(home.path().join("a/b")));
        fs::set_permissions(home.path().join("a"), open(0o750)).unwrap();
        assert_eq!(barrier(), Some(home.path().join("a")));
        std::os::unix::fs::chown(home.path().join("a"), None, Some(65534)).unwrap();
        std::os::unix::fs::chown(home.path().join("a/b"), Some(65534), None).unwrap();
        assert_eq!(barrier(), None, "its group and it itself may");
    }
}
