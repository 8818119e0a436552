//! The commands against a real cluster: what they print, on which stream, and the codes they exit with. Nothing here is
//! a terminal, so `run` tells its progress in plain lines.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
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

use crate::command_line::{json, meseta, output};

const PATIENCE: Duration = Duration::from_secs(30);

fn cluster(agents: usize) -> Cluster {
    Cluster::start(Options { agents, resources: "cpus:2;mem:1024;disk:1024".into(), ..Options::default() })
}

/// A command that goes on; its output is read at its end.
fn start(cluster: &Cluster, args: &[&str]) -> Child {
    meseta(cluster, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("meseta starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The ids of the tasks that run, once there are `count` whose name begins so.
fn wait_running(cluster: &Cluster, name: &str, count: usize) -> Vec<String> {
    let found = wait_for(PATIENCE, || {
        let output = output(cluster, &["tasks", "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        let rows = document["tasks"].as_array()?;
        let running = rows.iter().filter(|row| row["state"] == "TASK_RUNNING");
        let ids: Vec<String> = running.filter_map(|row| row["id"].as_str().map(str::to_owned)).collect();
        let ids: Vec<String> = ids.into_iter().filter(|id| id.starts_with(name)).collect();
        (ids.len() == count).then_some(ids)
    });
    found.unwrap_or_else(|| panic!("{count} tasks '{name}' do not run:\n{}", cluster.logs()))
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("our child");
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

#[test]
fn a_run_prints_what_its_task_prints_and_exits_as_it_exits() {
    let cluster = cluster(1);
    let run = output(&cluster, &["run", "echo to stdout; echo to stderr >&2; exit 3"]);
    assert_eq!((code(run.status), stdout(&run).as_str()), (3, "to stdout\n"));
    let told = stderr(&run);
    assert!(told.contains("to stderr\n") && told.contains("echo runs on"), "{told}");
    assert!(told.contains("Command exited with status 3"), "{told}");

    let run = output(&cluster, &["run", "--quiet", "printf 'no newline'"]);
    assert_eq!((code(run.status), stdout(&run).as_str(), stderr(&run).as_str()), (0, "no newline", ""));

    let run = output(&cluster, &["run", "-q", "kill -9 $$"]);
    assert_eq!(code(run.status), 137);

    let run = output(&cluster, &["run", "-q", "--env", "A=x y", "--argv", "--", "sh", "-c", "echo \"$A/$0\"", "b c"]);
    assert_eq!((code(run.status), stdout(&run).as_str()), (0, "x y/b c\n"), "{}", stderr(&run));

    let file = cluster.home().join("input");
    std::fs::write(&file, "fetched").expect("a file");
    let uri = format!("{}:noextract:output=here", file.display());
    let run = output(&cluster, &["run", "-q", "--uri", &uri, "cat here"]);
    assert_eq!((code(run.status), stdout(&run).as_str()), (0, "fetched"), "{}", stderr(&run));

    let run = output(&cluster, &["run", "--uri", "/nowhere/at/all", "true"]);
    assert!(stderr(&run).contains("/nowhere/at/all") && code(run.status) == 1, "{}", stderr(&run));

    let run = output(&cluster, &["run", "--kill-after", "200ms", "sleep 100"]);
    assert!(stderr(&run).contains("MAX_COMPLETION_TIME") && code(run.status) == 143, "{}", stderr(&run));

    let run = output(&cluster, &["run", "-q", "seq 1 200000"]);
    assert_eq!(stdout(&run).lines().count(), 200_000);
    assert!(stdout(&run).ends_with("\n200000\n"));
}

#[test]
fn instances_and_pods_are_told_apart_by_prefixes() {
    let cluster = cluster(2);
    let run = output(&cluster, &["run", "--name", "n", "--instances", "6", "--mem", "32", "echo $((1 + 1)); echo b"]);
    assert_eq!(code(run.status), 0, "{}", stderr(&run));
    let expected: Vec<String> = (0..6).flat_map(|i| [format!("[n.{i}] 2"), format!("[n.{i}] b")]).collect();
    assert_eq!(sorted_lines(&stdout(&run)), expected);
    assert!(stderr(&run).contains("6 of 6 done"), "{}", stderr(&run));

    let file = cluster.home().join("pod.yaml");
    let text = "containers:\n- {name: a, command: 'echo from a', mem: 32}\n- {name: b, command: 'echo from b'}\n";
    std::fs::write(&file, text).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let run = output(&cluster, &["run", "--pod", &file]);
    assert_eq!(code(run.status), 0, "{}", stderr(&run));
    assert_eq!(sorted_lines(&stdout(&run)), ["[a] from a", "[b] from b"]);

    let run = output(&cluster, &["run", "-q", "--instances", "2", "--pod", &file]);
    assert_eq!(sorted_lines(&stdout(&run)), ["[a.0] from a", "[a.1] from a", "[b.0] from b", "[b.1] from b"]);

    let text = r#"{"tasks": [
        {"name": "good", "command": {"value": "sleep 100"},
         "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                       {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]},
        {"name": "bad", "command": {"value": "exit 5"},
         "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                       {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]}]}"#;
    std::fs::write(&file, text).expect("a file");
    let run = output(&cluster, &["run", "--pod", &file]);
    assert_eq!(code(run.status), 1, "{}", stderr(&run));
    assert!(stderr(&run).contains("bad failed") && stderr(&run).contains("good was killed"), "{}", stderr(&run));

    std::fs::write(&file, "containers: [{name: a}]").expect("a file");
    let run = output(&cluster, &["run", "--pod", &file]);
    assert!(code(run.status) == 125 && stderr(&run).contains("meseta help pods"), "{}", stderr(&run));
}

#[test]
fn lists_logs_and_kills_reach_tasks_of_any_framework() {
    let cluster = cluster(1);
    let run =
        start(&cluster, &["run", "--name", "talk", "for i in 1 2 3; do echo line $i; done; echo odd >&2; sleep 100"]);
    let id = wait_running(&cluster, "talk", 1).remove(0);

    let status = json(&cluster, &["status", "--json"]);
    assert_eq!((&status["agents"]["active"], &status["tasks"]["TASK_RUNNING"]), (&1.into(), &1.into()));
    assert_eq!(status["resources"]["cpus"]["allocated"], 0.5);
    assert_eq!(status["master"]["address"], cluster.master_address());
    let agents = json(&cluster, &["agents", "--json"]);
    assert_eq!(agents["agents"][0]["address"], cluster.agent_address(0));
    let frameworks = json(&cluster, &["frameworks", "--json"]);
    assert_eq!(
        (&frameworks["frameworks"][0]["name"], &frameworks["frameworks"][0]["tasks"]),
        (&"talk".into(), &1.into())
    );
    let framework = frameworks["frameworks"][0]["id"].as_str().expect("an id").to_owned();
    let tasks = json(&cluster, &["tasks", "--json", "--framework", &framework]);
    assert_eq!(
        (&tasks["tasks"][0]["id"], &tasks["tasks"][0]["resources"]["mem"]),
        (&id.as_str().into(), &128.0.into())
    );
    for list in ["status", "agents", "frameworks", "tasks"] {
        let listed = output(&cluster, &[list]);
        let text = stdout(&listed);
        assert!(listed.status.success() && text.lines().count() >= 2 && !text.contains('\u{1b}'), "{list}: {text}");
    }

    let printed = wait_for(PATIENCE, || {
        Some(stdout(&output(&cluster, &["logs", "talk"]))).filter(|text| text.lines().count() == 3)
    });
    assert_eq!(printed.as_deref(), Some("line 1\nline 2\nline 3\n"));
    assert_eq!(stdout(&output(&cluster, &["logs", "-n", "1", &id])), "line 3\n");
    assert_eq!(stdout(&output(&cluster, &["logs", "--stderr", &id])), "odd\n");
    let document = json(&cluster, &["logs", "--json", "-n", "2", &id]);
    assert_eq!((&document["content"], &document["offset"]), (&"line 2\nline 3\n".into(), &7.into()));
    let wrong = output(&cluster, &["logs", "nothing"]);
    assert!(code(wrong.status) == 1 && stderr(&wrong).contains("meseta tasks --all"), "{}", stderr(&wrong));

    let following = start(&cluster, &["logs", "-f", &id]);
    let told = json(&cluster, &["kill", "--json", "talk"]);
    assert_eq!((&told["tasks"][0]["task_id"], &told["tasks"][0]["signal"]), (&id.as_str().into(), &15.into()));
    let run = run.wait_with_output().expect("the run ends");
    assert_eq!((code(run.status), stdout(&run).as_str()), (143, "line 1\nline 2\nline 3\n"), "{}", stderr(&run));
    let following = following.wait_with_output().expect("logs end with the task");
    assert_eq!((code(following.status), stdout(&following).as_str()), (0, "line 1\nline 2\nline 3\n"));
    let tasks = json(&cluster, &["tasks", "--all", "--json"]);
    assert_eq!(tasks["tasks"][0]["state"], "TASK_KILLED");
    let again = output(&cluster, &["kill", "talk"]);
    assert!(code(again.status) == 1 && stderr(&again).contains("has ended"), "{}", stderr(&again));

    let many = start(&cluster, &["run", "--name", "many", "--instances", "2", "sleep 100"]);
    let ids = wait_running(&cluster, "many", 2);
    let ambiguous = output(&cluster, &["kill", "many"]);
    assert!(ids.iter().all(|id| stderr(&ambiguous).contains(id)), "{}", stderr(&ambiguous));
    assert!(output(&cluster, &["kill", "--framework", "many"]).status.success());
    let many = many.wait_with_output().expect("the run ends");
    assert!(code(many.status) == 125 && stderr(&many).contains("Framework has been removed"), "{}", stderr(&many));
    assert_eq!(json(&cluster, &["frameworks", "--json"])["frameworks"], Value::Array(Vec::new()));
    let completed = json(&cluster, &["frameworks", "--all", "--json"]);
    assert_eq!(completed["frameworks"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_signal_ends_the_tasks_and_then_the_run() {
    let cluster = cluster(1);
    let run = start(
        &cluster,
        &["run", "--name", "long", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"],
    );
    let id = wait_running(&cluster, "long", 1).remove(0);
    let up = wait_for(PATIENCE, || Some(stdout(&output(&cluster, &["logs", &id]))).filter(|text| text == "up\n"));
    assert!(up.is_some(), "{}", cluster.logs());
    signal(&run, Signal::SIGINT);
    let run = run.wait_with_output().expect("the run ends");
    assert_eq!((code(run.status), stdout(&run).as_str()), (130, "up\nbye\n"), "{}", stderr(&run));
    let tasks = json(&cluster, &["tasks", "--all", "--json"]);
    assert_eq!(tasks["tasks"][0]["state"], "TASK_KILLED");
    assert_eq!(json(&cluster, &["frameworks", "--json"])["frameworks"], Value::Array(Vec::new()));
}

#[test]
fn agents_are_drained_and_put_back() {
    let cluster = cluster(1);
    // It answers the kill with an end of its own.
    let run = start(&cluster, &["run", "--name", "long", "trap '' TERM; echo up; sleep 600 & wait; wait"]);
    wait_running(&cluster, "long", 1);
    let agents = json(&cluster, &["agents", "--json"]);
    let id = agents["agents"][0]["id"].as_str().expect("an id").to_owned();
    let state = |args: &[&str]| {
        let args = [&["agents"], args, &["--json", &id]].concat();
        json(&cluster, &args)["agents"][0]["state"].as_str().unwrap_or("not there").to_owned()
    };
    assert_eq!(state(&["deactivate"]), "deactivated");
    assert_eq!(state(&["reactivate"]), "active");
    assert_eq!(state(&["drain", "--max-grace-period", "200ms", "--wait"]), "drained");
    let run = run.wait_with_output().expect("the run ends");
    assert_eq!(stdout(&run), "up\n");
    let tasks = json(&cluster, &["tasks", "--all", "--json"]);
    assert_eq!(tasks["tasks"][0]["state"], "TASK_KILLED", "{tasks}");
    assert_eq!(tasks["tasks"][0]["reason"], "REASON_AGENT_DRAINING", "{tasks}");
    assert_eq!(state(&["reactivate"]), "active");
    // Whatever is launched now is not taken for a late launch.
    let run = output(&cluster, &["run", "-q", "echo again"]);
    assert_eq!((code(run.status), stdout(&run).as_str()), (0, "again\n"), "{}", stderr(&run));

    let told = output(&cluster, &["agents", "reactivate", &id]);
    assert!(code(told.status) == 1 && stderr(&told).contains("not deactivated"), "{}", stderr(&told));
    assert_eq!(state(&["drain", "--mark-gone", "--wait"]), "not there");
    let told = output(&cluster, &["agents", "drain", &id]);
    assert!(code(told.status) == 1 && stderr(&told).contains("Unknown agent"), "{}", stderr(&told));
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let cluster = cluster(1);
    let mut run = start(&cluster, &["run", "--cpus", "64", "true"]);
    let mut reader = BufReader::new(run.stderr.take().expect("a pipe"));
    let mut told = String::new();
    while !told.contains("no agent has cpus:64") {
        let read = reader.read_line(&mut told).expect("a line");
        assert!(read > 0, "{told}");
    }
    assert!(told.contains("has cpus:2; disk:1024; mem:1024"), "{told}");
    signal(&run, Signal::SIGTERM);
    assert_eq!(code(run.wait_with_output().expect("the run ends").status), 143);
}

#[test]
fn a_run_goes_on_when_the_master_comes_back() {
    let mut cluster = cluster(1);
    let done = cluster.home().join("done");
    let command = format!("echo before; while [ ! -e {} ]; do sleep 0.05; done; echo after; exit 4", done.display());
    let run = start(&cluster, &["run", "--name", "stay", &command]);
    wait_running(&cluster, "stay", 1);
    cluster.masters[0].kill();
    cluster.start_master(0);
    cluster.wait_registered();
    std::fs::write(&done, "").expect("a file");
    let run = run.wait_with_output().expect("the run ends");
    assert_eq!((code(run.status), stdout(&run).as_str()), (4, "before\nafter\n"), "{}", stderr(&run));
    assert!(stderr(&run).contains("the master is back"), "{}", stderr(&run));
}

#[test]
fn without_a_master_each_command_says_how_to_start_one() {
    let nobody = format!("127.0.0.1:{}", processes::free_port());
    for (args, expected) in [
        (&["run", "true"][..], 125),
        (&["status"], 1),
        (&["agents", "--json"], 1),
        (&["logs", "x"], 1),
        (&["kill", "x"], 1),
    ] {
        let command = Command::new(processes::meseta()).args(["--master", &nobody]).args(args).output();
        let command = command.expect("meseta starts");
        let told = stderr(&command);
        assert_eq!(code(command.status), expected, "{args:?}: {told}");
        assert!(told.contains(&nobody) && told.contains("meseta dev"), "{args:?}: {told}");
    }
}
