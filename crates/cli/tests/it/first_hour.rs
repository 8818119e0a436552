//! What somebody does who has just met Meseta: a development cluster, and the mistakes that are made on it. One cluster
//! serves a whole story, for each takes seconds to start.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use testkit::{
    Cluster, Options,
    processes::{self, wait_for},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// `meseta dev` in a directory of its own, with a relative `--work-dir`. Everything it started ends with it.
struct Dev {
    home: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Dev {
    fn start() -> Dev {
        let home = tempfile::Builder::new().prefix("meseta-test-").tempdir().unwrap();
        let port = processes::free_port();
        let child = Dev::spawn(home.path(), port);
        let dev = Dev { home, port, child };
        dev.wait_agents(2);
        dev
    }

    fn spawn(home: &Path, port: u16) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.join("dev.log")).unwrap();
        Command::new(processes::meseta())
            .args(["dev", "--agents", "2", "--work-dir", "d", "--port", &port.to_string()])
            .current_dir(home)
            // By this testkit finds what belongs to us.
            .env("MESETA_TEST_HOME", home)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Dev::spawn(self.home.path(), self.port);
        self.wait_agents(2);
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(processes::meseta());
        command
            .args(args)
            .env("MESETA_MASTER", self.address())
            .env("MESETA_CONFIG", self.home.path().join("config.toml"));
        command.stdin(Stdio::null()).current_dir(self.home.path());
        processes::ends_with_its_thread(&mut command);
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Option<Value> {
        serde_json::from_slice(&self.output(args).stdout).ok()
    }

    fn wait_agents(&self, count: usize) {
        let up = wait_for(PATIENCE, || {
            let status = self.json(&["status", "--json"])?;
            (status["agents"]["active"] == count && status["agents"].as_object()?.len() == 1).then_some(())
        });
        assert!(up.is_some(), "{count} agents are not up: {}", self.log());
    }

    fn wait_running(&self, name: &str) {
        let running = wait_for(PATIENCE, || {
            let tasks = self.json(&["tasks", "--json"])?;
            let named = |row: &&Value| row["name"] == name && row["state"] == "TASK_RUNNING";
            tasks["tasks"].as_array()?.iter().find(named).map(drop)
        });
        assert!(running.is_some(), "{name} does not run: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("dev.log")).unwrap_or_default()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        processes::end_all(self.home.path());
        for cgroup in cgroups_of(self.home.path()) {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Reads lines until one contains this.
fn read_until(stream: impl Read, wanted: &str) -> String {
    let (mut reader, mut seen) = (BufReader::new(stream), String::new());
    while !seen.contains(wanted) {
        assert!(reader.read_line(&mut seen).unwrap() > 0, "no '{wanted}' in: {seen}");
    }
    seen
}

/// The cgroups of this cluster that are there, in every hierarchy.
fn cgroups_of(home: &Path) -> Vec<PathBuf> {
    let names = ["agent1", "agent2"].map(|agent| {
        let path = home.canonicalize().unwrap().join("d").join(agent);
        let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("meseta-dev-at-{hash:016x}")
    });
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).chain([root.into()]);
    let all = hierarchies.flat_map(|hierarchy| names.clone().map(|name| hierarchy.join(name)));
    all.filter(|path| path.exists()).collect()
}

#[test]
fn the_first_hour_on_one_machine() {
    let mut dev = Dev::start();

    // Its directory is relative, and output is found all the same.
    let run = dev.output(&["run", "-q", "echo one"]);
    assert_eq!((stdout(&run).as_str(), run.status.code()), ("one\n", Some(0)), "{}", stderr(&run));

    // A script of this directory runs where it is not.
    fs::write(dev.home.path().join("work.sh"), "#!/bin/sh\necho \"worked $1\"\n").unwrap();
    let run = dev.output(&["run", "./work.sh a"]);
    assert_eq!(stdout(&run), "worked a\n", "{}", stderr(&run));
    assert!(stderr(&run).contains("./work.sh (27 B) is shipped"), "{}", stderr(&run));

    // Options before and behind.
    let status =
        dev.command(&["--master", &dev.address(), "status"]).env("MESETA_MASTER", "127.0.0.1:1").output().unwrap();
    assert!(status.status.success() && stdout(&status).contains("2 active"), "{}", stderr(&status));
    for (args, expected) in [
        (&["run", "echo hi", "--cpus", "1"][..], "come before it"),
        (&["run", "--cpu", "1", "true"], "'--cpus'"),
        (&["run", "--mem", "1e20", "true"], "mem cannot be 1"),
        (&["run", "--pod", "/dev/zero"], "/dev/zero holds more than 1 MiB"),
        (&["status", "--master", "me:s3cret@h:1"], "--credential"),
    ] {
        let refused = dev.output(args);
        assert!(stderr(&refused).contains(expected) && !refused.status.success(), "{args:?}: {}", stderr(&refused));
        assert!(!stderr(&refused).contains("s3cret"), "{}", stderr(&refused));
    }

    // What only Meseta knows is said with --quiet, too.
    let run = dev.output(&["run", "-q", "--uri", "/nowhere/at/all", "true"]);
    assert!(stderr(&run).contains("/nowhere/at/all") && run.status.code() == Some(1), "{}", stderr(&run));
    let run = dev.output(&["run", "-q", "exit 3"]);
    assert_eq!((stderr(&run).as_str(), run.status.code()), ("", Some(3)));

    // Failures among many are listed at the end, after the sum.
    let run =
        dev.output(&["run", "--name", "n", "--instances", "6", "--mem", "32", "case $PWD in */n-*.4/*) exit 9;; esac"]);
    let told = stderr(&run);
    let after = told.split("6 of 6 done").nth(1).unwrap_or_default();
    assert!(after.contains("n.4 failed") && after.matches("failed").count() >= 1, "{told}");
    let failed = stdout(&dev.output(&["tasks", "--failed"]));
    assert!(failed.contains(".4"), "{failed}");

    // An agent in place of a master.
    let agents = dev.json(&["agents", "--json"]).unwrap();
    let agent = agents["agents"][0]["address"].as_str().unwrap().to_owned();
    let wrong = dev.output(&["status", "--master", &agent]);
    assert!(stderr(&wrong).contains(&format!("{agent} is an agent")), "{}", stderr(&wrong));

    // Short ids, and what each server is.
    let table = stdout(&dev.output(&["agents"]));
    assert!(table.lines().any(|line| line.starts_with("S0 ")), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let shown = dev.output(&["agents", "show", "S1"]);
    assert!(stdout(&shown).contains("-S1\n") && stdout(&shown).contains("Enforces"), "{}", stderr(&shown));
    let total = |i: usize| agents["agents"][i]["total"]["cpus"].as_f64().unwrap();
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    assert!(total(0) + total(1) <= cpus, "they share the machine: {agents}");
    let version = stdout(&dev.output(&["version", "--master", &dev.address()]));
    assert_eq!(version.lines().filter(|line| line.contains(env!("CARGO_PKG_VERSION"))).count(), 4, "{version}");

    // Quotas: a name that no agent has, and a limit that is in the way.
    let quota = dev.output(&["quota", "set", "small", "--limit", "cpu:1"]);
    assert!(stderr(&quota).contains("did you mean cpus?"), "{}", stderr(&quota));
    assert!(dev.output(&["quota", "set", "small", "--limit", "cpus:0.05"]).status.success());
    let mut run =
        dev.command(&["run", "--role", "small", "--cpus", "0.1", "true"]).stderr(Stdio::piped()).spawn().unwrap();
    let told = read_until(run.stderr.take().unwrap(), "quota of role");
    assert!(told.contains("0.1 cpus are needed") && told.contains("'small' limits it to 0.05"), "{told}");
    kill(Pid::from_raw(run.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(143));

    // Nobody reads any more.
    let mut run =
        dev.command(&["run", "--name", "flood", "yes"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut some = [0; 20];
    run.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(run.wait().unwrap().signal(), Some(Signal::SIGPIPE as i32));
    assert_eq!(dev.json(&["tasks", "--json"]).unwrap()["tasks"], Value::Array(Vec::new()));
    let mut list = dev.command(&["help", "cli"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let list = list.wait_with_output().unwrap();
    assert!(list.status.signal() == Some(Signal::SIGPIPE as i32) || list.status.success(), "{:?}", list.status);
    assert_eq!(stderr(&list), "");

    // A crash with a task that runs: the same cluster is back, and the task goes on.
    let done = dev.home.path().join("done");
    let command = format!("echo before; while [ ! -e {} ]; do sleep 0.05; done; echo after", done.display());
    let run = dev
        .command(&["run", "--name", "stay", &command])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    dev.wait_running("stay");
    if processes::is_root() {
        assert!(
            !cgroups_of(dev.home.path()).is_empty(),
            "the names of cgroups differ from those that this test expects"
        );
    }
    dev.kill_and_start_again();
    fs::write(&done, "").unwrap();
    let run = run.wait_with_output().unwrap();
    assert_eq!(
        (run.status.code(), stdout(&run).as_str()),
        (Some(0), "before\nafter\n"),
        "{}{}",
        stderr(&run),
        dev.log()
    );

    // A part that ends is told, and the rest goes on.
    let gone = dev.output(&["agents", "drain", "--mark-gone", "--wait", "S1"]);
    assert!(gone.status.success(), "{}", stderr(&gone));
    let told = wait_for(PATIENCE, || dev.log().contains("the cluster goes on with 1 agent(s)").then_some(()));
    assert!(told.is_some(), "{}", dev.log());
    dev.wait_agents(1);

    // Ctrl-C ends what runs, and leaves nothing.
    let run = dev
        .command(&["run", "--name", "last", "sleep 1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    dev.wait_running("last");
    kill(Pid::from_raw(dev.child.id() as i32), Signal::SIGINT).unwrap();
    assert!(dev.child.wait().unwrap().success(), "{}", dev.log());
    kill(Pid::from_raw(run.id() as i32), Signal::SIGKILL).unwrap();
    run.wait_with_output().unwrap();
    assert_eq!(cgroups_of(dev.home.path()), Vec::<PathBuf>::new());
}

#[test]
fn who_asks_is_shown_and_what_the_master_forgot_agents_know() {
    let home = tempfile::tempdir().unwrap();
    let credentials = home.path().join("all");
    fs::write(&credentials, r#"{"credentials": [{"principal": "ops", "secret": "s3cret"}]}"#).unwrap();
    let one = home.path().join("ops.json");
    fs::write(&one, r#"{"principal": "ops", "secret": "s3cret"}"#).unwrap();
    let cluster = Cluster::start(Options {
        resources: "cpus:2;mem:1024;disk:1024".into(),
        master_flags: vec![
            format!("--credentials={}", credentials.display()),
            "--authenticate_http_readwrite".into(),
            "--authenticate_http_frameworks".into(),
            "--max_completed_frameworks=0".into(),
        ],
        ..Options::default()
    });
    let master = cluster.master_address();
    let config = home.path().join("config.toml");
    let meseta = |args: &[&str]| {
        let mut command = Command::new(processes::meseta());
        command.args(args).env_remove("MESETA_MASTER").env("MESETA_CONFIG", &config).stdin(Stdio::null());
        command.output().unwrap()
    };
    let refused = meseta(&["agents", "--master", &master]);
    assert!(stderr(&refused).contains("401") && stderr(&refused).contains("--credential FILE"), "{}", stderr(&refused));

    let credential = one.display().to_string();
    let set = meseta(&["context", "set", "lab", "--master", &master, "--credential", &credential]);
    assert!(set.status.success(), "{}", stderr(&set));
    let text = stdout(&meseta(&["context", "list"]));
    assert!(text.contains(&master) && text.contains("lab") && !text.contains("s3cret"), "{text}");
    assert!(!fs::read_to_string(&config).unwrap().contains("s3cret"));
    for args in
        [&["agents"][..], &["tasks", "--context", "lab"], &["agents", "--master", &master, "--credential", &credential]]
    {
        let output = meseta(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    // What a context knows goes nowhere else.
    assert!(stderr(&meseta(&["agents", "--master", &master])).contains("401"));

    let run = meseta(&["run", "--name", "past", "echo what was"]);
    assert_eq!((run.status.code(), stdout(&run).as_str()), (Some(0), "what was\n"), "{}", stderr(&run));
    let forgotten = wait_for(PATIENCE, || {
        let tasks: Value = serde_json::from_slice(&meseta(&["tasks", "--all", "--json"]).stdout).ok()?;
        tasks["tasks"].as_array()?.is_empty().then_some(())
    });
    assert!(forgotten.is_some(), "the master remembers");
    let logs = meseta(&["logs", "past"]);
    assert_eq!(stdout(&logs), "what was\n", "{}", stderr(&logs));
    let logs = meseta(&["logs", "nothing"]);
    assert!(stderr(&logs).contains("no task has the id or the name 'nothing'"), "{}", stderr(&logs));
}

/// Containers have a `/dev/shm` of their own: an agent whose files lie there says so, instead of failing each task.
#[test]
fn an_agent_below_shared_memory_is_refused_by_name() {
    if !processes::is_root() || !Path::new("/dev/shm").is_dir() {
        testkit::skip("it needs /dev/shm, and an agent that gives its containers one of their own: run it as root");
        return;
    }
    let home = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let elsewhere = tempfile::tempdir().expect("a directory");
    for (flag, work_dir, runtime_dir) in
        [("--work_dir", home.path(), elsewhere.path()), ("--runtime_dir", elsewhere.path(), home.path())]
    {
        let mut agent = Command::new(processes::meseta());
        agent.args(["agent", "--master=127.0.0.1:1", "--port=0", "--isolation=filesystem/linux,namespaces/ipc"]);
        agent.arg(format!("--work_dir={}", work_dir.display()));
        agent.arg(format!("--runtime_dir={}", runtime_dir.display()));
        processes::ends_with_its_thread(&mut agent);
        let output = agent.stdin(Stdio::null()).output().expect("meseta starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("{flag}=/dev/shm/")), "{said}");
    }
}
