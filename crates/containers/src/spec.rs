//! What one container is asked to be, and what is told of its end: plain values, no behaviour. The names follow the
//! Mesos API where it has one. How a specification becomes a process is in `launch`.

use std::{fmt, io, os::fd::OwnedFd, path::PathBuf};

use crate::id::ContainerId;
use kernel::{Rlimit, capabilities::Capabilities};

/// Everything needed to launch one container.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    pub id: ContainerId,
    pub class: Class,
    pub command: Command,
    /// The container's own directory and working directory; created if absent, owned by the command's user.
    pub sandbox: PathBuf,
    /// Fetched into the sandbox before anything runs, one after the other.
    pub uris: Vec<Uri>,
    /// Directories of the host to be seen in the sandbox, before anything is fetched.
    pub volumes: Vec<VolumeLink>,
    pub limits: Limits,
    /// For a nested container: stays in its parent's cgroups. Without it, it gets cgroups of its own with `limits`.
    pub share_cgroups: bool,
    /// Stays in the PID namespace of the parent (or of the agent, for a root container).
    pub share_pid_namespace: bool,
    pub ipc: IpcMode,
    /// The size of a `/dev/shm` of its own; as large as its memory when absent.
    pub shm_bytes: Option<u64>,
    pub hostname: Option<String>,
    pub rlimits: Vec<Rlimit>,
    pub capabilities: CapabilityWish,
    pub seccomp: SeccompWish,
    pub output: Output,
    /// Kept with the container and given back by recovery; this crate does not read it.
    pub tag: String,
}

impl LaunchSpec {
    pub fn new(id: ContainerId, command: Command, sandbox: impl Into<PathBuf>) -> LaunchSpec {
        LaunchSpec {
            id,
            class: Class::Default,
            command,
            sandbox: sandbox.into(),
            uris: Vec::new(),
            volumes: Vec::new(),
            limits: Limits::default(),
            share_cgroups: true,
            share_pid_namespace: false,
            ipc: IpcMode::Unset,
            shm_bytes: None,
            hostname: None,
            rlimits: Vec::new(),
            capabilities: CapabilityWish::default(),
            seccomp: SeccompWish::default(),
            output: Output::Files,
            tag: String::new(),
        }
    }
}

/// A directory of the host under a name in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeLink {
    /// Relative to the sandbox, without `..`.
    pub name: PathBuf,
    /// Must be there.
    pub path: PathBuf,
    /// Others use it too: it does not become the container's user's.
    pub shared: bool,
}

/// What kind of container it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Class {
    #[default]
    Default,
    /// A nested container that shares all namespaces and cgroups of its parent.
    Debug,
}

/// What runs, as whom and where.
#[derive(Clone, Debug)]
pub struct Command {
    pub program: Program,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The agent's own user when absent.
    pub user: Option<String>,
    /// The sandbox when absent; a relative path is taken from the sandbox.
    pub cwd: Option<PathBuf>,
}

impl Command {
    pub fn new(program: Program) -> Command {
        Command { program, env: Vec::new(), user: None, cwd: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `/bin/sh -c TEXT`
    Shell(String),
    /// `path` is looked up in the container's `PATH` when it has no slash; `argv` includes the name.
    Argv { path: String, argv: Vec<String> },
    /// One of the executors built into the executable; runs in the container's first process.
    Executor(ExecutorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorKind {
    Command,
    Pod,
}

/// One file or archive to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    pub value: String,
    pub executable: bool,
    pub extract: bool,
    pub output_file: Option<String>,
    pub cache: bool,
}

/// The capabilities that one container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CapabilityWish {
    /// To start with, also as a user other than root.
    pub effective: Option<Capabilities>,
    /// At most, for it and for what it executes.
    pub bounding: Option<Capabilities>,
}

/// Whether a container may make all system calls.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SeccompWish {
    /// The profile of `isolators::seccomp`.
    #[default]
    Default,
    Unconfined,
    /// A profile by name.
    Named(String),
}

/// What a container may use. `None` asks for nothing; an infinite limit is `f64::INFINITY` or `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// CPUs requested: the weight against others.
    pub cpus: Option<f64>,
    /// CPUs at most: enforced by a quota.
    pub cpu_limit: Option<f64>,
    /// Bytes of memory requested.
    pub mem: Option<u64>,
    /// Bytes of memory at most; `mem` when absent.
    pub mem_limit: Option<u64>,
    /// The CPUs are revocable.
    pub revocable: bool,
    /// Bytes of disk that the sandbox may take.
    pub disk: Option<u64>,
}

/// Whose IPC namespace and `/dev/shm` a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IpcMode {
    /// `Private` for a root container, `ShareParent` for a nested one.
    #[default]
    Unset,
    /// Its own IPC namespace and its own `/dev/shm`.
    Private,
    /// Both of its parent (of the agent, for a root container).
    ShareParent,
}

/// Where standard output and error go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Output {
    /// Appended to `stdout` and `stderr` in the sandbox.
    #[default]
    Files,
    /// Pipes whose read ends come back with the launch.
    Pipes,
}

/// A container that was started.
#[derive(Debug)]
pub struct Launched {
    /// The process id of its first process, as the agent sees it.
    pub pid: u32,
    /// The read ends of `Output::Pipes`, non-blocking.
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// What it asked for and has not got.
    pub gaps: Vec<Gap>,
}

/// Something that a container asks for and does not get. It runs all the same, as in Mesos, but that is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose part it is, by Mesos's name.
    pub isolator: String,
    /// In words: "at most 64 MiB of memory".
    pub asked: String,
    pub why: String,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Termination {
    /// The raw wait status; absent when nobody could see the end.
    pub status: Option<i32>,
    /// Set when the container was ended for breaking a limit.
    pub reason: Option<Limitation>,
    /// For people; empty when the status says it all.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limitation {
    pub reason: LimitationReason,
    pub message: String,
    /// How much of it is told to have been in use or allowed.
    pub bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitationReason {
    /// REASON_CONTAINER_LIMITATION_MEMORY
    Memory,
    /// REASON_CONTAINER_LIMITATION_DISK
    Disk,
}

/// Why a container was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the container '{0}' exists already")]
    Exists(ContainerId),
    #[error("the parent of the container '{0}' is not running")]
    NoParent(ContainerId),
    #[error("the container was destroyed while it was being launched")]
    Destroyed,
    #[error("the user '{user}' cannot be used: {why}")]
    User { user: String, why: String },
    #[error("failed to fetch '{uri}': {why}")]
    Fetch { uri: String, why: String },
    #[error("{what}: {why}")]
    Refused { what: String, why: String },
    #[error("failed to {what}: {source}")]
    Io { what: String, source: io::Error },
}

/// Why an operation on a container did nothing.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    #[error("the container '{0}' is unknown")]
    Unknown(ContainerId),
    #[error("the container '{0}' is not running")]
    NotRunning(ContainerId),
    #[error("the container '{0}' is still running")]
    Running(ContainerId),
    #[error("failed to {what}: {source}")]
    Io { what: String, source: io::Error },
}

/// Why there can be no containers at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("failed to {what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{0}")]
    Impossible(String),
}

impl Termination {
    /// What the status says, in words.
    pub fn describe(&self) -> String {
        match self.status {
            None => "Container ended with an unknown status".to_owned(),
            Some(word) if libc::WIFEXITED(word) => format!("Container exited with status {}", libc::WEXITSTATUS(word)),
            Some(word) => format!("Container terminated by signal {}", libc::WTERMSIG(word)),
        }
    }
}

impl fmt::Display for Limitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
