//! What operators said about an agent outlives the master that they said it to.

use std::process::{Command, Stdio};

use testkit::{
    Cluster,
    processes::{self, wait_for},
};

use super::{KINDS, PATIENCE, document, done, wait_standing_by};

/// Waits until the only agent is in this state, as the leader sees it.
fn wait_state(masters: &Cluster, state: &str) {
    let reached = wait_for(PATIENCE, || {
        let agents = document(&masters.url(), &["agents", "--json"]);
        (agents["agents"][0]["state"] == state).then_some(())
    });
    assert!(reached.is_some(), "the agent is not {state}:\n{}", masters.logs());
}

#[test]
fn a_drain_goes_on_under_the_next_leader() {
    for kind in KINDS {
        let Some(mut masters) = Cluster::on_store(kind, 2) else { continue };
        masters.add_agent();
        let url = masters.url();
        wait_state(&masters, "active");
        // The task takes no notice of signals until it is told to end; its grace is as long as it likes.
        let go = masters.home().join("go");
        let task = format!(
            r#"{{"tasks": [{{"name": "stubborn", "kill_policy": {{"grace_period": {{"nanoseconds": 600000000000}}}},
                "command": {{"value": "trap '' TERM; while [ ! -e {} ]; do sleep 0.05; done"}},
                "resources": [{{"name": "cpus", "type": "SCALAR", "scalar": {{"value": 0.1}}}},
                              {{"name": "mem", "type": "SCALAR", "scalar": {{"value": 32}}}}]}}]}}"#,
            go.display()
        );
        let file = masters.home().join("task.json");
        std::fs::write(&file, task).unwrap();
        let mut run = Command::new(processes::meseta());
        run.args(["run", "--pod", file.to_str().unwrap(), "--master", &url]);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = processes::ends_with_its_thread(&mut run).spawn().unwrap();
        let task = |state: &str| {
            wait_for(PATIENCE, || {
                let tasks = document(&url, &["tasks", "--all", "--json"]);
                (tasks["tasks"][0]["state"] == state).then(|| tasks["tasks"][0].clone())
            })
            .unwrap_or_else(|| panic!("the task is not {state}:\n{}", masters.logs()))
        };
        task("TASK_RUNNING");
        let agent = document(&url, &["agents", "--json"])["agents"][0]["id"].as_str().unwrap().to_owned();
        done(&url, &["agents", "drain", &agent]);
        wait_state(&masters, "draining");

        let leader = masters.leader();
        wait_standing_by(&masters, 1 - leader);
        masters.masters[leader].kill();
        assert_eq!(masters.leader(), 1 - leader);
        wait_state(&masters, "draining");
        std::fs::write(&go, "").unwrap();
        wait_state(&masters, "drained");
        masters.start_master(leader);
        wait_standing_by(&masters, leader);
        done(&masters.address(1 - leader), &["agents", "reactivate", &agent]);
        done(&masters.address(1 - leader), &["agents", "deactivate", &agent]);
        assert_eq!(masters.ask(1 - leader, "POST", "/hand-over").unwrap().status, 202);
        assert!(masters.ended(1 - leader).success());
        wait_state(&masters, "deactivated");
        done(&url, &["agents", "reactivate", &agent]);
        wait_state(&masters, "active");
        let _ = run.kill();
        let _ = run.wait();
    }
}
