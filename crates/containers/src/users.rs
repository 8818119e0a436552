//! User names and their ids, looked up as the host is configured (files, LDAP, …) and remembered for a short while,
//! since a lookup may cost more than a launch.

use crate::record::UserIds;
use std::{
    collections::BTreeMap,
    ffi::CString,
    io, ptr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const REMEMBERED: Duration = Duration::from_secs(10);
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub struct Users {
    known: Mutex<BTreeMap<String, (Instant, UserIds)>>,
}

impl Users {
    pub fn find(&self, name: &str) -> Result<UserIds, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, ids)) = known.get(name)
            && at.elapsed() < REMEMBERED
        {
            return Ok(ids.clone());
        }
        let ids = look_up(name)?;
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), ids.clone()));
        Ok(ids)
    }
}

fn look_up(name: &str) -> Result<UserIds, String> {
    let c_name = CString::new(name).map_err(|_| "the name holds a NUL character".to_owned())?;
    let mut entry = unsafe { std::mem::zeroed::<libc::passwd>() };
    let mut buffer = vec![0u8; 4096];
    loop {
        let mut found = ptr::null_mut();
        let (at, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        match unsafe { libc::getpwnam_r(c_name.as_ptr(), &mut entry, at, length, &mut found) } {
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 2, 0),
            _ if !found.is_null() => break,
            0 | libc::ENOENT | libc::ESRCH => return Err("no such user on this host".to_owned()),
            error => return Err(io::Error::from_raw_os_error(error).to_string()),
        }
    }
    let mut groups = vec![0; 64];
    let mut count = groups.len() as libc::c_int;
    while unsafe { libc::getgrouplist(c_name.as_ptr(), entry.pw_gid, groups.as_mut_ptr(), &mut count) } < 0 {
        if groups.len() >= 1 << 16 {
            return Err("the user is in too many groups".to_owned());
        }
        groups.resize(groups.len() * 2, 0);
        count = groups.len() as libc::c_int;
    }
    groups.truncate(count.max(0) as usize);
    Ok(UserIds { uid: entry.pw_uid, gid: entry.pw_gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nonsense_is_not() {
        let users = Users::default();
        assert_eq!(users.find("root").map(|ids| ids.uid), Ok(0));
        assert_eq!(users.find("root").map(|ids| ids.uid), Ok(0));
        assert!(users.find("no-such-user-here").unwrap_err().contains("no such user"));
    }
}
