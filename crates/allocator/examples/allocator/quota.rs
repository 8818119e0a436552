//! Mesos's LargeAndSmallQuota and NonQuotaVsQuota. In the first, five of six roles have a quota of half an agent, which
//! chops agents, and the others one of two agents, which takes several; all of the cluster goes out in the first cycle.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use allocator::{AllocatorConfig, Quota, SorterKind};
use model::{AgentId, FrameworkId};

use crate::{
    cluster::{Cluster, parse},
    figure::{mesos, millis, print},
};

const AGENT: &str = "cpus:2;mem:2048;disk:2048";

pub fn all() {
    for (roles, sorter) in [(30, SorterKind::Drf), (300, SorterKind::Drf), (3_000, SorterKind::Random)] {
        let run = large_and_small(roles, sorter);
        let sorter = if sorter == SorterKind::Drf { "drf" } else { "random" };
        let conditions = run.conditions(&format!("{roles} roles, {sorter} sorters"));
        print(&format!("quota.{roles}.{sorter}.cycle_ms"), millis(run.cycle), "ms", &conditions, None);
        print(&format!("quota.{roles}.{sorter}.empty_ms"), millis(run.empty), "ms", &conditions, None);
    }
    let mut runs: Vec<Run> = (0..5).map(|_| large_and_small(3_000, SorterKind::Drf)).collect();
    let mut median = |of: fn(&Run) -> Duration| {
        runs.sort_by_key(of);
        millis(of(&runs[2]))
    };
    let (cycle, empty, add) = (median(|run| run.cycle), median(|run| run.empty), median(|run| run.add));
    let conditions = runs[2].conditions("3,000 roles, agents and frameworks, drf sorters, median of 5");
    print("quota.cycle_ms", cycle, "ms", &conditions, mesos(15_300.0));
    print("quota.empty_ms", empty, "ms", &format!("{conditions}; then one with nothing left to give"), mesos(13_800.0));
    let conditions = "adding 3,000 frameworks in 3,000 roles to 3,000 agents, median of 5";
    print("quota.add_frameworks_ms", add, "ms", conditions, mesos(17_000.0));
    for with_quota in [false, true] {
        non_quota_vs_quota(1_000, with_quota);
    }
}

struct Run {
    add: Duration,
    cycle: Duration,
    empty: Duration,
    offers: usize,
}

impl Run {
    fn conditions(&self, size: &str) -> String {
        format!("LargeAndSmallQuota: {size}; {} offers in one cycle", self.offers)
    }
}

fn large_and_small(roles: usize, sorter: SorterKind) -> Run {
    let (large, small) = (roles / 6, roles - roles / 6);
    let config = AllocatorConfig { role_sorter: sorter, framework_sorter: sorter, ..AllocatorConfig::default() };
    let mut cluster = Cluster::with(config);
    for a in 0..small / 5 + large * 5 {
        cluster.add_agent(&AgentId::from(format!("agent-{a}")), parse(AGENT), &BTreeMap::new());
    }
    let small = (0..small).map(|n| (format!("smallQuotaRole{n}"), format!("framework_small_{n}-0"), 1.0));
    let large = (0..large).map(|n| (format!("largeQuotaRole{n}"), format!("framework_large_{n}-0"), 4.0));
    let all: Vec<(String, String, f64)> = small.chain(large).collect();
    let begin = Instant::now();
    for (role, framework, _) in &all {
        cluster.add_framework(&FrameworkId::from(framework.as_str()), role);
    }
    let add = begin.elapsed();
    for (role, _, cpus) in &all {
        let amounts = [("cpus", *cpus), ("mem", cpus * 1024.0), ("disk", cpus * 1024.0)];
        set_quota(&mut cluster, role, amounts);
    }
    let (grants, cycle) = cluster.allocate();
    let (nothing, empty) = cluster.allocate();
    assert!(nothing.is_empty());
    Run { add, cycle, empty, offers: grants.len() }
}

/// The same offers with quotas that are whole agents, and without.
fn non_quota_vs_quota(roles: usize, with_quota: bool) {
    let mut cluster = Cluster::empty();
    for a in 0..roles * 2 {
        cluster.add_agent(&AgentId::from(format!("agent-{a}")), parse(AGENT), &BTreeMap::new());
    }
    for r in 0..roles {
        for f in 0..2 {
            cluster.add_framework(&FrameworkId::from(format!("framework_{r}-{f}")), &format!("role{r}"));
        }
    }
    if with_quota {
        for r in 0..roles {
            set_quota(&mut cluster, &format!("role{r}"), [("cpus", 4.0), ("mem", 4096.0), ("disk", 4096.0)]);
        }
    }
    let (grants, took) = cluster.allocate();
    let name = if with_quota { "with_quota" } else { "without_quota" };
    let size = format!("{roles} roles, {} agents and frameworks; {} offers", roles * 2, grants.len());
    let conditions = format!("NonQuotaVsQuota: {size}");
    print(&format!("quota.{name}.{roles}_ms"), millis(took), "ms", &conditions, None);
}

/// What Mesos's helper for these tests does: a limit as high as the guarantee.
fn set_quota(cluster: &mut Cluster, role: &str, amounts: [(&str, f64); 3]) {
    match Quota::from_numbers(amounts, amounts) {
        Ok(quota) => cluster.allocator.set_quota(cluster.now, role, quota),
        Err(why) => panic!("{why}"),
    }
}
