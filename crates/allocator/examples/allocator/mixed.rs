//! Mesos's MultiFrameworkAllocations: four frameworks with thousands of small tasks, five hundred with a handful, fifty
//! with larger ones. Who has all its tasks goes on being offered resources and gives them back, so that the last of the
//! small ones may wait for long; two hundred rounds are played.

use std::{collections::BTreeMap, time::Duration};

use allocator::{Grant, Settlement};
use model::FrameworkId;
use resources::Resources;

use crate::{
    cluster::{Cluster, agent, framework, parse},
    figure::{millis, print},
};

const ROUNDS: u32 = 200;

/// What is left for a framework to run.
struct Work {
    task: Resources,
    left: usize,
    per_offer: usize,
}

pub fn all() {
    let mut cluster = Cluster::empty();
    let mut work = BTreeMap::new();
    let mut add = |cluster: &mut Cluster, role: String, task: &str, left, per_offer| {
        let id = framework(work.len());
        cluster.add_framework(&id, &role);
        work.insert(id, Work { task: parse(task), left, per_offer });
    };
    for n in 0..4 {
        add(&mut cluster, format!("roleA-{n}"), "cpus:0.07;mem:400", 4_000, 100);
    }
    for _ in 0..500 {
        add(&mut cluster, "roleB".to_owned(), "cpus:0.1;mem:4000", 5, 1);
    }
    for n in 0..50 {
        add(&mut cluster, format!("roleC-{n}"), "cpus:1;mem:1000", 20, 5);
    }
    for a in 0..80 {
        cluster.add_agent(&agent(a), parse("cpus:64;mem:488000"), &BTreeMap::new());
    }
    let wanted: usize = work.values().map(|work| work.left).sum();
    let (mut rounds, mut launched, mut allocating) = (0, 0, Duration::ZERO);
    while launched < wanted && rounds < ROUNDS {
        let (grants, took) = cluster.allocate();
        rounds += 1;
        allocating += took;
        for grant in grants {
            launched += launch(&mut cluster, &mut work, grant);
        }
    }
    let conditions =
        format!("80 agents, 554 frameworks of three kinds; {launched} of {wanted} tasks in {rounds} rounds");
    print("multi_framework.tasks", launched as f64, "tasks", &conditions, None);
    print("multi_framework.round_ms", millis(allocating / rounds.max(1)), "ms", &conditions, None);
}

/// Runs what fits the offer, gives the rest back without a filter, and says how many tasks that were.
fn launch(cluster: &mut Cluster, work: &mut BTreeMap<FrameworkId, Work>, grant: Grant) -> usize {
    let Some(work) = work.get_mut(&grant.framework) else { return 0 };
    let mut rest = grant.resources.unallocate();
    let (mut used, mut count) = (Resources::EMPTY, 0);
    while count < work.per_offer.min(work.left) && rest.contains(&work.task) {
        rest -= &work.task;
        used += &work.task;
        count += 1;
    }
    work.left -= count;
    let settlement = Settlement { offered: grant.resources, used: used.allocate(&grant.role), ..Default::default() };
    cluster.allocator.settle(cluster.now, &grant.framework, &grant.agent, settlement);
    count
}
