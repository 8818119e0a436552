//! Child processes: starting one the cheap way, reaping all of them, signalling everything below the executor.

use std::{
    ffi::{CString, OsStr},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use kernel::{
    clone::{self, CStrings, Exec, Plan, Privileges, SpawnError, Step},
    credentials::User,
    process, signals,
};
use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal, sigprocmask},
    signalfd::{SfdFlags, SignalFd},
};
use proto::v1;

use crate::step;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of the executor that are not the task's business.
const HIDDEN: [&str; 1] = ["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"];

/// A process that was told to end may take its time, in the kernel.
const END_ROUNDS: u32 = 500;
const END_PAUSE: Duration = Duration::from_millis(2);

/// The processes below this one.
pub struct Processes {
    signals: SignalFd,
    /// The executor is the first process of its PID namespace.
    first: bool,
}

/// What `Processes::reap` and `Processes::take_signals` found.
#[derive(Debug, Default)]
pub struct Signals {
    pub child: bool,
    pub terminate: bool,
}

impl Processes {
    /// From now on SIGCHLD and the polite termination signals arrive through `fd`, and orphans become our children.
    pub fn new() -> io::Result<Processes> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
            mask.add(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let first = std::process::id() == 1;
        if !first {
            process::become_subreaper()?;
        }
        Ok(Processes { signals, first })
    }

    pub fn fd(&self) -> RawFd {
        self.signals.as_fd().as_raw_fd()
    }

    pub fn take_signals(&mut self) -> Signals {
        let mut found = Signals::default();
        while let Ok(Some(info)) = self.signals.read_signal() {
            match i32::try_from(info.ssi_signo) {
                Ok(libc::SIGCHLD) => found.child = true,
                _ => found.terminate = true,
            }
        }
        found
    }

    /// Takes one process that has ended: its id and wait(2) word.
    pub fn reap(&mut self) -> Option<(i32, i32)> {
        process::reap_any().map(|(pid, word)| (pid as i32, word))
    }

    /// Signals every process below the executor.
    pub fn signal_all(&self, signal: step::Signal) {
        let number = match signal {
            step::Signal::Terminate => libc::SIGTERM,
            step::Signal::Kill => libc::SIGKILL,
        };
        if self.first {
            // The whole namespace but its first process. With nobody there it fails, and that is fine.
            let _ = signals::send(-1, number);
            return;
        }
        // Orphans become our children, so no child means that nothing is left below.
        if !process::has_children() {
            return;
        }
        // A tree may grow while it is walked: a forced signal goes on until no new process is found.
        let mut done = Vec::new();
        for _ in 0..8 {
            let found: Vec<i32> = descendants().into_iter().filter(|pid| !done.contains(pid)).collect();
            for &pid in &found {
                // Who has ended meanwhile needs no signal.
                let _ = signals::send(pid, number);
            }
            if found.is_empty() || signal == step::Signal::Terminate {
                break;
            }
            done.extend(found);
        }
    }

    /// Ends every process below the executor, and waits a little until they are gone. The end of a namespace's first
    /// process does that by itself.
    pub fn end_all(&mut self) {
        if self.first {
            return;
        }
        for _ in 0..END_ROUNDS {
            while self.reap().is_some() {}
            if !process::has_children() {
                return;
            }
            self.signal_all(step::Signal::Kill);
            std::thread::sleep(END_PAUSE);
        }
    }

    /// Starts `command` in a session of its own. `directory` and the standard streams are the executor's, but for the
    /// standard output, which is `output` if that is given.
    pub fn spawn(&self, command: &v1::CommandInfo, output: Option<BorrowedFd<'_>>) -> Result<i32, String> {
        let environment = environment(command)?;
        let identity = command.user.as_deref().map(Identity::find).transpose()?.flatten();
        let value = command.value.as_deref();
        let (path, arguments) = if command.shell() {
            let value = value.ok_or("The command of a shell task is not set")?;
            (PathBuf::from("/bin/sh"), vec![text("sh")?, text("-c")?, text(value)?])
        } else {
            let value = value.or(command.arguments.first().map(String::as_str)).ok_or("The command is not set")?;
            let arguments = match command.arguments.as_slice() {
                [] => vec![text(value)?],
                given => given.iter().map(|argument| text(argument)).collect::<Result<_, _>>()?,
            };
            let path = find_program(value, &environment);
            (path.ok_or_else(|| format!("Failed to execute '{value}': it is not on the PATH"))?, arguments)
        };
        let failed = |error: SpawnError| match error.step {
            Step::Exec => format!("Failed to execute '{}': {}", path.display(), error.source),
            _ => format!("Failed to execute '{}': {error}", path.display()),
        };
        let program = CString::new(path.as_os_str().as_bytes()).map_err(|_| "The command holds a NUL".to_owned())?;
        let environment = CStrings::new(environment);
        match self.start(program.clone(), arguments.clone(), &environment, identity.as_ref(), output) {
            // A script without an interpreter line is the shell's.
            Err(error) if error.step == Step::Exec && error.source.raw_os_error() == Some(libc::ENOEXEC) => {
                let mut script = vec![text("sh")?, program];
                script.extend(arguments.into_iter().skip(1));
                self.start(c"/bin/sh".to_owned(), script, &environment, identity.as_ref(), output).map_err(failed)
            }
            outcome => outcome.map_err(failed),
        }
    }

    fn start(
        &self,
        program: CString,
        arguments: Vec<CString>,
        environment: &CStrings,
        identity: Option<&Identity>,
        output: Option<BorrowedFd<'_>>,
    ) -> Result<i32, SpawnError> {
        let output = output.map(|output| (output.as_raw_fd(), libc::STDOUT_FILENO));
        let child = clone::spawn(&Plan {
            namespaces: 0,
            exec: Exec::Paths(&[program]),
            argv: &CStrings::new(arguments),
            envp: environment,
            fds: output.as_slice(),
            user_maps: None,
            try_mounts: false,
            new_session: true,
            rlimits: &[],
            user: identity.map(|identity| User { uid: identity.uid, gid: identity.gid, groups: &identity.groups }),
            // What the executor may, it got from the agent for its task.
            privileges: Privileges::default(),
            reset_signals: true,
            // The first process of a namespace takes all others along anyway.
            death_signal: (!self.first).then_some(libc::SIGKILL),
        })?;
        Ok(child.pid as i32)
    }
}

/// The environment of `command`: the executor's own, then what the command sets.
fn environment(command: &v1::CommandInfo) -> Result<Vec<CString>, String> {
    let mut environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| !HIDDEN.iter().any(|hidden| name == hidden))
        .filter_map(|(name, value)| variable(name.as_bytes(), value.as_bytes()))
        .collect();
    for set in command.environment.iter().flat_map(|environment| &environment.variables) {
        let Some(value) = proto::environment::value_of(set)? else { continue };
        let prefix = [set.name.as_bytes(), b"="].concat();
        environment.retain(|known| !known.as_bytes().starts_with(&prefix));
        environment.extend(variable(set.name.as_bytes(), value));
    }
    Ok(environment)
}

/// Whom a command runs as.
struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<libc::gid_t>,
}

impl Identity {
    /// The user called `name`; `None` if that is who we are.
    fn find(name: &str) -> Result<Option<Identity>, String> {
        let own = nix::unistd::geteuid();
        if own.is_root() && name == "root" {
            return Ok(None);
        }
        let user = stdx::users::find(name).map_err(|why| format!("Failed to run as user '{name}': {why}"))?;
        if user.uid == own.as_raw() {
            return Ok(None);
        }
        if !own.is_root() {
            return Err(format!("Failed to run as user '{name}': only root can switch users"));
        }
        Ok(Some(Identity { uid: user.uid, gid: user.gid, groups: user.groups }))
    }
}

fn variable(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| "The command holds a NUL".to_owned())
}

/// The program called `name`, looked for along the task's own PATH.
fn find_program(name: &str, environment: &[CString]) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = environment.iter().find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="));
    let path = path.unwrap_or(DEFAULT_PATH.as_bytes());
    path.split(|&byte| byte == b':')
        .map(|directory| Path::new(OsStr::from_bytes(directory)).join(name))
        .find(|candidate| candidate.is_file() && nix::unistd::access(candidate, nix::unistd::AccessFlags::X_OK).is_ok())
}

/// Every process below this one, found in `/proc`.
fn descendants() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut parents: Vec<(i32, i32)> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![i32::try_from(std::process::id()).unwrap_or_default()];
    loop {
        let before = found.len();
        parents.retain(|&(pid, parent)| {
            let below = found.contains(&parent);
            if below {
                found.push(pid);
            }
            !below
        });
        if found.len() == before {
            found.remove(0);
            return found;
        }
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too; the state and the parent follow the last one.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}
