//! Election, fencing and hand-over over every service: the memory for tests, real ZooKeeper, real etcd.

mod jepsen;
mod nodes;
mod refusals;
mod tls;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use coordination::{
    Candidacy, Detected, Detector, Leadership, Lease, Place, ReplicatedStore, Store, StoreError,
    candidacy::Config,
    keep::Keep,
    space::{Connect, Limits, memory::Memory},
};
use proto::v1;
use registry::{Operation, Registry};
use testkit::services::{Kind, Service};
use tokio::{runtime::Runtime, sync::mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

fn connect(service: &Service, path: &str, timeout: Duration) -> Arc<dyn Connect> {
    coordination::connect(Place::parse(&service.url(path)).unwrap(), timeout)
}

fn connect_as(service: &Service, login: &str, path: &str, timeout: Duration) -> Arc<dyn Connect> {
    coordination::connect(Place::parse(&service.url_as(login, path)).unwrap(), timeout)
}

struct Master {
    candidacy: Candidacy,
    news: mpsc::Receiver<Leadership>,
}

struct Reign {
    epoch: u64,
    registry: Registry,
    store: Box<ReplicatedStore>,
    lease: Lease,
}

fn info(name: &str) -> v1::MasterInfo {
    v1::MasterInfo { id: name.into(), ip: 16_777_343, port: 5050, hostname: Some(name.into()), ..Default::default() }
}

fn config(name: &str) -> Config {
    Config {
        info: info(name),
        name: None,
        cluster: None,
        store_timeout: Duration::from_secs(10),
        fetch_timeout: Duration::from_secs(10),
    }
}

fn stand(connect: &Arc<dyn Connect>, config: Config) -> Master {
    let (sender, news) = mpsc::channel(16);
    Master { candidacy: Candidacy::start(Arc::clone(connect), config, sender), news }
}

impl Master {
    async fn next(&mut self) -> Leadership {
        tokio::time::timeout(PATIENCE, self.news.recv()).await.expect("news in time").expect("news")
    }

    async fn elected(&mut self) -> Reign {
        match self.next().await {
            Leadership::Elected { epoch, registry, store, lease, .. } => {
                Reign { epoch, registry: *registry, store, lease }
            }
            Leadership::Deposed { why } => panic!("deposed: {why}"),
            Leadership::Failed { why } => panic!("failed: {why}"),
        }
    }

    async fn failed(&mut self) -> StoreError {
        match self.next().await {
            Leadership::Failed { why } => why,
            _ => panic!("that should not lead"),
        }
    }

    async fn standing_by(&self) {
        let mut standing = self.candidacy.standing.clone();
        let seen = tokio::time::timeout(PATIENCE, standing.wait_for(|s| s.leader.is_some() && s.replica.is_some()));
        assert!(seen.await.is_ok(), "a standby");
    }

    /// A standby knows the leader's epoch, also one that began after it last heard of members.
    async fn knows(&self, epoch: u64) {
        let begun = Instant::now();
        while self.candidacy.standing.borrow().reign().0 != Some(epoch) {
            assert!(begun.elapsed() < PATIENCE, "the standby does not hear of epoch {epoch}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn admit(reign: &mut Reign, n: u64) -> Result<(), StoreError> {
    let agent = v1::AgentInfo {
        id: Some(v1::AgentId { value: format!("agent-{n}") }),
        hostname: format!("host-{n}"),
        ..Default::default()
    };
    let mutation = registry::apply(&mut reign.registry, &Operation::AdmitAgent(Box::new(agent))).unwrap();
    reign.store.write(&reign.registry.changes(&mutation)).await
}

/// The whole life of a small cluster of masters.
fn the_laws_hold(connect: Arc<dyn Connect>) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut first = stand(&connect, config("first"));
        let mut reign = first.elected().await;
        assert!(reign.lease.holds());
        assert_eq!(reign.registry, Registry::default());
        for n in 0..300 {
            admit(&mut reign, n).await.unwrap();
        }
        let mut detector = Detector::with(Arc::clone(&connect));
        assert_eq!(detector.wait(PATIENCE).await.unwrap(), "127.0.0.1:5050");

        // A standby follows, and leads at once when the leader resigns.
        let mut second = stand(&connect, config("second"));
        second.standing_by().await;
        second.knows(reign.epoch).await;
        admit(&mut reign, 300).await.unwrap();
        let left = Instant::now();
        first.candidacy.resign().await;
        let mut later = second.elected().await;
        println!("{}: handed over in {:?}", connect.describe(), left.elapsed());
        assert!(later.epoch > reign.epoch);
        assert_eq!(later.registry, reign.registry);
        assert!(!reign.lease.holds() && later.lease.holds());

        // Whoever was leader once writes nothing any more.
        let before = later.registry.clone();
        let late = admit(&mut reign, 999).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
        admit(&mut later, 301).await.unwrap();

        let led_by = |name: &'static str| {
            move |detected: &Detected| matches!(detected, Detected::Leader(Some(info)) if info.id == name)
        };
        let seen = tokio::time::timeout(PATIENCE, detector.leader.wait_for(led_by("second"))).await.is_ok();
        assert!(seen, "the detector follows");

        // A leader that vanishes is followed once its session is over; what it stored is there.
        let mut third = stand(&connect, config("third"));
        third.standing_by().await;
        let left = Instant::now();
        drop(second);
        drop(later.store);
        let last = third.elected().await;
        println!("{}: the next one led after {:?}", connect.describe(), left.elapsed());
        assert_eq!(last.registry.agents.len(), before.agents.len() + 1);
        third.candidacy.resign().await;
    });
}

#[test]
fn the_laws_hold_over_a_memory() {
    the_laws_hold(Arc::new(Memory::default()));
}

#[test]
fn the_laws_hold_over_zookeeper() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    the_laws_hold(connect(&server, "/mesos/a", Duration::from_secs(2)));
}

#[test]
fn the_laws_hold_over_three_zookeepers() {
    let Some(servers) = Service::start(Kind::ZooKeeper, 3) else { return };
    the_laws_hold(connect(&servers, "/mesos", Duration::from_secs(2)));
}

#[test]
fn the_laws_hold_over_etcd() {
    let Some(server) = Service::start(Kind::Etcd, 1) else { return };
    the_laws_hold(connect(&server, "/mesos", Duration::from_secs(2)));
}

/// The leader's session is ended by the service and it does not hear of it: its lease ends before anybody else leads.
#[test]
fn a_leader_that_is_cut_off_stops_before_the_next_one_leads() {
    Runtime::new().unwrap().block_on(async {
        let memory = Memory::default();
        let connect: Arc<dyn Connect> = Arc::new(memory.clone());
        let mut first = stand(&connect, config("first"));
        let mut reign = first.elected().await;
        let mut second = stand(&connect, config("second"));
        second.standing_by().await;
        memory.expire("first", false);
        let later = second.elected().await;
        assert!(!reign.lease.holds(), "two may act");
        assert!(later.epoch > reign.epoch);
        assert!(admit(&mut reign, 1).await.is_err());
        assert!(matches!(first.next().await, Leadership::Deposed { .. }));
    });
}

#[test]
fn answers_that_are_lost_lose_no_write() {
    Runtime::new().unwrap().block_on(async {
        let memory = Memory::default();
        memory.limit(Limits { writes: 7, bytes: 300 << 10 });
        let connect: Arc<dyn Connect> = Arc::new(memory.clone());
        let mut first = stand(&connect, config("first"));
        let mut reign = first.elected().await;
        for n in 0..20 {
            memory.lose_answers(u64::from(n % 3 == 0));
            admit(&mut reign, n).await.unwrap();
        }
        // A change that is too large for one transaction.
        let all: Vec<_> = reign.registry.agents.keys().cloned().collect();
        let mut mutation = registry::Mutation::default();
        for agent in all {
            mutation.absorb(registry::apply(&mut reign.registry, &Operation::RemoveAgent(agent)).unwrap());
        }
        memory.lose_answers(2);
        reign.store.write(&reign.registry.changes(&mutation)).await.unwrap();
        first.candidacy.resign().await;
        let mut second = stand(&connect, config("second"));
        assert_eq!(second.elected().await.registry, reign.registry);
    });
}

/// A predecessor that may still believe it leads is waited for.
#[test]
fn the_heartbeat_of_an_unknown_leader_is_waited_out() {
    Runtime::new().unwrap().block_on(async {
        let memory = Memory::default();
        memory.put("_header", r#"{"format":1,"cluster":"c"}"#);
        memory.put("_epoch", "4");
        memory.put("_reign", r#"{"epoch":4,"lasting_ms":300,"since":1.5,"master":"x"}"#);
        let connect: Arc<dyn Connect> = Arc::new(memory);
        let begun = Instant::now();
        let reign = stand(&connect, config("first")).elected().await;
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert_eq!(reign.epoch, 5);
    });
}

#[test]
fn what_is_not_ours_is_told_and_left_alone() {
    Runtime::new().unwrap().block_on(async {
        let mut newer = Registry::default();
        newer.minimum_capabilities.insert("X".into());
        let newer: Vec<(String, Bytes)> = newer.entries().map(|(key, value)| (key.to_string(), value)).collect();
        let one = |key: &str, value: &str| vec![(key.to_owned(), Bytes::from(value.to_owned()))];
        let ours = one("_header", r#"{"format":1,"cluster":"ours"}"#);
        let cases = [
            (one("something", "else"), "no header of a registry"),
            (one("_header", "gibberish"), "not one of ours"),
            (one("_header", r#"{"format":7}"#), "layout 7; this program knows layouts up to 1: run a newer one"),
            (one("_header", r#"{"format":1,"cluster":"theirs"}"#), "another cluster: 'theirs' instead of 'ours'"),
            ([ours, newer].concat(), "capabilities that this program lacks: X"),
        ];
        for (values, expected) in cases {
            let memory = Memory::default();
            values.into_iter().for_each(|(key, value)| memory.put(&key, value));
            let before = memory.keys();
            let connect: Arc<dyn Connect> = Arc::new(memory.clone());
            let why =
                stand(&connect, Config { cluster: Some("ours".into()), ..config("m") }).failed().await.to_string();
            assert!(why.contains(expected), "{why}");
            assert_eq!(memory.keys(), before);
        }
    });
}

#[test]
fn zookeeper_refuses_with_a_next_step() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let ours = connect_as(&server, "ours:secret", "/mesos", Duration::from_secs(2));
        let mut first = stand(&ours, config("first"));
        first.elected().await;
        let theirs = connect_as(&server, "theirs:wrong", "/mesos", Duration::from_secs(2));
        let why = stand(&theirs, config("second")).failed().await.to_string();
        assert!(why.contains("check the user and password") && !why.contains("wrong@"), "{why}");
        // Everybody may see who leads, with a password or without.
        let mut detector = Detector::with(connect(&server, "/mesos", Duration::from_secs(2)));
        assert_eq!(detector.wait(PATIENCE).await.unwrap(), "127.0.0.1:5050");

        let nobody = coordination::Place::parse("zk://127.0.0.1:1/mesos").unwrap();
        let connect = coordination::connect(nobody, Duration::from_millis(500));
        let why = stand(&connect, config("third")).failed().await.to_string();
        assert!(why.contains("no ZooKeeper server answers at zk://127.0.0.1:1/mesos"), "{why}");
    });
}

#[test]
fn many_agents_load_and_move() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    let connect = connect(&server, "/many", Duration::from_secs(4));
    Runtime::new().unwrap().block_on(async {
        let mut first = stand(&connect, config("first"));
        let Reign { mut registry, mut store, .. } = first.elected().await;
        let mut mutation = registry::Mutation::default();
        for n in 0..2_000 {
            let id = Some(v1::AgentId { value: format!("agent-{n}") });
            let operation = Operation::AdmitAgent(Box::new(v1::AgentInfo { id, ..Default::default() }));
            mutation.absorb(registry::apply(&mut registry, &operation).unwrap());
        }
        store.write(&registry.changes(&mutation)).await.unwrap();
        assert!(store.limits().writes > 100);
        first.candidacy.resign().await;
        let mut second = stand(&connect, config("second"));
        assert_eq!(second.elected().await.registry, registry);
    });
}

/// Whoever looks for members just when the path is made hears of them all the same.
#[test]
fn members_are_seen_whenever_the_path_is_made() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        for n in 0..300 {
            let path = format!("/late/{n}");
            let connect = connect(&server, &path, Duration::from_secs(4));
            let (one, other) = (connect.connect().await.unwrap(), connect.connect().await.unwrap());
            let looks = tokio::spawn(async move {
                loop {
                    let (members, changed) = other.members().await.unwrap();
                    if !members.is_empty() {
                        return;
                    }
                    changed.await;
                }
            });
            one.join(Bytes::from_static(b"{}")).await.unwrap();
            assert!(tokio::time::timeout(PATIENCE, looks).await.is_ok(), "nobody tells of the member at {path}");
        }
    });
}

/// A service that never answers.
struct Nowhere;

impl Connect for Nowhere {
    fn connect(&self) -> coordination::space::Work<'_, Arc<dyn coordination::space::Space>> {
        Box::pin(std::future::pending())
    }

    fn describe(&self) -> String {
        "nowhere".into()
    }
}

#[test]
fn a_candidate_can_leave_while_the_service_does_not_answer() {
    Runtime::new().unwrap().block_on(async {
        let (news, _seen) = mpsc::channel(4);
        let candidacy = Candidacy::start(Arc::new(Nowhere), config("a"), news);
        tokio::time::timeout(PATIENCE, candidacy.resign()).await.unwrap();
    });
}

/// Whatever of header and epoch is damaged, and whether their keys are there; what newer versions or others left stays.
#[test]
fn a_registry_with_a_damaged_header_or_epoch_is_replaced_when_it_is_asked_for() {
    const HEADER: &str = r#"{"format":1,"cluster":"c"}"#;
    const REIGN: &str = r#"{"epoch":7,"lasting_ms":10,"released":true,"since":1.5,"master":"x"}"#;
    let mut registry = Registry::default();
    let id = Some(v1::AgentId { value: "agent".into() });
    let agent = v1::AgentInfo { id, hostname: "host".into(), ..Default::default() };
    registry::apply(&mut registry, &Operation::AdmitAgent(Box::new(agent))).unwrap();
    let filled = |header: Option<&str>, epoch: Option<&str>| {
        let memory = Memory::default();
        let ours = [("_header", header), ("_epoch", epoch), ("_reign", Some(REIGN))];
        ours.into_iter().for_each(|(key, value)| value.iter().for_each(|value| memory.put(key, value.to_string())));
        registry.entries().for_each(|(key, value)| memory.put(&key.to_string(), value));
        memory
    };
    Runtime::new().unwrap().block_on(async {
        for (header, epoch) in [
            (Some(r#"{"fornat":1}"#), Some("7")),
            (Some("rubbish"), Some("rubbish")),
            (Some(HEADER), Some("w")),
            (Some(HEADER), None),
            (None, Some("7")),
        ] {
            let memory = filled(header, epoch);
            let mut keep = Keep::connect(&memory).await.unwrap();
            assert!(keep.write(&registry, false).await.is_err(), "{header:?} {epoch:?}: without being asked for");
            keep.write(&registry, true).await.unwrap_or_else(|e| panic!("{header:?} {epoch:?}: {e}"));
            let content = keep.read().await.unwrap();
            assert_eq!(content.registry, registry, "{header:?} {epoch:?}");
            drop(keep);
            let connect: Arc<dyn Connect> = Arc::new(memory);
            let mut master = stand(&connect, config("m"));
            let reign = master.elected().await;
            assert!(reign.epoch > 8 && reign.registry == registry, "{header:?} {epoch:?}: epoch {}", reign.epoch);
            if header == Some(HEADER) {
                assert_eq!(content.cluster.map(|header| header.cluster).as_deref(), Some("c"));
            }
        }
        for (header, epoch) in [(Some(r#"{"format":9}"#), Some("w")), (None, None)] {
            let memory = filled(header, epoch);
            memory.put("agents/x", "rubbish");
            let before = memory.keys();
            assert!(Keep::connect(&memory).await.unwrap().write(&registry, true).await.is_err(), "{header:?}");
            assert_eq!(memory.keys(), before, "{header:?}");
        }
    });
}
