//! `meseta sim`: what it prints and writes, that the same options give the same, and what it says about bad input.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;
use testkit::processes;

fn sim(args: &[&str]) -> Output {
    Command::new(processes::meseta()).arg("sim").args(args).output().expect("meseta starts")
}

fn json(args: &[&str]) -> Value {
    let output = sim(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one document")
}

/// Ten tasks of a CPU each on two agents of two.
fn trace(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("trace.csv");
    fs::write(
        &path,
        "arrival,duration,count,cpus,mem,role,framework\n0,60,6,1,100,web,shop\n0,60,4,1,100,batch,night\n",
    )
    .expect("a file");
    path.to_str().expect("a path").to_owned()
}

#[test]
fn every_task_of_a_trace_runs_and_the_makespan_is_what_it_must_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = trace(&directory);
    let html = directory.path().join("report.html");
    let html = html.to_str().expect("a path");
    let result = json(&["--trace", &trace, "--agents", "2:cpus:2;mem:1024", "--json", "--html", html]);
    assert_eq!((&result["tasks"]["arrived"], &result["tasks"]["finished"]), (&10.into(), &10.into()));
    // Four at a time: three rounds of a minute, and what the launches take.
    let makespan = result["makespan_secs"].as_f64().expect("it ends");
    assert!((180.0..190.0).contains(&makespan), "{makespan}");
    let roles: Vec<&str> =
        result["roles"].as_array().expect("roles").iter().filter_map(|role| role["role"].as_str()).collect();
    assert_eq!(roles, ["batch", "web"]);
    let report = fs::read_to_string(html).expect("a report");
    for expected in ["Simulation", "waited before the start", "<svg", "Utilisation over time"] {
        assert!(report.contains(expected), "{expected} is missing");
    }
}

#[test]
fn the_same_options_give_the_same_and_another_seed_does_not() {
    let run = |seed| {
        let mut result =
            json(&["--mix", "batch", "--agents", "4", "--horizon", "5mins", "--load", "0.5", "--seed", seed, "--json"]);
        let hash = result["engine"]["trace_hash"].take();
        (hash, result["tasks"].take(), result["waits"].take())
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(first.0, run("8").0);
}

#[test]
fn failures_lose_tasks_and_all_of_them_finish_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = trace(&directory);
    let failing = [
        "--trace",
        &trace,
        "--agents",
        "3:cpus:2;mem:1024",
        "--failure-rate",
        "0.5",
        "--agent-mtbf",
        "5mins",
        "--agent-repair",
        "10secs",
        "--seed",
        "3",
        "--json",
    ];
    let result = json(&failing);
    assert_eq!(result["tasks"]["finished"], 10);
    assert!(result["tasks"]["lost"].as_u64().is_some_and(|lost| lost > 0));
}

#[test]
fn a_limit_makes_its_role_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = trace(&directory);
    let wait = |more: &[&str]| {
        let mut args = vec!["--trace", &trace, "--agents", "4:cpus:2;mem:1024", "--json"];
        args.extend(more);
        let result = json(&args);
        let web = result["roles"].as_array().and_then(|roles| roles.iter().find(|role| role["role"] == "web")).cloned();
        web.and_then(|web| web["waits"]["max"].as_f64()).expect("web's longest wait")
    };
    let (free, bound) = (wait(&[]), wait(&["--limit", "web=cpus:1"]));
    assert!(free < 70.0 && bound > 300.0, "{free} without a limit, {bound} with one");
}

#[test]
fn bad_input_is_told_with_what_would_be_right() {
    for (args, expected) in [
        (&["--agents", "3"][..], "--trace FILE or --mix google|web|batch says what work there is"),
        (&["--mix", "web"], "--agents is missing"),
        (&["--mix", "web", "--agents", "2:cpus(ads):4;mem:100"], "the simulation knows unreserved ones only"),
        (&["--mix", "web", "--agents", "2", "--failure-rate", "2"], "a number such as 0.01, at most 0.9"),
        (&["--mix", "web", "--agents", "2", "--until", "0secs"], "such as 1hrs"),
        (&["--mix", "web", "--agents", "2", "--policy", "fair"], "[possible values: meseta, mesos]"),
        (&["--mix", "web", "--agents", "2", "--guarantee", "a=cpus:4", "--guarantee", "a/b=cpus:8"], "Parent role 'a'"),
    ] {
        let output = sim(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{args:?}: {error:?} does not say {expected:?}");
    }
}

#[test]
fn without_failures_the_simulation_and_what_if_agree() {
    let work = ["--mix", "batch", "--agents", "6", "--horizon", "10mins", "--load", "0.8", "--json"];
    let simulated = json(&work);
    let replayed = Command::new(processes::meseta()).arg("what-if").args(work).output().expect("meseta starts");
    let replayed: Value = serde_json::from_slice(&replayed.stdout).expect("one document");
    let replayed = &replayed["before"];
    assert_eq!(simulated["tasks"]["arrived"], replayed["tasks"]["arrived"]);
    for path in ["/utilisation/cpus/mean", "/utilisation/mem/mean", "/tasks/finished"] {
        let value = |result: &Value| result.pointer(path).and_then(Value::as_f64).expect("a number");
        let (a, b) = (value(&simulated), value(replayed));
        assert!((a - b).abs() <= b * 0.05, "{path}: {a} simulated, {b} replayed");
    }
}

#[test]
fn resource_groups_divide_the_cluster_and_stand_in_the_report() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let trace = file(
        "trace.csv",
        "arrival,duration,count,cpus,mem,role,framework\n0,60,8,1,100,web,shop\n0,60,8,1,100,batch,night\n0,60,2,1,100,own,desk\n",
    );
    let agents = file("agents.csv", "count,cpus,mem,attributes\n2,2,1024,disk:ssd\n2,2,1024,disk:hdd\n");
    let selector = r#"{"groups": [{"attribute_constraints": [{"selector": {"attribute_name": "disk"}, "predicate": {"text_equals": {"value": "ssd"}}}]}]}"#;
    let groups = file(
        "groups.json",
        &format!(
            r#"{{"groups": [{{"name": "fast", "roles": ["web"], "unit": {{"cpus": {{"value": 1}}, "mem": {{"value": 100}}}}, "selector": {selector}}},
                {{"name": "slow", "roles": ["batch"], "unit": {{"cpus": {{"value": 1}}, "mem": {{"value": 100}}}}, "capacity": {{"max": 2}}}}]}}"#
        ),
    );
    let result = json(&["--trace", &trace, "--agents", &agents, "--groups", &groups, "--json"]);
    assert_eq!(result["tasks"]["finished"], 18);
    let of = |name: &str| {
        let all = result["groups"].as_array().expect("groups");
        all.iter().find(|group| group["group"] == name).expect(name).clone()
    };
    assert_eq!(of("slow")["units"]["peak"], 2.0, "its end");
    assert!(of("fast")["units"]["peak"].as_f64().expect("units") <= 4.0, "it selects two agents of two");
    // Eight tasks, two at a time.
    assert!(of("slow")["waits"]["max"].as_f64().expect("waits") >= 180.0);
    assert_eq!((&of("default")["roles"][0], &of("default")["tasks"]["finished"]), (&"own".into(), &2.into()));
    let table = sim(&["--trace", &trace, "--agents", &agents, "--groups", &groups]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("RESOURCE GROUPS"), "the table");
    let wrong = file("wrong.json", r#"{"groups": [{"name": "g", "roles": ["web"], "unit": {}}]}"#);
    let refused = sim(&["--trace", &trace, "--agents", "2", "--groups", &wrong]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("resource group 'g' has an empty unit"));
}
