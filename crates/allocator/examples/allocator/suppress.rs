//! Mesos's SuppressOffers, ExtremeSuppressOffers and AllocatorBacklog: what frameworks cost that want nothing, and
//! calls that come in a crowd.

use std::time::{Duration, Instant};

use crate::{
    cluster::{Cluster, framework},
    figure::{median_ms, millis, print},
};

/// Allocations of a run.
const ROUNDS: usize = 5;

pub fn all() {
    for (agents, frameworks) in [(1_000, 1_000), (10_000, 1_000)] {
        suppress_offers(agents, frameworks);
        extreme_suppress_offers(agents, frameworks);
        backlog(agents, frameworks);
    }
}

/// A fifth of the frameworks more is suppressed in each round, until all are.
fn suppress_offers(agents: usize, frameworks: usize) {
    let mut cluster = Cluster::half_used(agents, frameworks, 1);
    let mut suppressed = 0;
    let (times, offers) = rounds(&mut cluster, |cluster| {
        for _ in 0..frameworks / ROUNDS {
            cluster.allocator.suppress(cluster.now, &framework(suppressed), &[]);
            suppressed += 1;
        }
    });
    report("suppress_offers", agents, frameworks, times, offers, "a fifth of the frameworks more suppressed in each");
}

/// All but a hundredth of the frameworks are suppressed from the start.
fn extreme_suppress_offers(agents: usize, frameworks: usize) {
    let mut cluster = Cluster::half_used(agents, frameworks, 1);
    for f in 0..frameworks * 99 / 100 {
        cluster.allocator.suppress(cluster.now, &framework(f), &[]);
    }
    let (times, offers) = rounds(&mut cluster, |_| {});
    report("extreme_suppress_offers", agents, frameworks, times, offers, "99 % of the frameworks suppressed");
}

/// Allocations, each after all that was offered came back without a filter.
fn rounds(cluster: &mut Cluster, mut before: impl FnMut(&mut Cluster)) -> (Vec<Duration>, usize) {
    let (mut times, mut offers, mut last) = (Vec::new(), 0, Vec::new());
    for _ in 0..ROUNDS {
        cluster.decline(std::mem::take(&mut last), Duration::ZERO);
        before(cluster);
        let (grants, took) = cluster.allocate();
        offers += grants.len();
        times.push(took);
        last = grants;
    }
    (times, offers)
}

fn report(name: &str, agents: usize, frameworks: usize, mut times: Vec<Duration>, offers: usize, how: &str) {
    let conditions = format!(
        "{agents} agents, {frameworks} frameworks in one role; median of {ROUNDS} rounds with {offers} offers in all, {how}"
    );
    print(&format!("{name}.{agents}x{frameworks}_ms"), median_ms(&mut times), "ms", &conditions, None);
}

/// Every framework revives while all resources are offered.
fn backlog(agents: usize, frameworks: usize) {
    let mut cluster = Cluster::half_used(agents, frameworks, 1);
    let (offered, _) = cluster.allocate();
    assert!(!offered.is_empty());
    let begin = Instant::now();
    for f in 0..frameworks {
        cluster.allocator.revive(cluster.now, &framework(f), &[]);
    }
    let (grants, _) = cluster.allocate();
    let took = begin.elapsed();
    assert!(grants.is_empty());
    let conditions = format!("{agents} agents, all offered; {frameworks} frameworks revive, and a cycle");
    print(&format!("backlog.{agents}x{frameworks}_ms"), millis(took), "ms", &conditions, None);
}
