//! Stores that a master must not lead with: each is told with the next step, and nothing is written there.

use std::net::SocketAddr;

use coordination::space::{Entry, Space, Write};
use transport::client::{Call, Client};
use zookeeper_client::{Acls, CreateMode};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Everything that lies there, and who is a member.
async fn content(space: &dyn Space) -> (Vec<Entry>, usize) {
    let (mut entries, _feed) = space.follow().await.unwrap();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    (entries, space.members().await.unwrap().0.len())
}

fn strange_registries_are_left_alone(kind: Kind) {
    let Some(server) = Service::start(kind, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let mut newer = Registry::default();
        newer.minimum_capabilities.insert("X".into());
        let newer: Vec<(String, Bytes)> = newer.entries().map(|(key, value)| (key.to_string(), value)).collect();
        let one = |key: &str, value: &str| vec![(key.to_owned(), Bytes::from(value.to_owned()))];
        let ours = one("_header", r#"{"format":1,"cluster":"ours"}"#);
        let cases = [
            (one("something", "else"), "give another path in the URL"),
            (one("_header", "gibberish"), "give another path in the URL"),
            (one("_header", r#"{"format":7}"#), "run a newer one"),
            (one("_header", r#"{"format":1,"cluster":"theirs"}"#), "check the URL"),
            ([ours, newer].concat(), "run the version that wrote it, or a newer one"),
        ];
        for (i, (values, expected)) in cases.into_iter().enumerate() {
            let connect = connect(&server, &format!("/strange/{i}"), TIMEOUT);
            let space = connect.connect().await.unwrap();
            let writes: Vec<Write> = values.into_iter().map(|(key, value)| Write::Create(key, value)).collect();
            space.transact(&[], &writes).await.unwrap();
            let before = content(&*space).await;
            let config = Config { cluster: Some("ours".into()), ..config("m") };
            let why = stand(&connect, config).failed().await.to_string();
            assert!(why.contains(expected), "{why}");
            assert_eq!(content(&*space).await, before);
        }
    });
}

#[test]
fn strange_registries_in_zookeeper_are_left_alone() {
    strange_registries_are_left_alone(Kind::ZooKeeper);
}

#[test]
fn strange_registries_in_etcd_are_left_alone() {
    strange_registries_are_left_alone(Kind::Etcd);
}

async fn refused(url: &str) -> String {
    let connect = coordination::connect(Place::parse(url).unwrap(), Duration::from_millis(700));
    stand(&connect, config("m")).failed().await.to_string()
}

#[test]
fn a_store_that_is_not_there_is_told_with_a_next_step() {
    Runtime::new().unwrap().block_on(async {
        let why = refused("zk://127.0.0.1:1/mesos").await;
        assert!(why.contains("no ZooKeeper server answers at zk://127.0.0.1:1/mesos"), "{why}");
        assert!(why.contains("check that most of them run, and the hosts and ports in the URL"), "{why}");
        let why = refused("etcd://127.0.0.1:1/mesos").await;
        assert!(why.contains("no etcd server answers at 127.0.0.1:1"), "{why}");
        assert!(why.contains("check that most of them run, and the hosts and ports in the URL"), "{why}");
        let why = refused("zk://no.such.host.invalid:2181/mesos").await;
        assert!(why.contains("the hosts and ports in the URL"), "{why}");
    });
}

#[test]
fn a_url_of_the_other_service_is_told_with_a_next_step() {
    let (Some(zookeeper), Some(etcd)) = (Service::start(Kind::ZooKeeper, 1), Service::start(Kind::Etcd, 1)) else {
        return;
    };
    Runtime::new().unwrap().block_on(async {
        let why = refused(&zookeeper.url("/m").replace("zk://", "etcd://")).await;
        assert!(why.contains("URL"), "{why}");
        let why = refused(&etcd.url("/m").replace("etcd://", "zk://")).await;
        assert!(why.contains("URL"), "{why}");
    });
}

#[test]
fn etcd_refuses_a_wrong_password_with_a_next_step() {
    let Some(server) = Service::start(Kind::Etcd, 1) else { return };
    let place = Place::parse(&server.url("/mesos")).unwrap();
    let address: SocketAddr = place.hosts[0].parse().unwrap();
    Runtime::new().unwrap().block_on(async {
        let steps = [
            ("user/add", r#"{"name":"root","password":"secret"}"#),
            ("role/add", r#"{"name":"root"}"#),
            ("user/grant", r#"{"user":"root","role":"root"}"#),
            ("enable", "{}"),
        ];
        for (step, body) in steps {
            let call = Call::post(address.to_string(), format!("/v3/auth/{step}"), "application/json", body);
            let reply = Client::default().send(call).await.unwrap();
            assert!(reply.status.is_success(), "{step}: {reply:?}");
        }
        let ours = connect_as(&server, "root:secret", "/mesos", TIMEOUT);
        let space = ours.connect().await.unwrap();
        let before = content(&*space).await;
        for login in ["root:wrong@", "nobody:secret@", ""] {
            let why = refused(&server.url("/mesos").replace("://", &format!("://{login}"))).await;
            assert!(why.contains("check the user and password in the URL"), "{why}");
            assert!(!why.contains("wrong"), "{why}");
        }
        assert_eq!(content(&*space).await, before);
        stand(&ours, config("first")).elected().await;
    });
}

/// Where masters of Apache Mesos run and no registry of ours is, ours do not begin; what dead ones left keeps nobody.
#[test]
fn masters_of_mesos_in_zookeeper_are_left_alone() {
    let Some(server) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let theirs = nodes::raw(&server).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        theirs.mkdir("/mesos/log_replicas", &options).await.unwrap();
        nodes::leave(&theirs, "/mesos/log_replicas/", b"log-replica(1)@10.0.0.9:5050").await;
        let connect = connect(&server, "/mesos", TIMEOUT);
        let why = stand(&connect, config("m")).failed().await.to_string();
        assert!(why.contains("masters of Apache Mesos (log-replica(1)@10.0.0.9:5050)"), "{why}");
        assert!(why.contains("give another path in the URL, or stop them"), "{why}");
        let space = connect.connect().await.unwrap();
        assert_eq!(content(&*space).await, (Vec::new(), 0));
        drop(theirs);
        let gone = async {
            while space.find_foreign().await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("the node goes with its session");
        stand(&connect, config("m")).elected().await;
    });
}
