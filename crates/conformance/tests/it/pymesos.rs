//! PyMesos 0.3.15 from PyPI, unmodified, as scheduler and as executor. `cargo xtask test` installs it below `target/`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Cluster, Options, processes};

#[test]
fn tasks_finish_and_fail() {
    run("finish");
}

#[test]
fn a_task_is_killed() {
    run("kill");
}

#[test]
fn messages_reach_a_custom_executor_and_come_back() {
    run("message");
}

#[test]
fn tasks_are_reconciled() {
    run("reconcile");
}

#[test]
fn a_framework_fails_over() {
    run("failover");
}

fn run(scenario: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python: PathBuf = root.join("target/python/bin/python");
    assert!(python.exists(), "no PyMesos here; `cargo xtask test` installs it");
    let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
    let cluster =
        Cluster::start(Options { agent_flags: vec![format!("--isolation={isolation}")], ..Options::default() });
    let output = Command::new(python)
        .arg(root.join("crates/conformance/pymesos/scenarios.py"))
        .args([scenario, &cluster.master_address()])
        .output()
        .expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}\n{}", output.status, cluster.logs());
}
