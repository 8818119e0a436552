//! What containers are kept apart by, for people to see: which of the usual isolators are really at work, and why the
//! others are not. That a task may ask for what is not there, as in Mesos, must not be a secret.

use containers::Isolation;

/// One isolator by Mesos's name: enforced, or why it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolator {
    pub name: &'static str,
    pub enforced: Result<(), String>,
}

/// What `--isolation` asks for, and what of it the host gives.
pub fn isolators(asked: Isolation, given: Isolation) -> Vec<Isolator> {
    // What is not named here would not be shown.
    let row = |isolation: Isolation| {
        let Isolation { cpu, memory, pids, pid_namespace, mount_namespace, ipc_namespace, uts_namespace, .. } =
            isolation;
        let Isolation { capabilities, seccomp, no_new_privileges, .. } = isolation;
        [
            ("cgroups/cpu", cpu),
            ("cgroups/mem", memory),
            ("cgroups/pids", pids),
            ("filesystem/linux", mount_namespace),
            ("linux/capabilities", capabilities),
            ("linux/nnp", no_new_privileges),
            ("linux/seccomp", seccomp),
            ("namespaces/ipc", ipc_namespace),
            ("namespaces/pid", pid_namespace),
            ("namespaces/uts", uts_namespace),
        ]
    };
    let known = row(asked).into_iter().zip(row(given)).map(|((name, asked), (_, given))| {
        let enforced = match (asked, given) {
            (_, true) => Ok(()),
            (true, false) => Err("this host does not allow it; the agent's log says why".to_owned()),
            (false, false) => Err("--isolation does not ask for it".to_owned()),
        };
        Isolator { name, enforced }
    });
    let missing = ["cgroups/devices", "disk/du", "gpu/nvidia", "network/cni"];
    let missing = missing.map(|name| Isolator { name, enforced: Err("this version does not have it".to_owned()) });
    let mut all: Vec<Isolator> = known.chain(missing).collect();
    all.sort_by_key(|isolator| isolator.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_enforced_says_why() {
        let (asked, given) =
            (Isolation { cpu: false, ..Isolation::ALL }, Isolation { memory: true, ..Isolation::NONE });
        let all = isolators(asked, given);
        let enforced = |name: &str| all.iter().find(|one| one.name == name).map(|one| one.enforced.as_ref());
        assert_eq!(enforced("cgroups/mem"), Some(Ok(&())));
        let why = |name: &str| enforced(name).and_then(Result::err).cloned().unwrap_or_default();
        assert!(why("cgroups/cpu").contains("--isolation"), "{}", why("cgroups/cpu"));
        assert!(why("namespaces/pid").contains("this host"), "{}", why("namespaces/pid"));
        assert!(why("network/cni").contains("this version"), "{}", why("network/cni"));
    }
}
