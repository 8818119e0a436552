//! Users of this host and their numbers. The host's own files are read here; other sources (LDAP, systemd, …) are asked
//! through `getent` and `id`, since their modules cannot be loaded into a statically linked program.

use std::{
    fs,
    process::{Command, Stdio},
};

/// Whom a process can be.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
    /// All groups, the user's own first.
    pub groups: Vec<u32>,
    /// Where the user is at home; nothing needs to be there.
    pub home: String,
}

/// The name of the user with this number, if it has one.
pub fn name_of(uid: u32) -> Option<String> {
    let named = |passwd: &str| name_with(passwd, uid);
    fs::read_to_string("/etc/passwd")
        .ok()
        .as_deref()
        .and_then(named)
        .or_else(|| named(&ask("getent", &["passwd", &uid.to_string()])?))
}

/// The ids of the user called `name`, or why there are none.
pub fn find(name: &str) -> Result<Ids, String> {
    if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '\0']) {
        return Err("this is no name of a user".to_owned());
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if let Some(ids) = find_ids(&passwd, name) {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        return Ok(Ids { groups: find_groups(&groups, name, ids.gid), ..ids });
    }
    let unknown = || "no such user on this host".to_owned();
    let ids = find_ids(&ask("getent", &["passwd", name]).ok_or_else(unknown)?, name).ok_or_else(unknown)?;
    let groups = ask("id", &["-G", name]).unwrap_or_default();
    let mut groups: Vec<u32> = groups.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect();
    if groups.is_empty() {
        groups.push(ids.gid);
    }
    Ok(Ids { groups, ..ids })
}

fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What stands in lines of passwd(5), which is all but the groups.
fn find_ids(passwd: &str, name: &str) -> Option<Ids> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let mut fields = fields.skip(1);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Ids { uid, gid, groups: Vec::new(), home: fields.nth(1).unwrap_or_default().to_owned() })
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

/// The first name in lines of passwd(5) or group(5) whose number is `number`.
pub fn name_with(lines: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let mut fields = lines.lines().map(|line| line.split(':'));
    fields.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nonsense_is_not() {
        assert_eq!(find("root").map(|ids| ids.uid), Ok(0));
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert!(find("no-such-user-here").unwrap_err().contains("no such user"));
        assert!(find("-G").is_err() && find("a:b").is_err());
    }

    #[test]
    fn ids_and_groups_are_read_from_the_files() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbad:x:y\n";
        let ann = Ids { uid: 1000, gid: 1001, groups: Vec::new(), home: "/home/ann".to_owned() };
        assert_eq!(find_ids(passwd, "ann"), Some(ann));
        assert_eq!(find_ids(passwd, "bad"), None);
        assert_eq!(find_ids(passwd, "an"), None);
        assert_eq!(name_with(passwd, 1000).as_deref(), Some("ann"));
        let group = "wheel:x:10:bob,ann\nann:x:1001:\nann2:x:11:annette\nagain:x:10:ann\nbroken\n";
        assert_eq!(find_groups(group, "ann", 1001), [1001, 10]);
    }
}
