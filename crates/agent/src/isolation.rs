//! What containers are kept apart by, for people to see: which of Mesos's isolators are really at work, and why the
//! others are not. That a task may ask for what is not there, as in Mesos, must not be a secret.

use containers::Enforcement;

/// Isolators of Mesos that tasks may count on and that are not there.
const MISSING: [&str; 3] = ["cgroups/devices", "gpu/nvidia", "network/cni"];

/// What the containerizer says, and what it knows nothing of, in the order of the alphabet.
pub fn all(known: Vec<Enforcement>) -> Vec<Enforcement> {
    let missing = MISSING.map(|name| Enforcement { name, enforced: Err("this version does not have it".to_owned()) });
    let mut all: Vec<Enforcement> = known.into_iter().chain(missing).collect();
    all.sort_by_key(|one| one.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_among_what_is_known() {
        let known = Enforcement { name: "cgroups/mem", enforced: Ok(()) };
        let all = all(vec![known.clone()]);
        assert_eq!(
            all.iter().map(|one| one.name).collect::<Vec<_>>(),
            [MISSING[0], known.name, MISSING[1], MISSING[2]]
        );
        assert!(all[1] == known && all[0].enforced.as_ref().is_err_and(|why| why.contains("this version")));
    }
}
