//! Mesos's AddAndUpdateSlave and ResourceLabels: agents that come, that bring revocable resources later, and whose
//! reservations all have labels of their own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use model::FrameworkCapabilities;
use proto::v1;
use resources::{Reservation, Resources};

use crate::{
    cluster::{Cluster, agent, framework, parse},
    figure::{median_ms, millis, print},
};

const YEAR: Duration = Duration::from_secs(31_536_000);

pub fn all() {
    for (agents, frameworks) in [(1_000, 1_000), (10_000, 1_000), (50_000, 1_000)] {
        add_and_update(agents, frameworks);
    }
    resource_labels(1_000, 50);
    resource_labels(10_000, 200);
}

fn add_and_update(agents: usize, frameworks: usize) {
    let mut cluster = Cluster::empty();
    let capabilities = FrameworkCapabilities { revocable_resources: true, ..Default::default() };
    for f in 0..frameworks {
        cluster.add_framework_with(&framework(f), "*", capabilities);
    }
    let total = parse("cpus:2;mem:1024;disk:4096;ports:[31000-32000]");
    let used = parse("cpus:1;mem:128;disk:1024;ports:[31126-31510,31512-31623,31810-31852,31854-31964]").allocate("*");
    let begin = Instant::now();
    for a in 0..agents {
        let used = BTreeMap::from([(framework(a % frameworks), used.clone())]);
        cluster.add_agent(&agent(a), total.clone(), &used);
    }
    let (grants, _) = cluster.allocate();
    let conditions =
        format!("{agents} agents added to {frameworks} frameworks, and a cycle that makes {} offers", grants.len());
    print(&format!("add_agents.{agents}x{frameworks}_ms"), millis(begin.elapsed()), "ms", &conditions, None);

    let spare = v1::Resource {
        name: "cpus".into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 10.0 }),
        revocable: Some(v1::resource::RevocableInfo::default()),
        ..Default::default()
    };
    let total = &total + &checked(Resources::from_protos(&[spare]));
    let begin = Instant::now();
    for a in 0..agents {
        cluster.allocator.update_agent_total(cluster.now, &agent(a), total.clone());
    }
    let (grants, _) = cluster.allocate();
    let conditions = format!("{agents} agents get revocable resources, and a cycle that makes {} offers", grants.len());
    print(&format!("update_agents.{agents}x{frameworks}_ms"), millis(begin.elapsed()), "ms", &conditions, None);
}

/// As DeclineOffers, with two reservations in use on each agent; of their twelve labels the last is found nowhere else.
fn resource_labels(agents: usize, frameworks: usize) {
    const ROUNDS: usize = 60;
    let mut cluster = Cluster::empty();
    for f in 0..frameworks {
        cluster.add_framework(&framework(f), "role1");
    }
    let free = parse("cpus:8;mem:4096;disk:4096;ports:[31000-32000]");
    let cpus = parse("cpus:8");
    let ports: Vec<String> = (0..16).map(|n| format!("{0}-{0}", 31000 + 2 * n)).collect();
    let plain = parse(&format!("mem:2014;disk:1024;ports:[{}]", ports.join(",")));
    for a in 0..agents {
        let reserved = |key: &str| checked(cpus.push_reservation(&labelled(key, a)));
        let reserved = &reserved("unique_key_1") + &reserved("unique_key_2");
        let used = (&plain + &reserved).allocate("role1");
        let used = BTreeMap::from([(framework(a % frameworks), used)]);
        cluster.add_agent(&agent(a), &free + &reserved, &used);
    }
    let (mut times, mut offers) = (Vec::new(), 0);
    for _ in 0..ROUNDS.min(frameworks * 2) {
        let (grants, took) = cluster.allocate();
        offers += grants.len();
        times.push(took);
        cluster.decline(grants, YEAR);
    }
    let conditions = format!(
        "{agents} agents with two labelled reservations, {frameworks} frameworks; median of {} rounds with {offers} offers",
        times.len()
    );
    print(&format!("resource_labels.{agents}x{frameworks}_ms"), median_ms(&mut times), "ms", &conditions, None);
}

fn labelled(key: &str, number: usize) -> Reservation {
    let label = |key: &str, value: String| v1::Label { key: key.to_owned(), value: Some(value) };
    let mut labels: Vec<v1::Label> = (0..11).map(|_| label("key", "value".to_owned())).collect();
    labels.push(label(key, format!("value_{number}")));
    Reservation { labels: Some(labels), ..Reservation::new_dynamic("role1", Some("principal1".into())) }
}

fn checked<E: std::fmt::Display>(resources: Result<Resources, E>) -> Resources {
    match resources {
        Ok(resources) => resources,
        Err(why) => panic!("{why}"),
    }
}
