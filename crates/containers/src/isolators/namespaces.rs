//! Namespaces: which ones a container gets fresh, and which of its parent it enters.

use crate::{Class, IpcMode, Isolation, LaunchSpec, record::Setup};

/// How the process is made and what its launcher does about namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NamespacePlan {
    /// `CLONE_NEW*` at the creation of the process.
    pub create: i32,
    /// The process is created inside the PID namespace of its parent container.
    pub in_parent_pid: bool,
    /// What the launcher does.
    pub setup: Setup,
}

/// `isolation` is what the host can do of what the agent asked for; `user_namespace` says that it needs one for it.
pub fn plan(spec: &LaunchSpec, isolation: Isolation, user_namespace: bool) -> NamespacePlan {
    let nested = spec.id.is_nested();
    let debug = spec.class == Class::Debug;
    let mut plan = NamespacePlan::default();
    let setup = &mut plan.setup;

    let own_pid = isolation.pid_namespace && !spec.share_pid_namespace && !debug;
    let own_mounts = isolation.mount_namespace && !debug;
    let mut fresh = 0;
    if own_pid {
        plan.create |= libc::CLONE_NEWPID;
        setup.own_pid = true;
    }
    if own_mounts {
        fresh |= libc::CLONE_NEWNS;
        setup.own_mounts = true;
    }
    if isolation.ipc_namespace && !debug {
        let own = match spec.ipc {
            IpcMode::Private => true,
            // Beside its parent there is no way to what the parent has.
            IpcMode::Unset => !nested || user_namespace,
            IpcMode::ShareParent => false,
        };
        if own {
            fresh |= libc::CLONE_NEWIPC;
        }
        setup.own_shm = own && own_mounts;
    }
    if isolation.uts_namespace && (!nested || spec.hostname.is_some()) && !debug {
        fresh |= libc::CLONE_NEWUTS;
    }

    let parents = [
        (isolation.mount_namespace, libc::CLONE_NEWNS),
        (isolation.ipc_namespace, libc::CLONE_NEWIPC),
        (isolation.uts_namespace, libc::CLONE_NEWUTS),
    ];
    let parents = parents.iter().filter(|(used, _)| *used).fold(0, |all, (_, flag)| all | flag);
    if nested && !user_namespace {
        // A PID namespace of its own lies beside the parent's: the kernel makes none inside one that was only entered.
        plan.in_parent_pid = isolation.pid_namespace && !own_pid;
        setup.enter = parents;
        setup.leave = fresh;
    } else if debug {
        // Without privileges the parent's namespaces open only together with its user namespace, and that only to a
        // process of one thread: the launcher enters them all, its program is born inside.
        let pid = if isolation.pid_namespace { libc::CLONE_NEWPID } else { 0 };
        if parents | pid != 0 {
            setup.enter = parents | pid | libc::CLONE_NEWUSER;
            setup.user_namespace = true;
        }
    } else {
        // Without privileges a nested container lives beside its parent, not inside it.
        plan.create |= if nested { fresh & !libc::CLONE_NEWUTS } else { fresh };
        if user_namespace && plan.create != 0 {
            plan.create |= libc::CLONE_NEWUSER;
            setup.user_namespace = true;
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, ContainerId, Program};

    fn spec(id: &[&str]) -> LaunchSpec {
        let id = ContainerId::new(id.iter().map(|level| (*level).to_owned()).collect()).unwrap();
        LaunchSpec::new(id, Command::new(Program::Shell(String::new())), "/s")
    }

    #[test]
    fn a_root_container_gets_everything_fresh() {
        let plan = plan(&spec(&["a"]), Isolation::ALL, false);
        let all = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        assert_eq!(plan.create, all);
        assert!(plan.setup.own_pid && plan.setup.own_mounts && plan.setup.own_shm && plan.setup.enter == 0);
    }

    #[test]
    fn a_nested_container_enters_its_parents_and_keeps_processes_and_mounts_apart() {
        let plan = plan(&spec(&["a", "b"]), Isolation::ALL, false);
        assert_eq!(plan.create, libc::CLONE_NEWPID);
        assert!(!plan.in_parent_pid && plan.setup.own_pid);
        assert_eq!(plan.setup.enter, libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS);
        assert_eq!((plan.setup.leave, plan.setup.own_shm), (libc::CLONE_NEWNS, false));
    }

    #[test]
    fn a_debug_container_has_nothing_of_its_own() {
        let plan = plan(&LaunchSpec { class: Class::Debug, ..spec(&["a", "b"]) }, Isolation::ALL, false);
        assert_eq!((plan.create, plan.setup.leave, plan.setup.own_pid), (0, 0, false));
        assert!(plan.in_parent_pid && plan.setup.enter != 0);
    }

    #[test]
    fn private_ipc_comes_with_its_own_shm() {
        let root = plan(&LaunchSpec { ipc: IpcMode::Private, ..spec(&["a"]) }, Isolation::ALL, false);
        assert!(root.setup.own_shm);
        let shared = plan(&LaunchSpec { ipc: IpcMode::ShareParent, ..spec(&["a"]) }, Isolation::ALL, false);
        assert_eq!((shared.create & libc::CLONE_NEWIPC, shared.setup.own_shm), (0, false));
        let nested = plan(&LaunchSpec { ipc: IpcMode::Private, ..spec(&["a", "b"]) }, Isolation::ALL, false);
        assert_eq!(nested.setup.leave, libc::CLONE_NEWNS | libc::CLONE_NEWIPC);
    }

    #[test]
    fn without_privileges_nested_containers_live_beside_their_parent() {
        let nested = plan(&spec(&["a", "b"]), Isolation::ALL, true);
        let fresh = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
        assert_eq!(nested.create, fresh);
        assert!(!nested.in_parent_pid && nested.setup.enter == 0 && nested.setup.user_namespace);
        let debug = plan(&LaunchSpec { class: Class::Debug, ..spec(&["a", "b"]) }, Isolation::ALL, true);
        assert!(debug.create == 0 && debug.setup.enter & libc::CLONE_NEWUSER != 0);
    }

    #[test]
    fn without_isolation_nothing_is_created() {
        assert_eq!(plan(&spec(&["a"]), Isolation::NONE, true), NamespacePlan::default());
    }
}
