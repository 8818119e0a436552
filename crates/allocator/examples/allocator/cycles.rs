//! Single cycles over clusters of many sizes, and how many grants a second an allocator can hand out and take back.

use std::time::{Duration, Instant};

use allocator::Settlement;

use crate::{
    cluster::{Cluster, framework},
    figure::{median_ms, mesos, print},
};

pub fn all() {
    one_cycle(20_000, 2_000, 1, 5);
    one_cycle(50_000, 6_000, 1, 3);
    explain(20_000, 2_000);
    for agents in [1_000, 2_000, 5_000, 10_000, 20_000, 50_000] {
        one_cycle(agents, 1_000, 100, 3);
        one_cycle(agents, 100, 100, 3);
    }
    for frameworks in [1, 10, 100, 1_000, 6_000] {
        one_cycle(10_000, frameworks, 1, 3);
    }
    for roles in [1, 10, 100, 1_000, 3_000] {
        one_cycle(3_000, 3_000, roles, 3);
    }
}

/// One cycle over a cluster that just came up.
fn one_cycle(agents: usize, frameworks: usize, roles: usize, runs: usize) {
    let (mut first, mut idle, mut offers) = (Vec::new(), Vec::new(), 0);
    for _ in 0..runs {
        let mut cluster = Cluster::half_used(agents, frameworks, roles);
        let (grants, took) = cluster.allocate();
        offers = grants.len();
        first.push(took);
        idle.push(cluster.allocate().1);
    }
    let name = if roles == 1 {
        format!("cycle.{agents}x{frameworks}")
    } else {
        format!("cycle.{agents}x{frameworks}x{roles}")
    };
    let size = format!("{agents} agents, {frameworks} frameworks, {roles} roles; {offers} offers, median of {runs}");
    let reference = match (agents, frameworks, roles) {
        (1_000, 100, 1) => mesos(100.0),
        (10_000, 1_000, 1) => mesos(1_100.0),
        (20_000, 2_000, 1) => mesos(3_800.0),
        _ => None,
    };
    print(&format!("{name}_ms"), median_ms(&mut first), "ms", &size, reference);
    if roles == 1 {
        let conditions = format!("{size}; then nothing changed");
        print(&format!("{name}_idle_ms"), median_ms(&mut idle), "ms", &conditions, None);
    }
}

/// What an explanation costs: a cycle only notes who was granted what when, and the rest is worked out when somebody
/// asks.
fn explain(agents: usize, frameworks: usize) {
    let (mut cycles, mut answers, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..5 {
        let mut cluster = Cluster::half_used(agents, frameworks, 1);
        let (grants, took) = cluster.allocate();
        cycles.push(took);
        let begin = Instant::now();
        std::hint::black_box(cluster.allocator.explain(cluster.now, Some(&framework(run)), None, usize::MAX));
        answers.push(begin.elapsed());
        let mut noted = vec![(None, None); grants.len()];
        let begin = Instant::now();
        for (number, note) in noted.iter_mut().enumerate() {
            *std::hint::black_box(note) = (Some((1u64, number as u32)), Some(1u64));
        }
        notes.push(begin.elapsed());
    }
    let (cycle, answer, note) = (median_ms(&mut cycles), median_ms(&mut answers), median_ms(&mut notes));
    let size = format!("{agents} agents, {frameworks} frameworks, median of 5; the cycle took {cycle:.1} ms");
    let conditions = format!("why one framework has no more offers, asked after the cycle; {size}");
    print(&format!("explain.{agents}x{frameworks}_ms"), answer, "ms", &conditions, None);
    let conditions = format!("of a cycle for noting, in a row for each offer, who was granted what when; {size}");
    print(&format!("explain.{agents}x{frameworks}_percent"), 100.0 * note / cycle, "%", &conditions, None);
}

/// Every grant is used as a whole, runs, and comes back.
pub fn placements() {
    let (agents, frameworks) = (10_000, 100);
    let mut cluster = Cluster::half_used(agents, frameworks, 1);
    let begin = Instant::now();
    let mut placed = 0;
    while begin.elapsed() < Duration::from_secs(2) {
        let (grants, _) = cluster.allocate();
        placed += grants.len();
        for grant in grants {
            let (offered, used) = (grant.resources.clone(), grant.resources.clone());
            let settlement = Settlement { offered, used, ..Default::default() };
            cluster.allocator.settle(cluster.now, &grant.framework, &grant.agent, settlement);
            cluster.allocator.recover(cluster.now, &grant.framework, &grant.agent, &grant.resources, None);
        }
    }
    let rate = placed as f64 / begin.elapsed().as_secs_f64();
    let conditions = format!("{agents} agents, {frameworks} frameworks; grant, settle as used, recover; one thread");
    print(&format!("placements_per_s.{agents}"), rate, "1/s", &conditions, mesos(9_400.0));
}
