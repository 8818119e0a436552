//! Quotas: what guarantees keep free, what limits cut off, how they hold in the tree, and how Mesos's way differs.

use std::{collections::BTreeMap, time::Duration};

use allocator::{AllocatorConfig, Budget, Quota, QuotaError};
use resources::{Quantities, Resources};
use stdx::Rng;

use crate::cluster::{Cluster, SECOND, quota};

#[test]
fn a_limit_chops_an_agent() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.allocator.set_quota(c.now, "a", quota("", "cpus:3"));
    c.agent("s1", "cpus:8;mem:1024");
    assert_eq!(c.granted(), ["f1/a@s1: cpus:3; mem:1024"]);
    assert_eq!(c.allocator.quota_consumption("a"), amounts("cpus:3;mem:1024"));
    assert_eq!(c.allocator.next_deadline(), None, "the rest waits for somebody else");
    c.framework("f2", &["b"]);
    assert_eq!(c.granted(), ["f2/b@s1: cpus:5"]);
}

#[test]
fn what_a_guarantee_needs_is_kept_from_others() {
    let mut c = Cluster::eager();
    c.allocator.set_quota(c.now, "a", quota("cpus:6;mem:512", ""));
    c.framework("f2", &["b"]);
    c.agent("s1", "cpus:8;mem:1024");
    let grants = c.grants();
    assert_eq!(grants.iter().map(crate::cluster::show).collect::<Vec<_>>(), ["f2/b@s1: cpus:2; mem:512"]);
    // The other one comes, and finds its guarantee there.
    c.framework("f1", &["a"]);
    assert_eq!(c.granted(), ["f1/a@s1: cpus:6; mem:512"]);
}

#[test]
fn guarantees_come_before_fair_shares() {
    let mut c = Cluster::eager();
    c.agent("s1", "cpus:4;mem:512");
    c.framework("f2", &["b"]);
    let grants = c.grants();
    c.accept(&grants[0], "cpus:1;mem:32", Some(SECOND));
    c.framework("f1", &["a"]);
    // b is weightier and has less than its share, but a is promised something.
    c.allocator.set_weight("b", 1000.0);
    c.allocator.set_quota(c.now, "a", quota("cpus:1", ""));
    assert_eq!(c.granted(), ["f1/a@s1: cpus:3; mem:480"]);
}

#[test]
fn released_resources_wake_those_who_wait_for_room() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.allocator.set_quota(c.now, "a", quota("", "cpus:2;mem:64"));
    c.agent("s1", "cpus:2;mem:64");
    let grants = c.grants();
    c.accept(&grants[0], "cpus:2;mem:64", None);
    c.agent("s2", "cpus:2;mem:64");
    assert_eq!(c.granted(), [""; 0], "the limit is reached");
    c.allocator.deactivate_agent(c.now, &"s1".into());
    c.finish(&grants[0], "cpus:2;mem:64");
    assert_eq!(c.granted(), ["f1/a@s2: cpus:2; mem:64"]);
}

#[test]
fn a_quota_holds_for_all_below_a_role() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a/x"]);
    c.framework("f2", &["a/y"]);
    c.allocator.set_quota(c.now, "a", quota("", "cpus:3"));
    c.agent("s1", "cpus:2;mem:64");
    c.agent("s2", "cpus:2;mem:64");
    let cpus: i64 = c.grants().iter().map(|grant| grant.resources.cpus().unwrap().units()).sum();
    assert_eq!(cpus, 3);
}

#[test]
fn a_guarantee_below_is_kept_from_siblings() {
    let mut c = Cluster::eager();
    c.allocator.set_quota(c.now, "a", quota("cpus:4", "cpus:4"));
    c.allocator.set_quota(c.now, "a/x", quota("cpus:3", ""));
    c.framework("f2", &["a/y"]);
    c.agent("s1", "cpus:8;mem:64");
    assert_eq!(c.granted(), ["f2/a/y@s1: cpus:1; mem:64"]);
    c.framework("f1", &["a/x"]);
    assert_eq!(c.granted(), ["f1/a/x@s1: cpus:3"]);
}

#[test]
fn mesos_looks_at_the_role_itself_only() {
    let mut c = Cluster::new(AllocatorConfig { coalesce: Duration::ZERO, ..AllocatorConfig::mesos() });
    c.framework("f1", &["a/x"]);
    c.allocator.set_quota(c.now, "a", quota("", "cpus:3"));
    c.agent("s1", "cpus:8;mem:64");
    assert_eq!(c.granted(), ["f1/a/x@s1: cpus:8; mem:64"]);
    let nested = BTreeMap::from([("a/x".to_owned(), quota("", "cpus:3"))]);
    assert!(matches!(c.allocator.check_quotas(&nested, true), Err(QuotaError::Nested(_))));
}

#[test]
fn reservations_consume_quota_used_or_not() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    let total = Resources::parse("cpus(a):2;cpus:4;mem:64", "*").unwrap();
    c.agent_with("s1", total, crate::cluster::agent_profile("s1"));
    c.allocator.set_quota(c.now, "a", quota("", "cpus:3"));
    assert_eq!(c.allocator.quota_consumption("a"), amounts("cpus:2"));
    assert_eq!(c.granted(), ["f1/a@s1: cpus:1; cpus(reservations: [(STATIC,a)]):2; mem:64"]);
}

#[test]
fn after_a_failover_offers_wait_for_the_agents() {
    let mut c = Cluster::eager();
    c.allocator.set_quota(c.now, "a", quota("cpus:1;mem:32", ""));
    c.allocator.begin_recovery(c.now, 5);
    c.framework("f1", &["b"]);
    for n in 0..3 {
        c.agent(&format!("s{n}"), "cpus:1;mem:32");
        assert_eq!(c.granted(), [""; 0]);
    }
    c.agent("s3", "cpus:1;mem:32");
    assert_eq!(c.granted().len(), 3, "four of five are enough, and one is kept for a");
    c.allocator.begin_recovery(c.now, 100);
    c.agent("s4", "cpus:1;mem:32");
    assert_eq!(c.granted(), [""; 0]);
    c.wait(Duration::from_secs(600));
    assert_eq!(c.granted().len(), 1, "no longer than that");
}

#[test]
fn impossible_quotas_are_refused_with_the_figure_and_change_nothing() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:8;mem:64");
    assert_eq!(c.grants().len(), 1);
    let one = |role: &str, q: Quota| BTreeMap::from([(role.to_owned(), q)]);
    let refused = |c: &Cluster, change, force| c.allocator.check_quotas(&change, force).unwrap_err().to_string();
    assert!(
        refused(&c, one("a", quota("cpus:9", "")), false).contains("'cpus:9' exceed cluster capacity 'cpus:8; mem:64'")
    );
    assert!(refused(&c, one("a", quota("", "cpus:7")), false).contains("already consuming 'cpus:8; mem:64'"));
    assert!(refused(&c, one("a/b", quota("cpus:1", "")), true).contains("'a' with guarantees ({})"));
    assert!(refused(&c, one("/a", quota("cpus:1", "")), true).contains("cannot start with a slash"));
    assert!(c.allocator.check_quotas(&one("a", quota("cpus:9", "cpus:9")), true).is_ok(), "by force");
    assert!(c.allocator.quotas().is_empty());
}

/// Greedy frameworks hold whatever they get; others come late. Whatever is promised is still there for them.
#[test]
fn guarantees_are_met_whenever_the_cluster_can() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        // Crumbs are no offers, unless everything is.
        let config = AllocatorConfig { min_allocatable: Vec::new(), ..AllocatorConfig::default() };
        let mut c = Cluster::new(AllocatorConfig { coalesce: Duration::ZERO, ..config });
        let agents = 2 + rng.below(8);
        for n in 0..agents {
            c.agent(&format!("s{n}"), "cpus:8;mem:800");
        }
        // Of a/x and a/y, the first has a guarantee of its own within that of a.
        let mut left = (8 * agents, 800 * agents);
        let mut promised = Vec::new();
        for role in ["a", "b", "c"] {
            let share = (rng.below(left.0 / 2 + 1), rng.below(left.1 / 2 + 1));
            left = (left.0 - share.0, left.1 - share.1);
            promised.push((role, share));
        }
        let text = |(cpus, mem): (u64, u64)| format!("cpus:{cpus};mem:{mem}");
        for (role, share) in &promised {
            c.allocator.set_quota(c.now, role, quota(&text(*share), ""));
        }
        let below = (promised[0].1.0 / 2, promised[0].1.1 / 2);
        c.allocator.set_quota(c.now, "a/x", quota(&text(below), ""));
        let mut arrivals =
            [("f1", "greedy"), ("f2", "greedy/too"), ("f3", "a/y"), ("f4", "a/x"), ("f5", "b"), ("f6", "c")];
        rng.shuffle(&mut arrivals);
        for (id, role) in arrivals {
            c.framework(id, &[role]);
            for _ in 0..3 {
                let steps = 1 + rng.below(5) as usize;
                c.wait(SECOND);
                while c.allocator.next_deadline().is_some_and(|(at, _)| at <= c.now) {
                    c.allocator.allocate(c.now, Budget { steps });
                }
            }
        }
        let (x, a) = (c.allocator.quota_consumption("a/x"), c.allocator.quota_consumption("a"));
        assert!(x.contains(&amounts(&text(below))), "seed {seed}: a/x has {x} of {}", text(below));
        for (role, share) in promised {
            let consumed = c.allocator.quota_consumption(role);
            assert!(consumed.contains(&amounts(&text(share))), "seed {seed}: {role} has {consumed} of {}", text(share));
        }
        assert!(a.contains(&x));
    }
}

fn amounts(text: &str) -> Quantities {
    Resources::parse(text, "*").unwrap().scalar_quantities()
}
