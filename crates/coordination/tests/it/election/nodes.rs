//! The members as ZooKeeper itself has them: names and values are those of Mesos, so that its clients find our masters
//! and ours find its.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use coordination::{
    Detected, Detector,
    candidacy::Config,
    space::{Connect, Guard},
};
use proto::{json, v1, wire};
use testkit::services::{Kind, Service};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use super::{PATIENCE, Reign, admit, config, connect, info, stand};

const SESSION: Duration = Duration::from_secs(2);

pub(super) async fn raw(service: &Service) -> Client {
    let servers = service.url("");
    Client::connect(servers.trim_start_matches("zk://")).await.unwrap()
}

/// The members below `path`, with what they say.
async fn members(client: &Client, path: &str) -> Vec<(String, Bytes)> {
    let mut names = client.list_children(path).await.unwrap();
    names.retain(|name| name.contains("info_"));
    names.sort();
    let mut members = Vec::new();
    for name in names {
        let (value, stat) = client.get_data(&format!("{path}/{name}")).await.unwrap();
        assert_ne!(stat.ephemeral_owner, 0, "{name} outlives its master");
        members.push((name, Bytes::from(value)));
    }
    members
}

pub(super) async fn leave(client: &Client, path: &str, value: &[u8]) {
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    client.create(path, value, &options).await.unwrap();
}

#[test]
fn members_have_the_names_and_values_that_mesos_gives_them() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let connect = connect(&service, "/a/mesos", SESSION);
        let mut first = stand(&connect, config("first"));
        first.elected().await;
        let second = stand(&connect, config("second"));
        second.standing_by().await;
        let client = raw(&service).await;
        let there = members(&client, "/a/mesos").await;
        // ZooKeeper counts every child of the path, so numbers may be left out.
        for (name, _) in &there {
            let number: u64 = name.strip_prefix("json.info_").unwrap().parse().unwrap();
            assert_eq!(*name, format!("json.info_{number:010}"));
        }
        assert_eq!(there.len(), 2);
        for ((_, value), name) in there.iter().zip(["first", "second"]) {
            // The whole MasterInfo, names sorted, nothing around it.
            let text = std::str::from_utf8(value).unwrap();
            assert_eq!(json::from_slice::<v1::MasterInfo>(value).unwrap(), info(name));
            let expected = format!(r#"{{"hostname":"{name}","id":"{name}","ip":16777343,"port":5050}}"#);
            assert_eq!(text, expected);
        }
        // Who leaves takes his node along.
        first.candidacy.resign().await;
        let there = members(&client, "/a/mesos").await;
        assert!(there.iter().all(|(_, value)| !value.windows(5).any(|part| part == b"first")), "{there:?}");
    });
}

/// Masters from before Mesos 0.24 leave protobuf under another name; the lowest number leads, whatever the name.
#[test]
fn a_leader_in_the_old_format_is_found_as_mesos_finds_it() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let client = raw(&service).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir("/mesos", &options).await.unwrap();
        let old = v1::MasterInfo { pid: Some("master@127.0.0.1:5051".into()), port: 5051, ..info("old") };
        let new = v1::MasterInfo { port: 5052, ..info("new") };
        leave(&client, "/mesos/info_", &wire::encode(&old)).await;
        leave(&client, "/mesos/json.info_", json::to_string(&new).as_bytes()).await;
        let mut detector = Detector::with(connect(&service, "/mesos", SESSION));
        assert_eq!(detector.wait(PATIENCE).await.unwrap(), "127.0.0.1:5051");
        match &*detector.leader.borrow() {
            Detected::Leader(Some(found)) => assert_eq!(**found, old),
            other => panic!("{other:?}"),
        }
        client.delete("/mesos/info_0000000000", None).await.unwrap();
        let follows =
            detector.leader.wait_for(|found| matches!(found, Detected::Leader(Some(info)) if info.port == 5052));
        assert!(tokio::time::timeout(PATIENCE, follows).await.is_ok());

        // One that says nothing sensible leads all the same: nobody else is taken for the leader.
        client.delete("/mesos/json.info_0000000001", None).await.unwrap();
        leave(&client, "/mesos/info_", b"\xff\xff").await;
        leave(&client, "/mesos/json.info_", json::to_string(&new).as_bytes()).await;
        let unclear = detector.leader.wait_for(|found| *found == Detected::Leader(None));
        assert!(tokio::time::timeout(PATIENCE, unclear).await.is_ok());
    });
}

/// Everything below a node.
async fn below(client: &Client, top: &str) -> Vec<String> {
    let mut found = client.list_children(top).await.unwrap_or_default();
    found.sort();
    found
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Clients of Mesos take whatever else they find among the masters for one.
#[test]
fn the_folder_of_the_masters_holds_masters_and_what_is_there_with_mesos() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let connect = connect(&service, "/a/mesos", SESSION);
        let mut first = stand(&connect, config("first"));
        admit(&mut first.elected().await, 1).await.unwrap();
        let client = raw(&service).await;
        let names = below(&client, "/a/mesos").await;
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].starts_with("json.info_") && names[1] == "log_replicas", "{names:?}");
        assert_eq!(below(&client, "/a").await, ["mesos", "mesos-meseta"]);
    });
}

/// Leaves a registry as former versions did, inside the folder of the masters: agents 0 to 30.
async fn former(client: &Client) -> registry::Registry {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let mut registry = registry::Registry::default();
    for n in 0..30 {
        let id = Some(v1::AgentId { value: format!("agent-{n}") });
        let agent = v1::AgentInfo { id, hostname: format!("host-{n}"), ..Default::default() };
        registry::apply(&mut registry, &registry::Operation::AdmitAgent(Box::new(agent))).unwrap();
    }
    let put = async |key: &str, value: &[u8]| {
        let node = format!("/mesos/registry/{key}");
        client.mkdir(node.rsplit_once('/').unwrap().0, &options).await.unwrap();
        client.create(&node, value, &options).await.unwrap();
    };
    put("_header", br#"{"format":1,"cluster":"ours"}"#).await;
    put("_epoch", b"7").await;
    put("_commit", b"30").await;
    put("_reign", br#"{"epoch":7,"lasting_ms":1000,"released":true,"since":1.5,"master":"x"}"#).await;
    for (key, value) in registry.entries() {
        let key = key.to_string();
        let (subject, name) = key.split_once('/').unwrap();
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let folder = (hash ^ (hash >> 16) ^ (hash >> 8)) as u8;
        put(&format!("{subject}/{folder:02x}/{name}"), &[&[value[0], 1], &value[6..]].concat()).await;
    }
    registry
}

#[test]
fn a_registry_among_the_masters_is_moved_out_and_nobody_is_left_behind() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let client = raw(&service).await;
        let registry = former(&client).await;
        let connect: Arc<dyn Connect> = connect(&service, "/mesos", SESSION);
        // What follows the old place: a standby of this version, and a master of a former one, which has its member and
        // its copy and waits for its turn.
        let standby = connect.connect().await.unwrap();
        assert!(standby.is_in_place().await.unwrap());
        let quick =
            |name| Config { cluster: Some("ours".into()), fetch_timeout: Duration::from_secs(1), ..config(name) };
        let mut first = stand(&connect, quick("first"));
        let mut second = stand(&connect, quick("second"));
        // Whoever was first moved it and stood again, so that either may lead.
        let mut reign: Reign = tokio::select! {
            reign = first.elected() => reign,
            reign = second.elected() => reign,
        };
        assert_eq!(reign.registry, registry);
        assert!(reign.epoch > 7);
        admit(&mut reign, 99).await.unwrap();
        assert!(!standby.is_in_place().await.unwrap());
        let late = [Guard::Version("_epoch".into(), 0)];
        assert!(standby.move_registry(&late).await.is_err(), "it is moved once");

        // A former master that has its turn now finds no epoch, and its header says that the layout is newer than it
        // knows.
        let (word, _) = client.get_data("/mesos/registry/_header").await.unwrap();
        assert_eq!(word, br#"{"format":2,"moved":"/mesos-meseta/registry"}"#);
        assert_eq!(below(&client, "/mesos/registry").await, ["_header"]);
        // While there may be one, the word stays.
        leave(&client, "/mesos/json.info_", json::to_string(&info("former")).as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(below(&client, "/mesos/registry").await, ["_header"]);
        let names = below(&client, "/mesos").await;
        let former = names.iter().filter(|name| name.starts_with("json.info_")).max().unwrap();
        client.delete(&format!("/mesos/{former}"), None).await.unwrap();
        until("the word goes", async || client.check_stat("/mesos/registry").await.unwrap().is_none()).await;
        assert!(
            below(&client, "/mesos").await.iter().all(|name| name == "log_replicas" || name.starts_with("json.info_"))
        );
    });
}

/// A move that came to nothing on the way is done anew by the next leader.
#[test]
fn a_move_may_be_broken_off_anywhere_before_its_turn() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let client = raw(&service).await;
        let registry = former(&client).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir("/mesos-meseta/registry/agents/00", &options).await.unwrap();
        client.create("/mesos-meseta/registry/agents/00/agent-77", b"E\x01rubbish", &options).await.unwrap();
        client.create("/mesos-meseta/registry/_commit", b"3", &options).await.unwrap();
        let connect = connect(&service, "/mesos", SESSION);
        let mut first = stand(&connect, config("first"));
        assert_eq!(first.elected().await.registry, registry);
    });
}

/// A master of Mesos that comes to the wrong path, leads there for a while, and goes ends nobody, also not those whose
/// sessions end meanwhile.
#[test]
fn a_foreign_master_that_comes_and_goes_ends_nobody() {
    let Some(service) = Service::start(Kind::ZooKeeper, 1) else { return };
    Runtime::new().unwrap().block_on(async {
        let connect = connect(&service, "/mesos", SESSION);
        let mut first = stand(&connect, config("first"));
        let reign = first.elected().await;
        let mut second = stand(&connect, config("second"));
        second.standing_by().await;
        let theirs = raw(&service).await;
        leave(&theirs, "/mesos/log_replicas/", b"log-replica(1)@10.0.0.9:5050").await;
        leave(&theirs, "/mesos/json.info_", json::to_string(&info("theirs")).as_bytes()).await;
        // Who starts now, stands too.
        let third = stand(&connect, config("third"));
        third.standing_by().await;
        first.candidacy.resign().await;
        let later = second.elected().await;
        assert_eq!(later.registry, reign.registry);
        // Now it is the most senior, and ours wait for it.
        second.candidacy.resign().await;
        until("theirs leads", async || {
            third.candidacy.standing.borrow().leader.as_ref().is_some_and(|l| l.id == "theirs")
        })
        .await;
        drop(theirs);
        let mut third = third;
        assert!(third.elected().await.epoch > later.epoch);
        let client = raw(&service).await;
        assert!(client.check_stat("/mesos/log_replicas").await.unwrap().is_some(), "nobody had to delete it");
    });
}
