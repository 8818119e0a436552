//! Resource groups from the command line to where tasks land: a master, two agents that differ, and what `group` and
//! `why` say of them.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;
use testkit::{Cluster, Options, processes::wait_for};

use crate::command_line::{json, meseta, output};

const PATIENCE: Duration = Duration::from_secs(30);

fn cluster() -> Cluster {
    let attributes = |text: &str| vec![format!("--attributes={text}")];
    Cluster::start(Options {
        agents: 2,
        resources: "cpus:4;mem:2048;disk:1024".into(),
        master_flags: vec!["--allocation_interval=50ms".into()],
        flags_of_agents: vec![attributes("disk:ssd"), attributes("disk:hdd")],
        ..Options::default()
    })
}

fn start(cluster: &Cluster, args: &[&str]) -> Child {
    meseta(cluster, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("meseta starts")
}

fn refused(cluster: &Cluster, args: &[&str], why: &str) {
    let output = output(cluster, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(why), "{args:?}: {text}");
}

/// The agent with an attribute.
fn agent_with(cluster: &Cluster, disk: &str) -> String {
    let document = cluster.get(0, "/master/slaves").json();
    let agents = document["slaves"].as_array().expect("agents");
    let found = agents.iter().find(|agent| agent["attributes"]["disk"] == disk).expect("an agent with the disk");
    found["id"].as_str().expect("an id").to_owned()
}

/// The agents on which `count` tasks of this name run.
fn places(cluster: &Cluster, name: &str, count: usize) -> Vec<String> {
    let found = wait_for(PATIENCE, || {
        let document = json(cluster, &["tasks", "--json"]);
        let rows = document["tasks"].as_array()?.clone();
        let ours = rows.iter().filter(|row| row["id"].as_str().is_some_and(|id| id.starts_with(name)));
        let running = ours.filter(|row| row["state"] == "TASK_RUNNING");
        let agents: Vec<String> = running.filter_map(|row| row["agent_id"].as_str().map(str::to_owned)).collect();
        (agents.len() == count).then_some(agents)
    });
    found.unwrap_or_else(|| panic!("{count} tasks '{name}' do not run:\n{}", cluster.logs()))
}

fn held_units(cluster: &Cluster, name: &str) -> u64 {
    json(cluster, &["group", "show", name, "--json"])["held_units"].as_u64().expect("a number")
}

#[test]
fn tasks_land_where_their_group_selects_and_why_tells_of_the_rest() {
    let mut cluster = cluster();
    let unit = "cpus:1;mem:256";
    let set = |name: &str, role: &str, select: &str, more: &[&str]| {
        let args = ["group", "set", name, "--roles", role, "--unit", unit, "--select", select];
        let output = output(&cluster, &[&args, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    set("fast", "web", "disk=ssd", &["--max", "3", "--weight", "2"]);
    set("slow", "batch", "disk=hdd", &["--min", "1"]);
    set("gpu", "ml", "gpu", &[]);
    refused(&cluster, &["group", "set", "x", "--roles", "web", "--unit", unit], "'fast' serves it");
    refused(&cluster, &["group", "set", "x", "--roles", "x", "--unit", unit, "--min", "99"], "99 units");
    refused(&cluster, &["group", "set", "x", "--roles", "x", "--unit", unit, "--weight=-1"], "is -1");
    refused(&cluster, &["group", "set", "default", "--roles", "x", "--unit", unit], "default");
    refused(&cluster, &["group", "delete", "x"], "no resource group 'x'");

    let (ssd, hdd) = (agent_with(&cluster, "ssd"), agent_with(&cluster, "hdd"));
    let task = |name: &str, role: &str, instances: &str| {
        let args = ["run", "--name", name, "--role", role, "--instances", instances, "--cpus", "1", "--mem", "128"];
        start(&cluster, &[&args[..], &["sleep 1000"]].concat())
    };
    let mut runs = vec![task("w", "web", "3"), task("b", "batch", "2"), task("m", "ml", "1")];
    assert_eq!(places(&cluster, "w", 3), vec![ssd; 3]);
    assert_eq!(places(&cluster, "b", 2), vec![hdd; 2]);
    assert_eq!(held_units(&cluster, "fast"), 3);
    assert!(held_units(&cluster, "slow") >= 2);

    let why = json(&cluster, &["why", "ml", "--json"]);
    let explanation = &why["explanations"][0];
    assert_eq!((&explanation["role"], &explanation["group"]), (&"ml".into(), &"gpu".into()));
    let reason = &explanation["reasons"][0];
    assert_eq!(
        (&reason["type"], &reason["agents"], &reason["subject"]),
        (&"NOT_IN_GROUP".into(), &2.into(), &"gpu".into())
    );
    refused(&cluster, &["why", "nobody"], "neither a framework nor a role");

    let metrics = cluster.get(0, "/metrics/snapshot").json();
    assert_eq!(metrics["allocator/groups/fast/held_units"], 3.0);
    assert_eq!(metrics["allocator/groups/gpu/supply"], 0.0);
    let state = cluster.get(0, "/state").json();
    assert_eq!(state["resource_groups"][0]["group"]["name"], "fast");

    // What ends goes back, and the registry keeps the groups for the next master.
    for run in &mut runs {
        run.kill().expect("our child");
        run.wait().expect("our child");
    }
    let document = json(&cluster, &["tasks", "--json"]);
    for row in document["tasks"].as_array().expect("tasks") {
        let id = row["id"].as_str().expect("an id");
        assert!(output(&cluster, &["kill", id, "--force"]).status.success());
    }
    let returned = wait_for(PATIENCE, || {
        let frameworks = json(&cluster, &["frameworks", "--json"]);
        for row in frameworks["frameworks"].as_array()? {
            output(&cluster, &["kill", "--framework", row["id"].as_str()?]);
        }
        (held_units(&cluster, "fast") == 0).then_some(())
    });
    assert!(returned.is_some(), "units stay held");
    cluster.masters[0].kill();
    cluster.start_master(0);
    let groups = wait_for(PATIENCE, || {
        let output = output(&cluster, &["group", "list", "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        (document["groups"].as_array()?.len() == 3).then_some(document)
    });
    let groups = groups.expect("three groups");
    assert_eq!(groups["groups"][2]["group"]["capacity"]["min"], 1);
    assert!(output(&cluster, &["group", "delete", "slow"]).status.success());
    assert_eq!(json(&cluster, &["group", "list", "--json"])["groups"].as_array().map(Vec::len), Some(2));
}
