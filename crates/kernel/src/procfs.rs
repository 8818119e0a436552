//! What `/proc` tells about processes and mounts.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The fields of `/proc/<pid>/stat` in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    pub state: u8,
    pub parent: u32,
    pub session: u32,
    /// Clock ticks of this process alone, user and system, and of the children it has reaped.
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub children_user_ticks: u64,
    pub children_system_ticks: u64,
    pub threads: u32,
    /// Clock ticks since boot: with the id, names a process for good.
    pub start: u64,
    pub rss_pages: u64,
}

pub fn own_stat() -> io::Result<Stat> {
    read_stat(Path::new("/proc/self/stat"))
}

pub fn stat(pid: u32) -> io::Result<Stat> {
    read_stat(Path::new(&format!("/proc/{pid}/stat")))
}

fn read_stat(path: &Path) -> io::Result<Stat> {
    let mut buffer = [0u8; 1024];
    let length = fs::File::open(path)?.read(&mut buffer)?;
    let text = buffer.get(..length).unwrap_or_default();
    parse_stat(text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The command's name may hold anything, so fields count from the last closing parenthesis.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let pid = std::str::from_utf8(line.split(|&byte| byte == b' ').next()?).ok()?.parse().ok()?;
    let rest = std::str::from_utf8(line.get(close + 2..)?).ok()?;
    let fields: [&str; 22] = {
        let mut fields = [""; 22];
        let mut found = 0;
        for (slot, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *slot = field;
            found += 1;
        }
        if found < 22 {
            return None;
        }
        fields
    };
    // Field n of proc(5) is fields[n - 3].
    let number = |n: usize| fields.get(n - 3)?.parse::<i64>().ok().map(|value| value.max(0) as u64);
    Some(Stat {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: number(4)? as u32,
        session: number(6)? as u32,
        user_ticks: number(14)?,
        system_ticks: number(15)?,
        children_user_ticks: number(16)?,
        children_system_ticks: number(17)?,
        threads: number(20)? as u32,
        start: fields.get(19)?.parse().ok()?,
        rss_pages: number(24)?,
    })
}

/// Every process there is.
pub fn all_stats() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| stat(pid).ok())
        .collect()
}

/// The processes below `root`, without it, parents before children.
pub fn descendants(root: u32, all: &[Stat]) -> Vec<Stat> {
    let mut found: Vec<Stat> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for stat in all.iter().filter(|stat| stat.parent == parent) {
            if stat.pid != root && !found.iter().any(|seen| seen.pid == stat.pid) {
                found.push(*stat);
                parents.push(stat.pid);
            }
        }
    }
    found
}

/// The children of the calling process.
pub fn own_children() -> Vec<u32> {
    // SAFETY: takes nothing and cannot fail.
    let path = format!("/proc/self/task/{}/children", unsafe { libc::syscall(libc::SYS_gettid) });
    match fs::read_to_string(path) {
        Ok(text) => text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => {
            let own = own_stat().map_or(0, |stat| stat.pid);
            all_stats().into_iter().filter(|stat| stat.parent == own).map(|stat| stat.pid).collect()
        }
    }
}

/// The value of a variable in the environment of `pid`; `None` without it, and where that may not be read.
pub fn find_environment(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let of_name =
        |variable: &&[u8]| variable.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='));
    let variable = environ.split(|&byte| byte == 0).find(of_name)?;
    variable.get(name.len() + 1..).map(<[u8]>::to_vec)
}

/// Whether the environment of `pid` holds exactly `entry` (`NAME=value`).
pub fn has_environment(pid: u32, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|variable| variable == entry.as_bytes()))
}

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub target: PathBuf,
    pub kind: String,
    /// The options of the file system itself.
    pub options: Vec<String>,
}

pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?))
}

fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let target = unescape(head.split(' ').nth(4)?);
            let mut tail = tail.split(' ');
            let kind = tail.next()?.to_owned();
            let options = tail.nth(1).unwrap_or("").split(',').map(str::to_owned).collect();
            Some(Mount { target: target.into(), kind, options })
        })
        .collect()
}

/// Blank, tab, newline and backslash stand in mountinfo as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_survives_a_nasty_name() {
        let line = b"4711 (a) R 1 (b) S 12 4711 13 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 3 0 987654 1000 42 18446744073709551615 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent, stat.session), (4711, b'S', 12, 13));
        assert_eq!(
            (stat.user_ticks, stat.system_ticks, stat.children_user_ticks, stat.children_system_ticks),
            (50, 60, 70, 80)
        );
        assert_eq!((stat.threads, stat.start, stat.rss_pages), (3, 987_654, 42));
        assert_eq!(parse_stat(b"1 (x"), None);
        assert_eq!(parse_stat(b"1 (x) S 1"), None);
    }

    #[test]
    fn our_own_stat_is_right() {
        let stat = own_stat().unwrap();
        assert_eq!(stat.pid, std::process::id());
        assert_eq!(super::stat(stat.pid).unwrap().start, stat.start);
    }

    #[test]
    fn mounts_are_read_with_their_options() {
        let text = "24 30 0:22 / /sys/fs/cgroup/cpu\\040x rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].target, PathBuf::from("/sys/fs/cgroup/cpu x"));
        assert_eq!(mounts[0].options, ["rw", "cpu", "cpuacct"]);
    }

    #[test]
    fn descendants_are_found_across_levels() {
        let own = own_stat().unwrap();
        let make = |pid, parent| Stat { pid, parent, ..own };
        let all = [make(2, 1), make(4, 3), make(3, 2), make(9, 1), make(5, 5)];
        let pids: Vec<u32> = descendants(2, &all).iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [3, 4]);
    }
}
