//! The command line against a test's cluster: started, run to its end, or read as JSON.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::{Cluster, processes};

pub fn meseta(cluster: &Cluster, args: &[&str]) -> Command {
    let mut command = Command::new(processes::meseta());
    command.args(args).env("MESETA_MASTER", cluster.master_address()).stdin(Stdio::null());
    processes::ends_with_its_thread(&mut command);
    command
}

pub fn output(cluster: &Cluster, args: &[&str]) -> Output {
    meseta(cluster, args).output().expect("meseta starts")
}

pub fn json(cluster: &Cluster, args: &[&str]) -> Value {
    let output = output(cluster, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}
