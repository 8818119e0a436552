//! What the agent decides about all its containers before the first one starts. What one container asks for is in
//! `spec`; what the host can give is found out in `host`.

use kernel::capabilities::Capabilities;
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// As many as other container engines give; a thread counts as a process.
pub const PIDS_LIMIT: u64 = 2048;

/// The settings of a [`crate::Containers`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the records of containers live; should not survive a reboot (`/var/run/mesos`).
    pub runtime_dir: PathBuf,
    /// A damaged record is an error; otherwise what can be read of it is used.
    pub strict: bool,
    /// Where cgroups are mounted; `/sys/fs/cgroup`.
    pub cgroups_hierarchy: PathBuf,
    /// The cgroup under which all containers are placed; `mesos`.
    pub cgroups_root: String,
    pub launcher: LauncherKind,
    pub isolation: Isolation,
    /// Enforces a CFS quota of the requested CPUs even without a CPU limit.
    pub enable_cfs: bool,
    /// Limits memory and swap together instead of memory alone (v1).
    pub limit_swap: bool,
    /// How many processes and threads a container may have at a time; `None` is no limit.
    pub pids_limit: Option<u64>,
    /// The capabilities that containers may ask for; those of `isolators::capabilities` by default.
    pub bounding_capabilities: Option<Capabilities>,
    /// Those that a container starts with if it asks for none.
    pub effective_capabilities: Option<Capabilities>,
    /// How often the disk that containers take is measured, and whether one that takes more than it was given is ended.
    pub disk_interval: Duration,
    pub enforce_disk: bool,
    /// Lets containers ask for no filter of system calls.
    pub allow_unconfined: bool,
    /// Gives containers of revocable CPUs the smallest CPU weight.
    pub revocable_cpu_low_priority: bool,
    /// Runs a container as the user its command names; needs root.
    pub switch_user: bool,
    /// What a container starts with.
    pub executable: Executable,
    /// How many threads launch and destroy containers.
    pub workers: usize,
    /// How long whatever survives a SIGKILL is waited for before the destruction of a container is given up.
    pub destroy_timeout: Duration,
    pub fetcher: FetcherConfig,
    /// How what containers print is kept short, if it is.
    pub stdout: Option<Rotation>,
    pub stderr: Option<Rotation>,
}

impl Config {
    pub fn new(runtime_dir: impl Into<PathBuf>) -> Config {
        Config {
            runtime_dir: runtime_dir.into(),
            strict: true,
            cgroups_hierarchy: PathBuf::from("/sys/fs/cgroup"),
            cgroups_root: "mesos".to_owned(),
            launcher: LauncherKind::Auto,
            isolation: Isolation::default(),
            enable_cfs: false,
            limit_swap: false,
            pids_limit: Some(PIDS_LIMIT),
            bounding_capabilities: None,
            effective_capabilities: None,
            disk_interval: Duration::from_secs(15),
            enforce_disk: false,
            allow_unconfined: false,
            revocable_cpu_low_priority: true,
            switch_user: true,
            executable: Executable::default(),
            workers: 2,
            destroy_timeout: Duration::from_secs(60),
            fetcher: FetcherConfig::default(),
            stdout: None,
            stderr: None,
        }
    }
}

/// How much of an output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How large the file may become, and each that is cut off it; a multiple of [`Rotation::STEP`].
    pub bytes_max: u64,
    /// How many that were cut off are kept.
    pub files: u32,
}

impl Rotation {
    /// No file system has larger blocks, and only whole blocks can be cut off a file.
    pub const STEP: u64 = 64 << 10;
}

/// How processes are started and found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LauncherKind {
    /// `Linux` where this process may create namespaces, else `Posix`.
    #[default]
    Auto,
    /// Namespaces and cgroups as far as `Isolation` asks for them and the host allows.
    Linux,
    /// Sessions and process groups only.
    Posix,
}

/// What each container gets of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// CPU weight and quota through cgroups.
    pub cpu: bool,
    /// Memory limits through cgroups.
    pub memory: bool,
    pub pid_namespace: bool,
    pub mount_namespace: bool,
    pub ipc_namespace: bool,
    pub uts_namespace: bool,
    /// A limit on processes and threads through cgroups.
    pub pids: bool,
    /// The disk that sandboxes take is measured.
    pub disk: bool,
    /// No more capabilities than the agent's settings allow; and, where root's files would give them back, the kernel's
    /// files (`/proc`, `/sys`) are there to read only.
    pub capabilities: bool,
    /// A filter of system calls; implies `no_new_privileges`.
    pub seccomp: bool,
    /// Programs gain no privileges by being executed.
    pub no_new_privileges: bool,
}

impl Default for Isolation {
    fn default() -> Isolation {
        Isolation::ALL
    }
}

impl Isolation {
    pub const ALL: Isolation = Isolation {
        cpu: true,
        memory: true,
        pid_namespace: true,
        mount_namespace: true,
        ipc_namespace: true,
        uts_namespace: true,
        pids: true,
        disk: true,
        capabilities: true,
        seccomp: true,
        no_new_privileges: true,
    };
    pub const NONE: Isolation = Isolation {
        cpu: false,
        memory: false,
        pid_namespace: false,
        mount_namespace: false,
        ipc_namespace: false,
        uts_namespace: false,
        pids: false,
        disk: false,
        capabilities: false,
        seccomp: false,
        no_new_privileges: false,
    };

    /// Reads the comma-separated names of Mesos's `--isolation`. Names of isolators that only observe or that are
    /// always on are accepted and change nothing; others are refused by name.
    pub fn parse(text: &str) -> Result<Isolation, String> {
        let mut isolation = Isolation::NONE;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "posix/cpu" | "posix/mem" | "process" | "filesystem/posix" | "environment_secret" | "posix/rlimits" => {
                }
                "cgroups" | "cgroups/all" => {
                    (isolation.cpu, isolation.memory, isolation.pids) = (true, true, true);
                }
                "cgroups/cpu" => isolation.cpu = true,
                "cgroups/mem" => isolation.memory = true,
                "cgroups/pids" => isolation.pids = true,
                "disk/du" | "posix/disk" => isolation.disk = true,
                "linux/capabilities" => isolation.capabilities = true,
                "linux/seccomp" => (isolation.seccomp, isolation.no_new_privileges) = (true, true),
                "linux/nnp" => isolation.no_new_privileges = true,
                "filesystem/linux" => isolation.mount_namespace = true,
                "namespaces/pid" => (isolation.pid_namespace, isolation.mount_namespace) = (true, true),
                "namespaces/ipc" => isolation.ipc_namespace = true,
                "namespaces/uts" => isolation.uts_namespace = true,
                "all" => isolation = Isolation::ALL,
                _ => return Err(format!("the isolator '{name}' is unknown or not built yet")),
            }
        }
        Ok(isolation)
    }
}

/// The program every container starts with; it must call [`crate::launcher::main`].
#[derive(Clone, Debug)]
pub struct Executable {
    pub path: PathBuf,
    /// The arguments, the program's name first.
    pub args: Vec<OsString>,
}

impl Default for Executable {
    fn default() -> Executable {
        Executable {
            path: PathBuf::from("/proc/self/exe"),
            args: ["meseta", "containerizer", "launch"].map(OsString::from).to_vec(),
        }
    }
}

/// What the fetcher may do, and what it keeps.
#[derive(Clone, Debug)]
pub struct FetcherConfig {
    /// A download that brings no byte for this long has failed.
    pub stall_timeout: Duration,
    /// The most bytes that the URIs of one container may bring, unpacked ones included.
    pub bytes_max: u64,
    /// Where relative paths are looked up.
    pub frameworks_home: Option<PathBuf>,
    /// Where what is to be cached is kept, for nobody but this agent; without it nothing is cached.
    pub cache_dir: Option<PathBuf>,
    pub cache_bytes: u64,
}

impl Default for FetcherConfig {
    fn default() -> FetcherConfig {
        FetcherConfig {
            stall_timeout: Duration::from_secs(60),
            bytes_max: 16 << 30,
            frameworks_home: None,
            cache_dir: None,
            cache_bytes: 2 << 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_is_read_as_mesos_writes_it() {
        assert_eq!(Isolation::parse("posix/cpu,posix/mem"), Ok(Isolation::NONE));
        let parsed = Isolation::parse("cgroups/cpu, cgroups/mem,namespaces/pid").unwrap();
        assert!(parsed.cpu && parsed.memory && parsed.pid_namespace && parsed.mount_namespace && !parsed.ipc_namespace);
        let parsed = Isolation::parse("linux/seccomp,linux/capabilities,cgroups/pids").unwrap();
        assert!(parsed.seccomp && parsed.no_new_privileges && parsed.capabilities && parsed.pids && !parsed.memory);
        assert!(Isolation::parse("cgroups/cpu,gpu/nvidia").unwrap_err().contains("gpu/nvidia"));
    }
}
