//! What Jepsen found on Mesos 0.23 with Chronos in 2015 (aphyr.com/posts/326-jepsen-chronos), as far as election and
//! registry go: after a partition every master failed to recover the registry in time, and ended, again and again.

use std::collections::BTreeSet;

use super::*;

const SESSION: Duration = Duration::from_secs(2);
const ROUNDS: u64 = 2;

/// As what starts masters would: a candidate that ended stands again.
async fn lead(connect: &Arc<dyn Connect>, number: &mut u64) -> (Master, Reign) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "no master recovers the registry");
        *number += 1;
        let mut master = stand(connect, config(&format!("master-{number}")));
        match tokio::time::timeout(PATIENCE, master.news.recv()).await {
            Ok(Some(Leadership::Elected { epoch, registry, store, lease, .. })) => {
                return (master, Reign { epoch, registry: *registry, store, lease });
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The store loses its majority for longer than sessions and leases last, with writes under way, and gets it back.
fn masters_recover_the_registry_after_a_partition(kind: Kind) {
    let Some(mut servers) = Service::start(kind, 3) else { return };
    let connect = connect(&servers, "/mesos", SESSION);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut number = 0;
        let mut acknowledged = BTreeSet::new();
        for round in 0..ROUNDS {
            let (mut master, mut reign) = lead(&connect, &mut number).await;
            let kept: BTreeSet<String> = reign.registry.agents.keys().map(ToString::to_string).collect();
            assert!(kept.is_superset(&acknowledged), "lost {:?}", acknowledged.difference(&kept));
            let standby = stand(&connect, config(&format!("standby-{round}")));
            standby.standing_by().await;
            for n in 0..20 {
                admit(&mut reign, round * 100 + n).await.unwrap();
                acknowledged.insert(format!("agent-{}", round * 100 + n));
            }
            (0..2).for_each(|i| servers.kill_server(i));
            // What is asked for now may be stored or not, and is not acknowledged.
            let _ = tokio::time::timeout(SESSION, admit(&mut reign, round * 100 + 50)).await;
            assert!(matches!(master.next().await, Leadership::Deposed { .. }));
            assert!(!reign.lease.holds());
            drop((master, standby));
            (0..2).for_each(|i| servers.start_server(i));
        }
        let (_master, reign) = lead(&connect, &mut number).await;
        let kept: BTreeSet<String> = reign.registry.agents.keys().map(ToString::to_string).collect();
        assert!(kept.is_superset(&acknowledged), "lost {:?}", acknowledged.difference(&kept));
    });
}

#[test]
fn jepsen_2015_masters_recover_the_registry_after_a_partition_of_zookeeper() {
    masters_recover_the_registry_after_a_partition(Kind::ZooKeeper);
}

#[test]
fn jepsen_2015_masters_recover_the_registry_after_a_partition_of_etcd() {
    masters_recover_the_registry_after_a_partition(Kind::Etcd);
}
