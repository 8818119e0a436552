//! What this host lets this process isolate, found out by trying; and the sentences about what it does not.

use crate::{
    Config, Isolation, LauncherKind, SetupError,
    cgroups::{self, Controller, Hierarchy, Root},
};
use kernel::{
    capabilities::{self, Capabilities},
    clone::{self, CStrings, Exec, Plan, Privileges, Step},
    credentials, procfs,
    seccomp::Filter,
};
use std::{collections::BTreeMap, fs};

#[derive(Debug)]
pub struct Host {
    /// What of the agent's wish can be done.
    pub isolation: Isolation,
    /// Namespaces come only inside a user namespace.
    pub user_namespace: bool,
    /// Why containers have none of their own.
    no_namespaces: Option<String>,
    pub cgroups: Option<Box<dyn Hierarchy>>,
    controllers: BTreeMap<Controller, Result<Root, String>>,
    /// Cgroups can hold processes together where no PID namespace does.
    pub process_cgroups: bool,
    pub may_switch_user: bool,
    /// The capabilities there are to give, where they are limited.
    pub capabilities: Option<Capabilities>,
    pub machine_bytes: u64,
    /// What is not isolated, one sentence each.
    pub complaints: Vec<String>,
}

pub fn probe(config: &Config) -> Result<Host, SetupError> {
    let mut complaints = Vec::new();
    let root = credentials::is_root();
    let mut isolation = config.isolation;
    let mut no_namespaces = None;
    if config.launcher == LauncherKind::Posix {
        isolation = without_namespaces(isolation);
        no_namespaces = Some("--launcher=posix makes no namespaces".to_owned());
    }

    let wanted = namespaces(isolation);
    let mut user_namespace = false;
    if wanted != 0 {
        let mounts = isolation.mount_namespace && isolation.pid_namespace;
        match try_namespaces(wanted, mounts, false) {
            Ok(()) => {}
            Err(first) => match try_namespaces(wanted | libc::CLONE_NEWUSER, mounts, true) {
                Ok(()) => user_namespace = true,
                Err(second) => {
                    let reason = if root { first } else { second };
                    if config.launcher == LauncherKind::Linux {
                        return Err(SetupError::Impossible(format!(
                            "The linux launcher cannot be used: {reason}. Run as root, or use the posix launcher."
                        )));
                    }
                    isolation = without_namespaces(isolation);
                    complaints.push(format!(
                        "No namespaces can be created ({reason}): containers see each other's and the host's processes, \
                         mounts, IPC objects and host name."
                    ));
                    no_namespaces = Some(format!("no namespaces can be created ({reason})"));
                }
            },
        }
    }
    if wanted != 0 && isolation.mount_namespace && !isolation.pid_namespace {
        complaints.push("Containers see each other's and the host's processes, as the agent asks for.".to_owned());
    }

    let found = cgroups::find(config, isolation);
    complaints.extend(found.complaints);
    let has = |controller| matches!(found.controllers.get(&controller), Some(Ok(_)));
    (isolation.cpu, isolation.memory) = (has(Controller::Cpu), has(Controller::Memory));
    isolation.pids = has(Controller::Pids);

    if isolation.seccomp && !Filter::can_be_set() {
        isolation.seccomp = false;
        complaints.push("This kernel takes no filters of system calls; containers may make all of them.".to_owned());
    }
    // Whom the kernel gives none, none have to be taken from.
    let permitted = capabilities::permitted().ok().filter(|_| isolation.capabilities && root);

    if !root {
        complaints.push(
            "This agent does not run as root: every container runs as the agent's own user, with that user's access to \
             files outside its sandbox."
                .to_owned(),
        );
    }
    if !isolation.pid_namespace && !found.processes {
        complaints.push(
            "A process that detaches itself from its container and clears its environment may survive the container."
                .to_owned(),
        );
    }
    Ok(Host {
        isolation,
        user_namespace,
        no_namespaces,
        cgroups: found.hierarchy,
        controllers: found.controllers,
        process_cgroups: found.processes,
        may_switch_user: root,
        capabilities: permitted,
        machine_bytes: machine_bytes(),
        complaints,
    })
}

fn without_namespaces(isolation: Isolation) -> Isolation {
    let namespaces = Isolation { pid_namespace: false, mount_namespace: false, ..isolation };
    Isolation { ipc_namespace: false, uts_namespace: false, ..namespaces }
}

impl Host {
    /// Whether namespaces of a kind, which is `given`, can be had.
    pub fn namespace(&self, given: bool) -> Result<(), String> {
        let why = || self.no_namespaces.clone().unwrap_or_else(|| "this kind of namespace is not used here".to_owned());
        given.then_some(()).ok_or_else(why)
    }

    /// Where the files of a controller are.
    pub fn controller(&self, controller: Controller) -> Result<Root, String> {
        let none = || Err("the agent's settings do not ask for it".to_owned());
        self.controllers.get(&controller).cloned().unwrap_or_else(none)
    }

    /// Whether containers' mounts are to be prepared once for all of them.
    pub fn separates_mounts(&self) -> bool {
        self.isolation.mount_namespace && !self.user_namespace && self.capabilities.is_some()
    }
}

fn namespaces(isolation: Isolation) -> i32 {
    let flags = [
        (isolation.pid_namespace, libc::CLONE_NEWPID),
        (isolation.mount_namespace, libc::CLONE_NEWNS),
        (isolation.ipc_namespace, libc::CLONE_NEWIPC),
        (isolation.uts_namespace, libc::CLONE_NEWUTS),
    ];
    flags.iter().filter(|(used, _)| *used).fold(0, |all, (_, flag)| all | flag)
}

/// Makes a process that goes all the way to executing a program, and has none to execute.
fn try_namespaces(flags: i32, mounts: bool, user_namespace: bool) -> Result<(), String> {
    let maps = credentials::identity_maps();
    let (argv, envp) = (CStrings::new(Vec::new()), CStrings::new(Vec::new()));
    let plan = Plan {
        namespaces: flags,
        exec: Exec::Paths(&[]),
        argv: &argv,
        envp: &envp,
        fds: &[],
        user_maps: user_namespace.then_some((maps.0.as_slice(), maps.1.as_slice())),
        try_mounts: mounts,
        new_session: false,
        rlimits: &[],
        user: None,
        privileges: Privileges::default(),
        reset_signals: false,
        death_signal: None,
    };
    match clone::spawn(&plan) {
        Err(error) if error.step != Step::Exec => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn machine_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10)
}

/// Whether any process holds `entry` in its environment, and which.
pub fn processes_with(entry: &str) -> Vec<u32> {
    let own = std::process::id();
    procfs::all_stats()
        .into_iter()
        .filter(|stat| stat.pid != own && stat.state != b'Z' && procfs::has_environment(stat.pid, entry))
        .map(|stat| stat.pid)
        .collect()
}
