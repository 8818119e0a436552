//! Over many cycles nobody starves: who wants resources and has the least is served within a bounded number of them.

use std::{collections::BTreeMap, time::Duration};

use allocator::{AllocatorConfig, Grant, SorterKind};
use stdx::Rng;

use crate::cluster::{Cluster, SECOND, quota};

const LONGEST_TASK: u64 = 5;

/// Frameworks decline, or run tasks for some seconds; returns the longest time in seconds that anybody waited for an
/// offer.
fn longest_wait(config: AllocatorConfig, seed: u64, with_quota: bool) -> u64 {
    let mut rng = Rng::new(seed);
    let mut c = Cluster::new(AllocatorConfig { coalesce: Duration::ZERO, ..config });
    let roles = ["a", "a/x", "a/y", "b", "*"];
    let frameworks: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    for (n, id) in frameworks.iter().enumerate() {
        c.framework(id, &[roles[n % roles.len()]]);
    }
    c.allocator.set_weight("b", 3.0);
    if with_quota {
        c.allocator.set_quota(c.now, "b", quota("cpus:4;mem:128", "cpus:8;mem:256"));
    }
    for n in 0..4 {
        c.agent(&format!("s{n}"), "cpus:4;mem:128");
    }
    let mut last: BTreeMap<&str, u64> = frameworks.iter().map(|id| (id.as_str(), 0)).collect();
    let mut running: Vec<(u64, Grant)> = Vec::new();
    let mut longest = 0;
    for second in 1..600 {
        c.wait(SECOND);
        running.retain(|(until, grant)| {
            if *until <= second {
                c.allocator.recover(c.now, &grant.framework, &grant.agent, &grant.resources, None);
            }
            *until > second
        });
        while c.allocator.next_deadline().is_some_and(|(at, _)| at <= c.now) {
            for grant in c.grants() {
                if let Some(seen) = last.get_mut(grant.framework.as_str()) {
                    longest = longest.max(second - std::mem::replace(seen, second));
                }
                match rng.below(2) {
                    0 => c.decline(&grant, None),
                    _ => running.push((second + 1 + rng.below(LONGEST_TASK), grant)),
                }
            }
        }
    }
    last.values().fold(longest, |longest, seen| longest.max(600 - seen))
}

#[test]
fn nobody_starves() {
    for seed in 0..20 {
        for with_quota in [false, true] {
            for config in [AllocatorConfig::default(), AllocatorConfig::mesos()] {
                let waited = longest_wait(config, seed, with_quota);
                assert!(waited <= 8 * LONGEST_TASK, "seed {seed}, quota {with_quota}: {waited} s");
            }
        }
    }
}

#[test]
fn lots_starve_nobody_for_long() {
    let random = AllocatorConfig {
        role_sorter: SorterKind::Random,
        framework_sorter: SorterKind::Random,
        ..AllocatorConfig::default()
    };
    for seed in 0..20 {
        let waited = longest_wait(random.clone(), seed, false);
        assert!(waited <= 120, "seed {seed}: {waited} s");
    }
}
