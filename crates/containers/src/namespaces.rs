//! Namespaces: from what isolators want to how a process is made, and what its launcher enters and leaves. Which
//! namespaces are wanted is for the isolators to say.

use crate::record::Setup;

/// What isolators want, as `CLONE_NEW*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// Kinds that containers of this agent have: a nested one enters those of its parent.
    pub in_use: i32,
    /// Kinds that this container gets fresh.
    pub own: i32,
}

impl Namespaces {
    /// Containers have this kind; `own`: this one gets it fresh.
    pub fn add(&mut self, kind: i32, own: bool) {
        self.in_use |= kind;
        if own {
            self.own |= kind;
        }
    }

    pub fn owns(&self, kind: i32) -> bool {
        self.own & kind != 0
    }
}

/// Where a container's namespaces come from.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub nested: bool,
    /// Shares everything with its parent.
    pub debug: bool,
    /// Namespaces come only inside a user namespace.
    pub user_namespace: bool,
}

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

pub fn plan(wanted: Namespaces, at: Position) -> NamespacePlan {
    let Position { nested, debug, user_namespace } = at;
    let mut plan = NamespacePlan::default();
    let setup = &mut plan.setup;
    setup.own_pid = wanted.owns(libc::CLONE_NEWPID);
    setup.own_mounts = wanted.owns(libc::CLONE_NEWNS);
    plan.create = wanted.own & libc::CLONE_NEWPID;
    let fresh = wanted.own & !libc::CLONE_NEWPID;
    let parents = wanted.in_use & !libc::CLONE_NEWPID;
    if nested && !user_namespace {
        // A PID namespace of its own lies beside the parent's: the kernel makes none inside one that was only entered.
        plan.in_parent_pid = wanted.in_use & libc::CLONE_NEWPID != 0 && !setup.own_pid;
        setup.enter = parents;
        setup.leave = fresh;
    } else if debug {
        // Without privileges the parent's namespaces open only together with its user namespace, and that only to a
        // process of one thread: the launcher enters them all, its program is born inside.
        if wanted.in_use != 0 {
            setup.enter = wanted.in_use | libc::CLONE_NEWUSER;
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

    const ALL: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    const ROOT: Position = Position { nested: false, debug: false, user_namespace: false };
    const NESTED: Position = Position { nested: true, ..ROOT };

    fn own(own: i32) -> Namespaces {
        Namespaces { in_use: ALL, own }
    }

    #[test]
    fn a_root_container_gets_everything_fresh() {
        let plan = plan(own(ALL), ROOT);
        assert_eq!(plan.create, ALL);
        assert!(plan.setup.own_pid && plan.setup.own_mounts && plan.setup.enter == 0);
    }

    #[test]
    fn a_nested_container_enters_its_parents_and_keeps_processes_and_mounts_apart() {
        let plan = plan(own(libc::CLONE_NEWPID | libc::CLONE_NEWNS), NESTED);
        assert_eq!(plan.create, libc::CLONE_NEWPID);
        assert!(!plan.in_parent_pid && plan.setup.own_pid);
        assert_eq!(plan.setup.enter, libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS);
        assert_eq!(plan.setup.leave, libc::CLONE_NEWNS);
    }

    #[test]
    fn a_debug_container_has_nothing_of_its_own() {
        let plan = plan(own(0), Position { debug: true, ..NESTED });
        assert_eq!((plan.create, plan.setup.leave, plan.setup.own_pid), (0, 0, false));
        assert!(plan.in_parent_pid && plan.setup.enter != 0);
    }

    #[test]
    fn without_privileges_nested_containers_live_beside_their_parent() {
        let beside = Position { user_namespace: true, ..NESTED };
        let nested = plan(own(ALL), beside);
        assert_eq!(nested.create, (ALL & !libc::CLONE_NEWUTS) | libc::CLONE_NEWUSER);
        assert!(!nested.in_parent_pid && nested.setup.enter == 0 && nested.setup.user_namespace);
        let debug = plan(own(0), Position { debug: true, ..beside });
        assert!(debug.create == 0 && debug.setup.enter & libc::CLONE_NEWUSER != 0);
    }

    #[test]
    fn without_isolation_nothing_is_created() {
        assert_eq!(plan(Namespaces::default(), Position { user_namespace: true, ..ROOT }), NamespacePlan::default());
    }
}
