//! `meseta what-if` on recorded clusters and traces: what it prints and writes, and what it says about bad input.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use testkit::processes;

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../what_if/tests/data").join(name)
}

fn what_if(args: &[&str]) -> Output {
    Command::new(processes::meseta()).arg("what-if").args(args).output().expect("meseta starts")
}

fn recorded_cluster(more: &[&str]) -> Output {
    let (state, roles) = (recorded("mesos-state.json"), recorded("mesos-roles.json"));
    let mut args = vec!["--state", state.to_str().expect("a path"), "--roles", roles.to_str().expect("a path")];
    args.extend(["--task-duration", "30secs"]);
    args.extend(more);
    what_if(&args)
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_change_is_shown_before_and_after_with_what_was_assumed() {
    let text = stdout(&recorded_cluster(&["--unlimited", "--weight", "web=6"]));
    for expected in
        ["role web has weight 6", "Assumed:", "SUMMARY", "share before", "analytics/nightly", "cpus in use, mean"]
    {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn json_html_and_svg_tell_the_same_replay() {
    let directory = tempfile::tempdir().expect("a directory");
    let (html, svg) = (directory.path().join("report.html"), directory.path().join("charts"));
    let text = stdout(&recorded_cluster(&[
        "--json",
        "--demand",
        "shop=unlimited",
        "--html",
        html.to_str().expect("a path"),
        "--svg",
        svg.to_str().expect("a path"),
        "--limit",
        "batch=cpus:6",
    ]));
    let document: Value = serde_json::from_str(&text).expect("one document");
    assert_eq!(document["changes"][0], "role batch has at most cpus:6");
    assert_eq!(document["after"]["capacity"]["cpus"], 54.0);
    assert!(document["warnings"][0].as_str().is_some_and(|text| text.contains("already consuming")));
    assert!(fs::read_to_string(html).expect("a report").contains("role batch has at most cpus:6"));
    for chart in ["shares", "waiting", "shares-over-time-before", "shares-over-time-after", "utilisation-over-time"] {
        let chart = fs::read_to_string(svg.join(format!("{chart}.svg"))).expect("a chart");
        assert!(chart.starts_with("<svg"));
    }
}

#[test]
fn work_that_is_drawn_can_be_saved_and_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace.csv");
    let trace = trace.to_str().expect("a path");
    let drawn =
        ["--mix", "batch", "--agents", "4", "--horizon", "10mins", "--load", "0.5", "--save-trace", trace, "--json"];
    let drawn: Value = serde_json::from_str(&stdout(&what_if(&drawn))).expect("one document");
    let again = ["--trace", trace, "--agents", "4:cpus:16;mem:65536", "--until", "10mins", "--json"];
    let again: Value = serde_json::from_str(&stdout(&what_if(&again))).expect("one document");
    assert_eq!(drawn["before"], again["before"]);
    assert!(drawn["before"]["tasks"]["arrived"].as_u64().is_some_and(|tasks| tasks > 10));
}

#[test]
fn bad_input_is_told_with_what_would_be_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("t.csv");
    fs::write(&trace, "arrival,duration,cpus,mem\n0,10,1,100\n5,ten,1,100\n").expect("a file");
    let trace = trace.to_str().expect("a path");
    let state = recorded("mesos-roles.json");
    let state = state.to_str().expect("a path");
    for (args, expected) in [
        (&["--trace", trace, "--agents", "3"][..], "t.csv, line 3, column duration: 'ten' is no such number; seconds"),
        (&["--trace", trace], "--agents is missing: how many, such as --agents 100"),
        (&["--trace", trace, "--agents", "3:cpu"], "--agents '3:cpu':"),
        (&["--state", "/no/such/file"], "cannot read /no/such/file: "),
        (&["--state", state], "there is no field 'slaves'; what a leading master answers to GET /state"),
        (&["--mix", "mixed", "--agents", "3"], "'mixed' is no mix; there are google, web, batch"),
        (
            &["--mix", "web", "--agents", "3", "--weight", "web=-1"],
            "Invalid weight '-1': Weights must be positive; such as web=2",
        ),
        (
            &["--mix", "web", "--agents", "3", "--limit", "web=lots"],
            "'lots' are no amounts; such as web=cpus:8;mem:16384",
        ),
        (
            &["--mix", "web", "--agents", "3", "--remove-agent", "x"],
            "there is no agent 'x'; there are 3 such as agent-1",
        ),
        (&["--master", "127.0.0.1:1"], "Is a master running there?"),
    ] {
        let error = refusal(&what_if(args));
        assert!(error.contains(expected), "{args:?}: {error:?} does not say {expected:?}");
    }
}
