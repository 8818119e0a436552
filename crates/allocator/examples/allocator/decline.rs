//! Mesos's DeclineOffers: every round all free resources are offered, and all of it is declined for a year.

use std::time::Duration;

use crate::{
    cluster::{Cluster, agent},
    figure::{Reference, median_ms, mesos, mesos_measured, millis, print},
};

const YEAR: Duration = Duration::from_secs(31_536_000);

pub fn all() {
    for (agents, frameworks, rounds) in
        [(1_000, 50, 100), (1_000, 200, 300), (1_000, 1_000, 60), (10_000, 1_000, 60), (10_000, 3_000, 20)]
    {
        decline_offers(agents, frameworks, rounds);
    }
}

fn decline_offers(agents: usize, frameworks: usize, rounds: usize) {
    let mut cluster = Cluster::half_used(agents, frameworks, 1);
    let (mut allocate, mut decline, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
    let mut offers = 0;
    for _ in 0..rounds {
        let (grants, took) = cluster.allocate();
        if grants.is_empty() {
            quiet.push(took);
            continue;
        }
        offers += grants.len();
        allocate.push(took);
        decline.push(cluster.decline(grants, YEAR));
    }
    let name = format!("decline_offers.{agents}x{frameworks}");
    let size = format!("{agents} agents, {frameworks} frameworks in one role, one thread");
    let rounds = allocate.len();
    let conditions = format!("{size}; median of {rounds} rounds with {offers} offers in all; allocate only");
    print(&format!("{name}_ms"), median_ms(&mut allocate), "ms", &conditions, reference(agents, frameworks));
    let conditions = format!("{size}; declining a round's offers");
    print(&format!("{name}_declines_ms"), median_ms(&mut decline), "ms", &conditions, None);
    if !quiet.is_empty() {
        let conditions = format!("{size}; all pairs filtered");
        print(&format!("{name}_filtered_ms"), median_ms(&mut quiet), "ms", &conditions, filtered(agents, frameworks));
        for a in 0..agents {
            cluster.allocator.deactivate_agent(cluster.now, &agent(a));
            cluster.allocator.activate_agent(cluster.now, &agent(a));
        }
        let (grants, took) = cluster.allocate();
        assert!(grants.is_empty());
        let conditions = format!("{size}; all pairs filtered, every agent looked at again");
        let reference = filtered(agents, frameworks);
        print(&format!("{name}_filtered_again_ms"), millis(took), "ms", &conditions, reference);
    }
}

/// A round that makes offers; measured ones are the middle of what was seen.
fn reference(agents: usize, frameworks: usize) -> Option<Reference> {
    match (agents, frameworks) {
        (1_000, 50) => mesos_measured(90.0),
        (1_000, 1_000) => mesos_measured(122.0),
        (10_000, 1_000) => mesos(1_060.0),
        (10_000, 3_000) => mesos(2_550.0),
        _ => None,
    }
}

/// A round in which everything is filtered.
fn filtered(agents: usize, frameworks: usize) -> Option<Reference> {
    match (agents, frameworks) {
        (1_000, 50) => mesos_measured(760.0),
        (1_000, 200) => mesos_measured(2_400.0),
        _ => None,
    }
}
