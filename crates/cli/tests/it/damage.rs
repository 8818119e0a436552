//! An agent whose journal was damaged by its disk.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use testkit::{
    Cluster, Options,
    processes::{self, wait_for},
};

use crate::command_line::json;

const PATIENCE: Duration = Duration::from_secs(30);

fn agent(cluster: &Cluster, home: &Path, port: u16, more: &[&str]) -> Command {
    let mut command = Command::new(processes::meseta());
    command.args(["agent", "--isolation=posix/cpu,posix/mem", "--resources=cpus:1;mem:64;disk:64"]).args(more);
    command.arg(format!("--port={port}")).arg(format!("--master={}", cluster.master_address()));
    command.arg(format!("--work_dir={}", home.join("work").display()));
    command.arg(format!("--runtime_dir={}", home.join("run").display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    processes::ends_with_its_thread(&mut command);
    command
}

fn active(cluster: &Cluster) -> usize {
    let agents = json(cluster, &["agents", "--json"]);
    agents["agents"].as_array().unwrap().iter().filter(|agent| agent["state"] == "active").count()
}

#[test]
fn an_agent_with_a_damaged_journal_says_so_and_goes_on_when_it_is_told_to() {
    let cluster = Cluster::start(Options { agents: 0, ..Options::default() });
    let home = tempfile::tempdir().unwrap();
    let port = processes::free_port();
    let journal = home.path().join("work/meta/journal");
    let find = || fs::read(&journal).ok()?.windows(4).position(|window| window == b"cpus");
    let mut resource = None;
    // Killed for the first time, it may just be about to write down what it offers: such a write is torn, not damaged.
    // What it begins with for the second time it has promised to keep.
    for _ in 0..2 {
        let mut first = agent(&cluster, home.path(), port, &[]).spawn().unwrap();
        wait_for(PATIENCE, || (active(&cluster) == 1).then_some(())).expect("it registers");
        resource = wait_for(PATIENCE, find);
        first.kill().unwrap();
        first.wait().unwrap();
        wait_for(PATIENCE, || (active(&cluster) == 0).then_some(())).expect("it is gone");
    }
    let resource = resource.expect("it notes what it offers");

    let mut bytes = fs::read(&journal).unwrap();
    bytes[resource] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let mut refused = agent(&cluster, home.path(), port, &[]).spawn().unwrap();
    let status = wait_for(PATIENCE, || refused.try_wait().unwrap());
    refused.kill().unwrap();
    let mut said = String::new();
    refused.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.is_some_and(|status| !status.success()), "{said}");
    for wanted in [journal.to_str().unwrap(), "--no-strict", "containers that nothing remembers are destroyed"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(fs::read(&journal).unwrap(), bytes, "it is left as it was");

    let mut again = agent(&cluster, home.path(), port, &["--no-strict"]).spawn().unwrap();
    wait_for(PATIENCE, || (active(&cluster) == 1).then_some(())).expect("it goes on without what was damaged");
    assert_eq!(fs::read(journal.with_extension("damaged")).unwrap(), bytes, "it is kept");
    again.kill().unwrap();
    again.wait().unwrap();
}
