//! Mesos's UpdateAllocation: one agent with very many reservations, each used by a framework of its own; one of these
//! takes back its reservation and makes it again, twenty times.

use std::{collections::BTreeMap, time::Instant};

use allocator::{Grant, Settlement};
use resources::{Reservation, Resources, conversion::Conversion};

use crate::{
    cluster::{Cluster, agent, framework, parse},
    figure::{mesos, millis, print},
};

const TIMES: usize = 20;

pub fn all() {
    for (frameworks, reference) in [(50, 470.0), (200, 2_100.0), (1_600, 90_000.0)] {
        update_allocation(frameworks, reference);
    }
}

fn update_allocation(frameworks: usize, reference: f64) {
    let mut cluster = Cluster::empty();
    let (mut total, mut used) = (Resources::EMPTY, BTreeMap::new());
    let name = |f: usize| format!("role-{f:031}");
    for f in 0..frameworks {
        cluster.add_framework(&framework(f), &name(f));
        let reserved = reserve(&parse("cpus:100;mem:100;disk:100;ports:[2-2]"), &name(f));
        used.insert(framework(f), reserved.allocate(&name(f)));
        total += &reserved;
    }
    let rows = total.len();
    cluster.add_agent(&agent(0), total, &used);
    let mut held = used.remove(&framework(0)).unwrap_or_default();
    let begin = Instant::now();
    for _ in 0..TIMES {
        let freed = held.to_unreserved();
        convert(&mut cluster, &held, &freed);
        convert(&mut cluster, &freed, &held);
        held = held.clone();
    }
    let took = begin.elapsed();
    held = held.unallocate();
    assert!(!held.is_empty());
    let conditions =
        format!("{TIMES} x RESERVE and UNRESERVE on one agent with {rows} resources of {frameworks} roles");
    print(&format!("update_allocation.{rows}x{frameworks}_ms"), millis(took), "ms", &conditions, mesos(reference));
}

/// The framework keeps what it has, in another form.
fn convert(cluster: &mut Cluster, from: &Resources, to: &Resources) {
    let conversion = Conversion { consumed: from.clone(), converted: to.clone(), gone: None };
    let settlement =
        Settlement { offered: from.clone(), conversions: vec![conversion], used: to.clone(), filter: None };
    cluster.allocator.settle(cluster.now, &framework(0), &agent(0), settlement);
    let (grants, _): (Vec<Grant>, _) = cluster.allocate();
    assert!(grants.is_empty());
}

fn reserve(resources: &Resources, role: &str) -> Resources {
    match resources.push_reservation(&Reservation::new_dynamic(role, None)) {
        Ok(reserved) => reserved,
        Err(why) => panic!("{why}"),
    }
}
