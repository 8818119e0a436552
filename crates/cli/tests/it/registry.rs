//! `meseta registry` on every kind of store: what Apache Mesos left is taken over, carried around, and led with. The
//! file `registry/mesos.json` is what a master of Mesos 1.11 showed at /registrar(1)/registry, after a drain, a gone
//! agent, quotas, weights and maintenance.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use testkit::{
    Cluster, Options,
    processes::{self, wait_for},
    services::{Kind, Service},
};

const MESOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/registry/mesos.json");
const KINDS: [Kind; 2] = [Kind::ZooKeeper, Kind::Etcd];

fn registry(verb: &str, store: &str, more: &[&str]) -> Output {
    let mut command = Command::new(processes::meseta());
    command.args(["registry", verb, "--store", store]).args(more).stdin(Stdio::null()).output().unwrap()
}

fn done(verb: &str, store: &str, more: &[&str]) -> String {
    let output = registry(verb, store, more);
    assert!(output.status.success(), "{verb} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(verb: &str, store: &str, more: &[&str]) -> String {
    let output = registry(verb, store, more);
    assert_eq!(output.status.code(), Some(1), "{verb} {more:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Lists of the registry have no order of their own.
fn sorted(mut value: Value) -> Value {
    value.sort_all_objects();
    for list in value.as_object_mut().into_iter().flat_map(|object| object.values_mut()) {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    value
}

#[test]
fn what_mesos_left_goes_from_store_to_store_and_stays_what_it_was() {
    let home = tempfile::tempdir().unwrap();
    let (first, last) = (home.path().join("first"), home.path().join("last"));
    [&first, &last].into_iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let theirs = sorted(json(&fs::read_to_string(MESOS).unwrap()));

    let told = done("restore", text(&first), &[MESOS]);
    let summary = "1 agents, 0 unreachable, 1 gone, 2 machines in maintenance, 2 quotas, 2 weights";
    assert!(told.contains(summary), "{told}");
    let told = done("check", text(&first), &[]);
    assert!(told.contains(summary) && told.ends_with("sound\n"), "{told}");

    // Each dump is what the next store is given.
    let services: Vec<Service> = KINDS.into_iter().filter_map(|kind| Service::start(kind, 1)).collect();
    let mut stores = vec![text(&first).to_owned()];
    stores.extend(services.iter().map(|service| service.url("/carried")));
    stores.push(text(&last).to_owned());
    let mut dump = done("dump", text(&first), &[]);
    assert_eq!(sorted(json(&dump)["registry"].clone()), theirs);
    for (n, store) in stores.iter().enumerate().skip(1) {
        let file = home.path().join(format!("{n}.json"));
        fs::write(&file, &dump).unwrap();
        assert!(done("restore", store, &[text(&file)]).contains(summary), "{store}");
        let told = done("check", store, &[]);
        assert!(told.contains(summary) && told.ends_with("sound\n"), "{told}");
        // What is there is not lost by mistake, and lost when it is meant to be.
        assert!(refused("restore", store, &[text(&file)]).contains("--replace"), "{store}");
        done("restore", store, &[text(&file), "--replace"]);
        let output = home.path().join(format!("{n}.out"));
        done("dump", store, &["--output", text(&output)]);
        let found = fs::read_to_string(output).unwrap();
        assert_eq!(json(&found), json(&dump), "{store}");
        dump = found;
    }
}

#[test]
fn a_master_leads_with_what_mesos_left() {
    for kind in KINDS {
        let Some(mut masters) = Cluster::on_store(kind, 1) else { continue };
        let url = masters.url();
        let told = refused("restore", &url, &[MESOS, "--replace"]);
        assert!(told.contains(&masters.address(0)) && told.contains("stop them first"), "{told}");
        // Looking does no harm meanwhile.
        assert!(done("check", &url, &[]).contains("0 agents"));
        masters.masters[0].kill();
        let restored = wait_for(std::time::Duration::from_secs(30), || {
            // Until the session of the killed master is over.
            Some(registry("restore", &url, &[MESOS, "--replace"])).filter(|output| output.status.success())
        });
        assert!(restored.is_some(), "{}", refused("restore", &url, &[MESOS, "--replace"]));
        masters.start_master(0);
        masters.leader();
        let shown = masters.get(0, "/registrar(1)/registry").json();
        let theirs = json(&fs::read_to_string(MESOS).unwrap());
        for part in ["slaves", "gone", "machines", "schedules", "weights"] {
            assert_eq!(sorted(shown[part].clone()), sorted(theirs[part].clone()), "{part}");
        }
        let state = masters.get(0, "/state").json();
        assert_eq!(state["recovered_slaves"][0]["id"], theirs["slaves"]["slaves"][0]["info"]["id"]["value"], "{state}");
    }
}

#[test]
fn what_a_newer_version_wrote_is_read_by_nobody_and_changed_by_nobody() {
    let home = tempfile::tempdir().unwrap();
    let mut newer = json(&fs::read_to_string(MESOS).unwrap());
    newer["minimum_capabilities"] = json(r#"[{"capability":"TELEPATHY"}]"#);
    let file = home.path().join("newer.json");
    fs::write(&file, newer.to_string()).unwrap();
    let service = Service::start(Kind::Etcd, 1);
    let embedded = home.path().join("master");
    fs::create_dir(&embedded).unwrap();
    let urls: Vec<String> = service.iter().map(|service| service.url("/newer")).collect();
    let flags = urls.iter().map(|url| format!("--etcd={url}"));
    let stores =
        urls.iter().cloned().zip(flags).chain([(text(&embedded).to_owned(), "--registry=embedded".to_owned())]);
    for (store, flag) in stores {
        done("restore", &store, &[text(&file)]);
        let before = done("dump", &store, &[]);
        let told = refused("check", &store, &[]);
        assert!(told.contains("TELEPATHY") && told.contains("newer"), "{told}");
        let port = format!("--port={}", processes::free_port());
        let work_dir = format!("--work_dir={}", text(&embedded));
        let master = Command::new(processes::meseta()).args(["master", &flag, &port, &work_dir]).output().unwrap();
        let log = String::from_utf8_lossy(&[master.stdout, master.stderr].concat()).into_owned();
        assert!(!master.status.success() && log.contains("TELEPATHY"), "{log}");
        assert_eq!(done("dump", &store, &[]), before, "{store}");
    }
    fs::write(&file, r#"{"meseta_registry":2,"registry":{},"parts":{}}"#).unwrap();
    assert!(refused("restore", text(home.path()), &[text(&file)]).contains("use a newer one"));
}

#[test]
fn the_file_of_a_running_master_is_left_alone() {
    let cluster = Cluster::start(Options { agents: 0, ..Options::default() });
    let work_dir = cluster.masters[0].work_dir();
    for verb in ["check", "dump"] {
        assert!(refused(verb, text(&work_dir), &[]).contains("master"), "{verb}");
    }
    assert!(refused("restore", text(&work_dir), &[MESOS, "--replace"]).contains("master"));
    assert!(refused("check", "/nowhere/at/all", &[]).contains("--work_dir"));
    assert!(refused("check", "ftp://h/p", &[]).contains("--store"));
}
