//! User names and their ids. The files of this host are read here; other sources (LDAP, systemd, …) are asked through
//! `getent` and `id`, since their modules cannot be loaded into a statically linked program. Remembered for a short
//! while: a lookup may cost more than a launch.

use crate::{handle::lock, record::UserIds};
use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    sync::Mutex,
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
        let mut known = lock(&self.known);
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
    if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '\0']) {
        return Err("this is no name of a user".to_owned());
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if let Some((uid, gid)) = find_ids(&passwd, name) {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        return Ok(UserIds { uid, gid, groups: find_groups(&groups, name, gid) });
    }
    let unknown = || "no such user on this host".to_owned();
    let (uid, gid) = find_ids(&ask("getent", &["passwd", name]).ok_or_else(unknown)?, name).ok_or_else(unknown)?;
    let groups = ask("id", &["-G", name]).unwrap_or_default();
    let mut groups: Vec<u32> = groups.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect();
    if groups.is_empty() {
        groups.push(gid);
    }
    Ok(UserIds { uid, gid, groups })
}

fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The ids in lines of passwd(5).
fn find_ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let mut fields = fields.skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// The user's own group, and those whose lines of group(5) list it.
fn find_groups(group: &str, name: &str, own: u32) -> Vec<u32> {
    let mut groups = vec![own];
    for line in group.lines() {
        let mut fields = line.split(':').skip(2);
        let (Some(Ok(gid)), Some(members)) = (fields.next().map(str::parse), fields.next()) else { continue };
        if members.split(',').any(|member| member == name) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    groups
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
        assert!(users.find("-G").is_err() && users.find("a:b").is_err());
    }

    #[test]
    fn ids_and_groups_are_read_from_the_files() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbad:x:y\n";
        assert_eq!(find_ids(passwd, "ann"), Some((1000, 1001)));
        assert_eq!(find_ids(passwd, "bad"), None);
        assert_eq!(find_ids(passwd, "an"), None);
        let group = "wheel:x:10:bob,ann\nann:x:1001:\nann2:x:11:annette\nagain:x:10:ann\nbroken\n";
        assert_eq!(find_groups(group, "ann", 1001), [1001, 10]);
    }
}
