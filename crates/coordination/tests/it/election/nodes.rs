//! The members as ZooKeeper itself has them: names and values are those of Mesos, so that its clients find our masters and
//! ours find its.

use std::time::Duration;

use bytes::Bytes;
use coordination::{Detected, Detector};
use proto::{json, v1, wire};
use testkit::services::{Kind, Service};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use super::{PATIENCE, config, connect, info, stand};

const SESSION: Duration = Duration::from_secs(2);

async fn raw(service: &Service) -> Client {
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

async fn leave(client: &Client, path: &str, value: &[u8]) {
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
