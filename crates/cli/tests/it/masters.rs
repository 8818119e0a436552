//! Several masters on a real store, from outside: what standbys answer, how a leader hands over, and the commands that
//! look for the leader in the store.

mod drain;
mod hand_over;
mod standby;

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use testkit::{
    Cluster,
    processes::{self, wait_for},
    services::Kind,
};

const PATIENCE: Duration = Duration::from_secs(30);
const KINDS: [Kind; 2] = [Kind::ZooKeeper, Kind::Etcd];

fn meseta(master: &str, args: &[&str]) -> Output {
    let mut command = Command::new(processes::meseta());
    command.args(args).env("MESETA_MASTER", master).stdin(Stdio::null()).output().unwrap()
}

/// What a command that must succeed printed.
fn done(master: &str, args: &[&str]) -> String {
    let output = meseta(master, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn document(master: &str, args: &[&str]) -> Value {
    serde_json::from_str(&done(master, args)).unwrap()
}

/// Waits until master `i` knows the leader and follows its registry, and the other one knows master `i`.
fn wait_standing_by(masters: &Cluster, i: usize) {
    let stands_by = wait_for(PATIENCE, || {
        let standing = masters.ask(i, "GET", "/standing")?.json();
        let other = masters.ask(1 - i, "GET", "/standing")?.json();
        let known = other["standbys"][0]["address"] == masters.address(i);
        (standing["leader"].is_object() && standing["replica"].is_object() && known).then_some(())
    });
    assert!(stands_by.is_some(), "master {i} does not stand by:\n{}", masters.logs());
}
