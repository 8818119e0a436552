//! What one container shall be: plain values that the program turns into a launch. Nothing here decides; the deciding
//! files are `task`, `executor` and `../operator/containers`.

use crate::container_id::ContainerId;
use proto::v1;

#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSpec {
    pub container: ContainerId,
    pub class: Class,
    pub program: Program,
    /// The environment that Mesos promises plus what the command sets, later entries winning. The program adds PATH.
    pub environment: Vec<(String, String)>,
    /// `None`: the agent's own user.
    pub user: Option<String>,
    /// Absolute path on the host, to be created.
    pub sandbox: String,
    /// A symbolic link to put at (path), pointing to the sandbox: `runs/latest`.
    pub latest_link: Option<String>,
    pub uris: Vec<v1::command_info::Uri>,
    /// Persistent volumes to be seen in the sandbox.
    pub volumes: Vec<VolumeLink>,
    pub limits: Limits,
    /// A nested container that lives in its parent's cgroups.
    pub share_cgroups: bool,
    /// Image, volumes, networks, IPC and PID modes, resource limits of processes, terminal.
    pub container_info: Option<Box<v1::ContainerInfo>>,
    pub output: Output,
}

/// A persistent volume, and its name in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeLink {
    /// As the task says; a path below the sandbox.
    pub name: String,
    /// The volume's directory on the host.
    pub path: String,
    /// Several containers use it, so that it stays its owner's.
    pub shared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Holds an executor.
    Executor,
    /// Started through the operator API, inside another container.
    Nested,
    /// Like `Nested`, but shares its parent's namespaces and cgroups and lives as long as its session.
    Debug,
    /// Started through the operator API, with no framework.
    Standalone,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// `/bin/sh -c <text>`
    Shell(String),
    /// `arguments` includes the program's own name, first.
    Argv { path: String, arguments: Vec<String> },
    /// One of the built-in executors.
    Executor(ExecutorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutorKind {
    /// Runs the one command task it is given.
    Command,
    /// Runs task groups in nested containers (`ExecutorInfo.type` DEFAULT).
    Pod,
    /// The framework's own.
    Custom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `stdout` and `stderr` in the sandbox.
    Sandbox,
    /// Pipes that `Reply::Output` reads.
    Session,
}

/// What a container may use: the sum over its executor and tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub cpus: f64,
    /// A hard limit above the request; `INFINITY` lifts it.
    pub cpu_limit: Option<f64>,
    pub mem_bytes: u64,
    /// As `cpu_limit`; `u64::MAX` lifts it.
    pub mem_limit_bytes: Option<u64>,
    pub disk_bytes: u64,
    pub gpus: f64,
    /// The cpus may be taken back at any time.
    pub revocable_cpus: bool,
}
