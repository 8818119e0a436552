//! The record of one container: what the agent wants run, and what the launcher and the agent append of what became
//! of it, in one file (`shelf`). It outlives the agent, so that a later one finds the container again and learns how it
//! ended. Compact, and read with few allocations, since every container reads its own at start.
//!
//! A frame is a tag byte, a length, a CRC-32 of these two, one of the content, and the content: what a disk or a memory
//! damages is told. Only a loss of whole frames at the end leaves no trace. Records from before there were sums begin
//! with other letters and are read, and appended to, as they are.

use crate::{ContainerId, ExecutorKind, Gap, Limitation, LimitationReason, Limits, Program, Rlimit, Termination};
use kernel::{
    capabilities::{Bounds, Capabilities},
    procfs::Stat,
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The descriptor a launcher finds its record at, open for reading and appending.
pub const LAUNCHER_FD: i32 = 3;
/// The descriptor, the next one, a launcher finds its parent container's pidfd at if it has to enter namespaces.
pub const PARENT_FD: i32 = 4;

const MAGIC: &[u8; 4] = b"MSC2";
/// Without sums.
const FORMER: &[u8; 4] = b"MSC1";

/// What the agent decided for the launcher, and what it wants to know again after a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    pub id: ContainerId,
    pub tag: String,
    pub sandbox: PathBuf,
    pub program: Program,
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    pub user: Option<UserIds>,
    pub rlimits: Vec<Rlimit>,
    pub hostname: Option<String>,
    pub setup: Setup,
    pub shm_bytes: Option<u64>,
    pub oom_score_adj: Option<i32>,
    pub limits: Limits,
    pub restrictions: Restrictions,
    /// What the container asked for beside limits and has not got.
    pub gaps: Vec<Gap>,
}

/// What the program may not do, whoever it runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Restrictions {
    pub capabilities: Option<Bounds>,
    pub no_new_privileges: bool,
    pub seccomp: bool,
    /// The kernel's files are there to read only.
    pub kernel_files: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// What the launcher does before the program, and how the agent ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Setup {
    /// Is process 1 of its own PID namespace.
    pub own_pid: bool,
    /// Is in a mount namespace of its own: keeps mounts from the host.
    pub own_mounts: bool,
    /// Enters these namespaces of the process at `PARENT_FD` first.
    pub enter: i32,
    /// Then leaves these for fresh ones.
    pub leave: i32,
    /// Mounts a `/dev/shm` of its own.
    pub own_shm: bool,
    /// Runs in a user namespace with capabilities that only the setup may use.
    pub user_namespace: bool,
    pub cgroups: CgroupUse,
}

/// Which cgroups belong to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CgroupUse {
    /// None of its own: its parent's, or none at all.
    #[default]
    None,
    /// Only one to hold its processes together.
    Processes,
    /// Its own with limits.
    Limits,
    /// Its own with limits, and one to hold its processes together.
    LimitsAndProcesses,
}

impl CgroupUse {
    pub fn new(limits: bool, processes: bool) -> CgroupUse {
        match (limits, processes) {
            (false, false) => CgroupUse::None,
            (false, true) => CgroupUse::Processes,
            (true, false) => CgroupUse::Limits,
            (true, true) => CgroupUse::LimitsAndProcesses,
        }
    }

    pub fn limits(self) -> bool {
        matches!(self, CgroupUse::Limits | CgroupUse::LimitsAndProcesses)
    }

    pub fn processes(self) -> bool {
        matches!(self, CgroupUse::Processes | CgroupUse::LimitsAndProcesses)
    }
}

/// Everything a record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub launch: Launch,
    pub process: Option<Process>,
    /// The raw wait status of the program, written by the launcher.
    pub status: Option<i32>,
    /// Why the launcher could not run the program.
    pub failure: Option<String>,
    /// The agent saw the end of the container.
    pub termination: Option<Termination>,
    /// Nothing may be started from this record any more.
    pub revoked: bool,
}

/// Names the container's first process for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub start: u64,
}

impl From<&Stat> for Process {
    fn from(stat: &Stat) -> Process {
        Process { pid: stat.pid, start: stat.start }
    }
}

/// What is appended to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// From the launcher, before it does anything: the container is this process.
    Process(Process),
    /// From the agent: a launcher that has not named itself yet must not go on.
    Revoked,
    Status(i32),
    Failure(String),
    Termination(Termination),
    Limits(Limits),
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{what} at offset {at} cannot be read")]
pub struct Damaged {
    pub at: usize,
    pub what: &'static str,
    /// What the rest of it says.
    pub rest: Option<Box<Record>>,
}

impl Record {
    /// Reads the record the launcher was given.
    pub fn read_fd(file: &mut File) -> io::Result<Record> {
        let mut bytes = Vec::with_capacity(4096);
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Record::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    pub fn parse(bytes: &[u8]) -> Result<Record, Damaged> {
        let unreadable = |at, what| Damaged { at, what, rest: None };
        let format = Format::of(bytes).ok_or(unreadable(0, "the name of a record"))?;
        let mut at = MAGIC.len();
        let first = match format.see(bytes, at) {
            Seen::Frame { tag: b'L', body, next } => {
                at = next;
                read_launch(&mut Reader(body))
            }
            _ => None,
        };
        let mut record = Record {
            launch: first.ok_or(unreadable(MAGIC.len(), "what the container is"))?,
            process: None,
            status: None,
            failure: None,
            termination: None,
            revoked: false,
        };
        let mut damage = None;
        while at < bytes.len() {
            let (frame, next) = match format.see(bytes, at) {
                Seen::Frame { tag, body, next } => (read_frame(tag, body), next),
                Seen::Header { next } => (None, next.min(bytes.len())),
                Seen::Nothing => {
                    let is_frame = |at: &usize| matches!(format.see(bytes, *at), Seen::Frame { .. });
                    (None, (at + 1..bytes.len()).find(is_frame).unwrap_or(bytes.len()))
                }
            };
            match frame {
                Some(frame) => record.take(frame),
                // Of a former record that was never written to its end; the container is worth more than its last word.
                None if format == Format::Former => break,
                None => damage = damage.or(Some((at, "what became of the container"))),
            }
            at = next;
        }
        match damage {
            Some((at, what)) => Err(Damaged { at, what, rest: Some(Box::new(record)) }),
            None => Ok(record),
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            // Of these the one that was written first counts: launcher and agent both read it so, and a program that
            // got hold of the file cannot name another process in its stead.
            Frame::Process(process) if !self.revoked && self.process.is_none() => self.process = Some(process),
            Frame::Revoked if self.process.is_none() => self.revoked = true,
            Frame::Process(_) | Frame::Revoked => {}
            Frame::Status(status) => self.status = Some(status),
            Frame::Failure(why) => self.failure = Some(why),
            Frame::Termination(termination) => self.termination = Some(termination),
            Frame::Limits(limits) => self.launch.limits = limits,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Former,
    Present,
}

/// What may stand at a place of a record.
enum Seen<'a> {
    Frame {
        tag: u8,
        body: &'a [u8],
        next: usize,
    },
    /// The header of a frame whose content is damaged or cut off.
    Header {
        next: usize,
    },
    Nothing,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Format> {
        match bytes.first_chunk::<4>()? {
            MAGIC => Some(Format::Present),
            FORMER => Some(Format::Former),
            _ => None,
        }
    }

    fn see(self, bytes: &[u8], at: usize) -> Seen<'_> {
        self.find(bytes, at).unwrap_or(Seen::Nothing)
    }

    fn find(self, bytes: &[u8], at: usize) -> Option<Seen<'_>> {
        let mut rest = Reader(bytes.get(at..)?);
        let tag = rest.byte()?;
        let length = rest.count()?;
        if self == Format::Former {
            return Some(Seen::Frame { tag, body: rest.take(length)?, next: at + 5 + length });
        }
        let (head_sum, body_sum) = (rest.count()? as u32, rest.count()? as u32);
        if crc32fast::hash(bytes.get(at..at + 5)?) != head_sum {
            return None;
        }
        let next = at.checked_add(FRAME_HEADER)?.checked_add(length)?;
        match rest.take(length) {
            Some(body) if crc32fast::hash(body) == body_sum => Some(Seen::Frame { tag, body, next }),
            _ => Some(Seen::Header { next }),
        }
    }
}

const FRAME_HEADER: usize = 13;

/// The content of a new record.
pub fn encode_launch(launch: &Launch) -> Vec<u8> {
    let mut body = Writer(Vec::with_capacity(1024));
    body.count(launch.id.path().len());
    launch.id.path().iter().for_each(|level| body.text(level));
    body.text(&launch.tag);
    body.path(&launch.sandbox);
    match &launch.program {
        Program::Shell(text) => {
            body.byte(0);
            body.text(text);
        }
        Program::Argv { path, argv } => {
            body.byte(1);
            body.text(path);
            body.count(argv.len());
            argv.iter().for_each(|argument| body.text(argument));
        }
        Program::Executor(kind) => {
            body.byte(2);
            body.byte(match kind {
                ExecutorKind::Command => 0,
                ExecutorKind::Pod => 1,
            });
        }
    }
    body.count(launch.env.len());
    for (name, value) in &launch.env {
        body.text(name);
        body.text(value);
    }
    body.path(&launch.cwd);
    body.option(launch.user.as_ref(), |body, user| {
        body.number(u64::from(user.uid));
        body.number(u64::from(user.gid));
        body.count(user.groups.len());
        user.groups.iter().for_each(|group| body.number(u64::from(*group)));
    });
    body.count(launch.rlimits.len());
    for limit in &launch.rlimits {
        body.number(u64::from(limit.resource));
        body.number(limit.soft);
        body.number(limit.hard);
    }
    body.option(launch.hostname.as_ref(), |body, name| body.text(name));
    let setup = &launch.setup;
    let flags = [setup.own_pid, setup.own_mounts, setup.own_shm, setup.user_namespace];
    flags.iter().for_each(|flag| body.byte(u8::from(*flag)));
    body.number(setup.enter as u32 as u64);
    body.number(setup.leave as u32 as u64);
    body.byte(u8::from(setup.cgroups.limits()) | u8::from(setup.cgroups.processes()) << 1);
    body.option(launch.shm_bytes.as_ref(), |body, bytes| body.number(*bytes));
    body.option(launch.oom_score_adj.as_ref(), |body, score| body.number(*score as i64 as u64));
    write_limits(&mut body, &launch.limits);
    let Restrictions { capabilities, no_new_privileges, seccomp, kernel_files } = &launch.restrictions;
    [no_new_privileges, seccomp, kernel_files].iter().for_each(|flag| body.byte(u8::from(**flag)));
    body.option(capabilities.as_ref(), |body, bounds| {
        [bounds.bounding, bounds.effective, bounds.ambient].iter().for_each(|set| body.number(set.0));
    });
    body.option(launch.limits.disk.as_ref(), |body, bytes| body.number(*bytes));
    body.count(launch.gaps.len());
    for Gap { isolator, asked, why } in &launch.gaps {
        [isolator, asked, why].iter().for_each(|text| body.text(text));
    }

    let mut out = Vec::with_capacity(body.0.len() + 16);
    out.extend_from_slice(MAGIC);
    push_frame(&mut out, Format::Present, b'L', &body.0);
    out
}

/// Appends `frame` in one write; the file must have been opened for appending, and for reading.
pub fn append(file: &mut File, frame: &Frame) -> io::Result<()> {
    let mut name = [0; 4];
    let format = match file.read_at(&mut name, 0) {
        Ok(_) => Format::of(&name).unwrap_or(Format::Present),
        Err(error) => return Err(error),
    };
    let mut body = Writer(Vec::new());
    let tag = match frame {
        Frame::Process(process) => {
            body.number(u64::from(process.pid));
            body.number(process.start);
            b'P'
        }
        Frame::Revoked => b'X',
        Frame::Status(status) => {
            body.number(*status as u32 as u64);
            b'S'
        }
        Frame::Failure(why) => {
            body.text(why);
            b'F'
        }
        Frame::Termination(termination) => {
            body.option(termination.status.as_ref(), |body, status| body.number(*status as u32 as u64));
            body.option(termination.reason.as_ref(), |body, limitation| {
                body.byte(match limitation.reason {
                    LimitationReason::Memory => 0,
                    LimitationReason::Disk => 1,
                });
                body.text(&limitation.message);
                body.option(limitation.bytes.as_ref(), |body, bytes| body.number(*bytes));
            });
            body.text(&termination.message);
            b'T'
        }
        Frame::Limits(limits) => {
            write_limits(&mut body, limits);
            body.option(limits.disk.as_ref(), |body, bytes| body.number(*bytes));
            b'U'
        }
    };
    let mut out = Vec::with_capacity(body.0.len() + FRAME_HEADER);
    push_frame(&mut out, format, tag, &body.0);
    let before = file.metadata()?.len();
    // A part of a frame, which a full disk leaves, must not stand before what is appended next.
    file.write_all(&out).inspect_err(|_| drop(file.set_len(before)))
}

fn write_limits(body: &mut Writer, limits: &Limits) {
    for value in [limits.cpus, limits.cpu_limit] {
        body.option(value.as_ref(), |body, value| body.number(value.to_bits()));
    }
    for value in [limits.mem, limits.mem_limit] {
        body.option(value.as_ref(), |body, value| body.number(*value));
    }
    body.byte(u8::from(limits.revocable));
}

fn push_frame(out: &mut Vec<u8>, format: Format, tag: u8, body: &[u8]) {
    let begin = out.len();
    out.push(tag);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    if format == Format::Present {
        let head_sum = crc32fast::hash(out.get(begin..).unwrap_or_default());
        out.extend_from_slice(&head_sum.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    }
    out.extend_from_slice(body);
}

fn read_frame(tag: u8, body: &[u8]) -> Option<Frame> {
    let mut body = Reader(body);
    Some(match tag {
        b'P' => Frame::Process(Process { pid: u32::try_from(body.number()?).ok()?, start: body.number()? }),
        b'X' => Frame::Revoked,
        b'S' => Frame::Status(body.number()? as u32 as i32),
        b'F' => Frame::Failure(body.text()?),
        b'T' => Frame::Termination(Termination {
            status: body.option(|body| Some(body.number()? as u32 as i32))?,
            reason: body.option(|body| {
                let reason = match body.byte()? {
                    0 => LimitationReason::Memory,
                    1 => LimitationReason::Disk,
                    _ => return None,
                };
                Some(Limitation { reason, message: body.text()?, bytes: body.option(Reader::number)? })
            })?,
            message: body.text()?,
        }),
        b'U' => {
            let limits = read_limits(&mut body)?;
            // Of earlier versions nothing follows.
            let disk = if body.0.is_empty() { None } else { body.option(Reader::number)? };
            Frame::Limits(Limits { disk, ..limits })
        }
        _ => return None,
    })
}

fn read_launch(body: &mut Reader<'_>) -> Option<Launch> {
    let path = body.list(Reader::text)?;
    let mut launch = Launch {
        id: ContainerId::new(path).ok()?,
        tag: body.text()?,
        sandbox: body.path()?,
        program: match body.byte()? {
            0 => Program::Shell(body.text()?),
            1 => Program::Argv { path: body.text()?, argv: body.list(Reader::text)? },
            2 => Program::Executor(match body.byte()? {
                0 => ExecutorKind::Command,
                1 => ExecutorKind::Pod,
                _ => return None,
            }),
            _ => return None,
        },
        env: body.list(|body| Some((body.text()?, body.text()?)))?,
        cwd: body.path()?,
        user: body.option(|body| {
            Some(UserIds { uid: body.small()?, gid: body.small()?, groups: body.list(Reader::small)? })
        })?,
        rlimits: body
            .list(|body| Some(Rlimit { resource: body.small()?, soft: body.number()?, hard: body.number()? }))?,
        hostname: body.option(Reader::text)?,
        setup: Setup {
            own_pid: body.flag()?,
            own_mounts: body.flag()?,
            own_shm: body.flag()?,
            user_namespace: body.flag()?,
            enter: body.small()? as i32,
            leave: body.small()? as i32,
            cgroups: {
                let bits = body.byte()?;
                CgroupUse::new(bits & 1 != 0, bits & 2 != 0)
            },
        },
        shm_bytes: body.option(Reader::number)?,
        oom_score_adj: body.option(|body| Some(body.number()? as i64 as i32))?,
        limits: read_limits(body)?,
        // Records of earlier versions end here, or after the restrictions.
        restrictions: if body.0.is_empty() { Restrictions::default() } else { read_restrictions(body)? },
        gaps: Vec::new(),
    };
    if !body.0.is_empty() {
        launch.limits.disk = body.option(Reader::number)?;
        launch.gaps = body.list(read_gap)?;
    }
    Some(launch)
}

fn read_restrictions(body: &mut Reader<'_>) -> Option<Restrictions> {
    let set = |body: &mut Reader<'_>| body.number().map(Capabilities);
    Some(Restrictions {
        no_new_privileges: body.flag()?,
        seccomp: body.flag()?,
        kernel_files: body.flag()?,
        capabilities: body
            .option(|body| Some(Bounds { bounding: set(body)?, effective: set(body)?, ambient: set(body)? }))?,
    })
}

fn read_gap(body: &mut Reader<'_>) -> Option<Gap> {
    Some(Gap { isolator: body.text()?, asked: body.text()?, why: body.text()? })
}

fn read_limits(body: &mut Reader<'_>) -> Option<Limits> {
    let bits = |body: &mut Reader<'_>| body.number().map(f64::from_bits);
    Some(Limits {
        cpus: body.option(bits)?,
        cpu_limit: body.option(bits)?,
        mem: body.option(Reader::number)?,
        mem_limit: body.option(Reader::number)?,
        revocable: body.flag()?,
        disk: None,
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn count(&mut self, value: usize) {
        self.0.extend_from_slice(&(value as u32).to_le_bytes());
    }

    fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    fn path(&mut self, value: &Path) {
        use std::os::unix::ffi::OsStrExt;
        let bytes = value.as_os_str().as_bytes();
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        self.byte().map(|byte| byte != 0)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn count(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn path(&mut self) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let length = self.count()?;
        Some(std::ffi::OsString::from_vec(self.take(length)?.to_vec()).into())
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Some(items)
    }

    /// `Some(None)` is an absent value, `None` damage.
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn launch() -> Launch {
        Launch {
            id: ContainerId::new(vec!["a".into(), "b".into()]).unwrap(),
            tag: "kept".into(),
            sandbox: "/s".into(),
            program: Program::Argv { path: "sh".into(), argv: vec!["sh".into(), "-c".into()] },
            env: vec![("A".into(), "1".into()), ("B".into(), String::new())],
            cwd: "/s/x".into(),
            user: Some(UserIds { uid: 1, gid: 2, groups: vec![2, 3] }),
            rlimits: vec![Rlimit { resource: 7, soft: 1, hard: u64::MAX }],
            hostname: Some("h".into()),
            setup: Setup { own_pid: true, enter: -1, leave: 5, cgroups: CgroupUse::Limits, ..Setup::default() },
            shm_bytes: Some(9),
            oom_score_adj: Some(-5),
            limits: Limits {
                cpus: Some(0.5),
                cpu_limit: Some(f64::INFINITY),
                mem: Some(1),
                disk: Some(2),
                ..Limits::default()
            },
            restrictions: Restrictions {
                capabilities: Some(Bounds {
                    bounding: Capabilities(3),
                    effective: Capabilities(2),
                    ambient: Capabilities(1 << 40),
                }),
                seccomp: true,
                ..Restrictions::default()
            },
            gaps: vec![Gap { isolator: "i".into(), asked: "a".into(), why: "w".into() }],
        }
    }

    #[test]
    fn a_record_tells_what_was_appended() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&encode_launch(&launch())).unwrap();
        let process = Process { pid: 12, start: 34 };
        let termination = Termination {
            status: Some(9),
            reason: Some(Limitation { reason: LimitationReason::Memory, message: "m".into(), bytes: Some(1) }),
            message: "x".into(),
        };
        let limits = Limits { mem: Some(77), disk: Some(78), ..Limits::default() };
        for frame in [
            Frame::Process(process),
            Frame::Status(256),
            Frame::Failure("f".into()),
            Frame::Termination(termination.clone()),
            Frame::Limits(limits),
        ] {
            append(&mut file, &frame).unwrap();
        }
        let record = Record::read_fd(&mut file).unwrap();
        assert_eq!(record.launch, Launch { limits, ..launch() });
        assert_eq!(record.process, Some(process));
        assert_eq!(record.status, Some(256));
        assert_eq!(record.failure.as_deref(), Some("f"));
        assert_eq!(record.termination, Some(termination));
    }

    #[test]
    fn of_a_name_and_a_revocation_the_first_counts() {
        let process = Process { pid: 1, start: 2 };
        let read = |frames: [Frame; 2]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&encode_launch(&launch())).unwrap();
            frames.iter().for_each(|frame| append(&mut file, frame).unwrap());
            let record = Record::read_fd(&mut file).unwrap();
            (record.process, record.revoked)
        };
        assert_eq!(read([Frame::Process(process), Frame::Revoked]), (Some(process), false));
        assert_eq!(read([Frame::Revoked, Frame::Process(process)]), (None, true));
        let other = Process { pid: 7, start: 7 };
        assert_eq!(read([Frame::Process(process), Frame::Process(other)]), (Some(process), false));
    }

    /// A record with everything in it, and where its frames end.
    fn full() -> (Vec<u8>, Vec<usize>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&encode_launch(&launch())).unwrap();
        let mut ends = vec![file.metadata().unwrap().len() as usize];
        let termination = Termination { status: Some(9), reason: None, message: "x".into() };
        for frame in [
            Frame::Process(Process { pid: 12, start: 34 }),
            Frame::Limits(Limits { mem: Some(77), ..Limits::default() }),
            Frame::Failure("f".into()),
            Frame::Status(256),
            Frame::Termination(termination),
        ] {
            append(&mut file, &frame).unwrap();
            ends.push(file.metadata().unwrap().len() as usize);
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        (bytes, ends)
    }

    #[test]
    fn any_bit_that_flips_and_any_cut_within_a_frame_is_told() {
        let (bytes, ends) = full();
        let whole = Record::parse(&bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = Record::parse(&damaged).expect_err("a flipped bit");
            assert!(error.at <= bit / 8, "bit {bit}: {error}");
            // What can be read is as it was written.
            let Some(rest) = error.rest else { continue };
            assert!(rest.launch.id == whole.launch.id && rest.launch.env == whole.launch.env);
            assert!(rest.status.is_none_or(|status| status == 256), "bit {bit}");
        }
        for length in 0..bytes.len() {
            match Record::parse(&bytes[..length]) {
                Err(_) => assert!(!ends.contains(&length), "cut at {length}"),
                // The frames say nothing of those that come after them.
                Ok(_) => assert!(ends.contains(&length), "cut at {length}"),
            }
        }
    }

    #[test]
    fn damage_leaves_what_stands_behind_it() {
        let (mut bytes, ends) = full();
        let status_begins = ends[3];
        for at in [status_begins + FRAME_HEADER, status_begins + 2] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            let error = Record::parse(&damaged).unwrap_err();
            assert_eq!(error.at, status_begins);
            let rest = error.rest.unwrap();
            assert_eq!((rest.status, rest.termination.unwrap().status), (None, Some(9)));
        }
        bytes[6] ^= 1;
        assert_eq!(Record::parse(&bytes).unwrap_err().rest, None);
    }

    /// As versions before wrote it, and as this one goes on with it.
    #[test]
    fn a_record_without_sums_is_read_and_appended_to_as_it_is() {
        let present = encode_launch(&launch());
        let body = &present[MAGIC.len() + FRAME_HEADER..];
        let mut former = FORMER.to_vec();
        push_frame(&mut former, Format::Former, b'L', body);
        assert_eq!(former.len(), 4 + 5 + body.len());
        let mut file = tempfile::Builder::new().append(true).tempfile().unwrap().into_file();
        file.write_all(&former).unwrap();
        append(&mut file, &Frame::Process(Process { pid: 1, start: 2 })).unwrap();
        append(&mut file, &Frame::Status(256)).unwrap();
        assert_eq!(file.metadata().unwrap().len() as usize, former.len() + 5 + 16 + 5 + 8);
        let record = Record::read_fd(&mut file).unwrap();
        assert_eq!(record.launch, launch());
        assert_eq!((record.process, record.status), (Some(Process { pid: 1, start: 2 }), Some(256)));
    }

    proptest! {
        #[test]
        fn damage_is_never_a_panic(cut in 0usize..400, flip in 0usize..400, to: u8) {
            let mut bytes = encode_launch(&launch());
            bytes.extend_from_slice(&[b'S', 8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            if let Some(byte) = bytes.get_mut(flip) {
                *byte = to;
            }
            bytes.truncate(cut);
            let _ = Record::parse(&bytes);
        }
    }
}
