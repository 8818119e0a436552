//! The v0 driver of Apache Mesos itself against our master. It runs where `MESETA_LIBMESOS` names a program that is
//! given `driver`, a Python 2.7 file and its arguments, and runs that file with Mesos's driver importable. Elsewhere
//! the tests are counted as ignored, and say how to run them; `v0` speaks the same protocol by hand, everywhere.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use testkit::{Cluster, Options, processes};

/// One run of a scenario.
struct Driver {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Driver {
    fn start(oracle: &Path, cluster: &Cluster, scenario: &str, environment: &[(&str, &str)]) -> Driver {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("libmesos/driver.py");
        let mut child = Command::new(oracle)
            .arg("driver")
            .arg(program)
            .args([scenario, &cluster.master_address()])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Driver { child, lines }
    }

    /// Reads on until a line begins so; its rest comes back.
    fn until(&mut self, start: &str) -> String {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
            seen.push(line);
        }
        panic!("no '{start}' after {seen:#?}")
    }

    /// All it still has to say.
    fn rest(mut self) -> Vec<String> {
        let lines = self.lines.by_ref().map(|line| line.unwrap()).collect();
        self.child.wait().unwrap();
        lines
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn libmesos() -> PathBuf {
    std::env::var_os("MESETA_LIBMESOS").expect("MESETA_LIBMESOS names no program that runs Mesos's own driver").into()
}

fn cluster(master_flags: Vec<String>, agent_flags: Vec<String>) -> Cluster {
    let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
    let mut options = Options { master_flags, agent_flags, ..Options::default() };
    options.agent_flags.push(format!("--isolation={isolation}"));
    Cluster::start(options)
}

/// The updates of one task, in order.
fn of<'a>(lines: &'a [String], task: &str) -> Vec<&'a str> {
    let start = format!("update {task} ");
    lines.iter().filter_map(|line| line.strip_prefix(&start)).collect()
}

#[test]
#[cfg_attr(
    not(libmesos),
    ignore = "skipped: needs Mesos's own driver; MESETA_LIBMESOS=PROGRAM runs it, see docs/v0.md"
)]
fn tasks_run_fail_are_killed_and_reconciled() {
    let oracle = libmesos();
    let cluster = cluster(Vec::new(), Vec::new());
    let lines = Driver::start(&oracle, &cluster, "life", &[]).rest();
    assert!(lines[0].starts_with("registered "), "{lines:#?}");
    assert_eq!(of(&lines, "task0").last(), Some(&"TASK_FINISHED"), "{lines:#?}");
    assert_eq!(of(&lines, "task1").last(), Some(&"TASK_FAILED"), "{lines:#?}");
    assert_eq!(of(&lines, "task2").last(), Some(&"TASK_KILLED"), "{lines:#?}");
    assert_eq!(of(&lines, "nobody's"), ["TASK_LOST"], "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "ended DRIVER_STOPPED", "{lines:#?}");
}

#[test]
#[cfg_attr(
    not(libmesos),
    ignore = "skipped: needs Mesos's own driver; MESETA_LIBMESOS=PROGRAM runs it, see docs/v0.md"
)]
fn updates_can_be_acknowledged_by_hand() {
    let oracle = libmesos();
    let cluster = cluster(Vec::new(), Vec::new());
    let lines = Driver::start(&oracle, &cluster, "explicit", &[]).rest();
    assert_eq!(of(&lines, "task0").last(), Some(&"TASK_FINISHED"), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "ended DRIVER_STOPPED", "{lines:#?}");
}

#[test]
#[cfg_attr(
    not(libmesos),
    ignore = "skipped: needs Mesos's own driver; MESETA_LIBMESOS=PROGRAM runs it, see docs/v0.md"
)]
fn a_second_driver_takes_over_with_its_tasks() {
    let oracle = libmesos();
    let cluster = cluster(Vec::new(), Vec::new());
    let mut first = Driver::start(&oracle, &cluster, "wait", &[]);
    let id = first.until("registered ");
    first.until("update task0 TASK_RUNNING");
    let lines = Driver::start(&oracle, &cluster, "adopt", &[("FRAMEWORK", &id)]).rest();
    assert_eq!(lines[0], format!("registered {id}"), "{lines:#?}");
    assert_eq!(of(&lines, "task0").last(), Some(&"TASK_KILLED"), "{lines:#?}");
    assert_eq!(first.until("error "), "Framework failed over");
    assert_eq!(first.until("ended "), "DRIVER_ABORTED");
}

#[test]
#[cfg_attr(
    not(libmesos),
    ignore = "skipped: needs Mesos's own driver; MESETA_LIBMESOS=PROGRAM runs it, see docs/v0.md"
)]
fn only_the_right_secret_lets_a_driver_in() {
    let oracle = libmesos();
    let files = tempfile::tempdir().unwrap();
    let (all, one) = (files.path().join("all"), files.path().join("one"));
    std::fs::write(&all, "framework its-secret\nagent another\n").unwrap();
    std::fs::write(&one, r#"{"principal":"agent","secret":"another"}"#).unwrap();
    let master_flags = [
        "--authenticate_frameworks".into(),
        "--authenticate_agents".into(),
        format!("--credentials={}", all.display()),
    ];
    let cluster = cluster(master_flags.into(), vec![format!("--credential={}", one.display())]);
    let right = [("PRINCIPAL", "framework"), ("SECRET", "its-secret")];
    let lines = Driver::start(&oracle, &cluster, "explicit", &right).rest();
    assert_eq!(lines.last().unwrap(), "ended DRIVER_STOPPED", "{lines:#?}");
    let wrong = [("PRINCIPAL", "framework"), ("SECRET", "a guess")];
    let lines = Driver::start(&oracle, &cluster, "explicit", &wrong).rest();
    assert_eq!(lines, ["error Master refused authentication", "ended DRIVER_ABORTED"]);
    let lines = Driver::start(&oracle, &cluster, "explicit", &[]).rest();
    assert!(lines[0].starts_with("error Framework at scheduler-"), "{lines:#?}");
    assert!(lines[0].ends_with(" is not authenticated"), "{lines:#?}");
}
