//! Tests: each document of an agent, compared in shape with the one that Apache Mesos 1.11.0 gave of the same work. The
//! recorded ones are in `testdata/mesos_1.11`, without the commit that was built and most flags. `recorded/work` is our
//! agent.

mod work;

use std::{collections::BTreeMap, sync::Arc};

use containers::{Enforcement, Gap, Usage};
use proto::{
    content::ContentType,
    v1::{
        agent::{Call, Response, call::Type},
        agent_info::{Capability, capability},
    },
};
use serde_json::Value;
use stdx::WallTime;
use testkit::shape;

use super::{
    Seen, Usages,
    legacy::{self, Process},
    v1,
};

fn recorded(name: &str) -> Value {
    let path = format!("{}/testdata/mesos_1.11/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).expect(&path)).expect(&path)
}

/// What a container uses, as far as Mesos knew it there.
fn usages() -> Usages {
    let usage = Usage {
        timestamp: 1_795_370_824.5,
        cpus_soft_limit: Some(0.6),
        cpus_system_time_secs: Some(0.25),
        cpus_user_time_secs: Some(0.5),
        mem_limit_bytes: Some(1 << 26),
        mem_rss_bytes: Some(1 << 25),
        mem_soft_limit_bytes: Some(1 << 26),
        ..Usage::default()
    };
    work::state().executors().map(|executor| (executor.container.clone(), Seen { usage, gaps: Vec::new() })).collect()
}

fn isolation() -> Vec<Enforcement> {
    let enforced = |name, enforced| Enforcement { name, enforced };
    vec![enforced("cgroups/cpu", Ok(())), enforced("cgroups/mem", Err("there is none".to_owned()))]
}

#[test]
fn what_is_not_enforced_is_told_where_readers_of_mesos_pass_over_it() {
    assert_eq!(state()["isolation_enforced"]["cgroups/mem"], "there is none");
    let agent = json(&v1::answer(&work::state(), Type::GetAgent, &isolation()));
    let told = serde_json::json!([
        { "isolator": "cgroups/cpu" }, { "isolator": "cgroups/mem", "not_enforced": "there is none" }
    ]);
    assert_eq!(agent["get_agent"]["isolation"], told);

    let gap = Gap { isolator: "cgroups/mem".into(), asked: "at most 64 MiB".into(), why: "there is none".into() };
    let mut usages = usages();
    usages.values_mut().for_each(|seen| seen.gaps.push(gap.clone()));
    let told = serde_json::json!([{ "asked": "at most 64 MiB", "isolator": "cgroups/mem", "why": "there is none" }]);
    let legacy = parse(&legacy::containers(&work::state(), &usages));
    assert_eq!(legacy[0]["isolation_not_enforced"], told);
    let answer = json(&v1::containers(&work::state(), v1::Shown::new(&Call::default()), &usages));
    assert_eq!(answer["get_containers"]["containers"][0]["isolation_not_enforced"], told);
}

fn state() -> Value {
    let process = Process {
        started: WallTime(1_795_370_808_681_112_000),
        pid: &work::pid(),
        capabilities: &[Capability { r#type: Some(capability::Type::MultiRole as i32) }],
        isolators: &isolation(),
        flags: &BTreeMap::from([("port".to_owned(), "5051".to_owned())]),
    };
    parse(&legacy::state(&work::state(), process))
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

fn json(answer: &Response) -> Value {
    parse(&ContentType::Json.encode(answer))
}

/// `except` are the beginnings of paths where the difference is meant.
#[track_caller]
fn assert_same_shape(name: &str, ours: &Value, except: &[&str]) {
    let mut differences = shape::differences(&recorded(name), ours, &["$.flags"]);
    differences.retain(|difference| !except.iter().any(|path| difference.starts_with(path)));
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
}

#[test]
fn legacy_documents_have_the_shape_of_mesos() {
    let mut state = state();
    // The commit is left out of what was recorded, and what is enforced is ours to tell.
    let left_out = ["git_sha", "git_tag", "isolation_enforced"];
    let fields = state.as_object_mut().expect("an object");
    assert!(left_out.iter().all(|name| fields.contains_key(*name)));
    fields.retain(|name, _| !left_out.contains(&name.as_str()));
    assert_same_shape("state", &state, &[]);
    assert_same_shape("containers", &parse(&legacy::containers(&work::state(), &usages())), &[]);
    assert_same_shape("statistics", &parse(&legacy::statistics(&work::state(), &usages())), &[]);
}

/// Where the difference is meant: what runs a command task is no program with a path of its own here, and an agent
/// names the executor of an update that does not name it itself.
const MEANT: [&str; 7] = [
    "$.get_executors.executors[].executor_info.command",
    "$.get_executors.executors[].executor_info.shutdown_grace_period",
    "$.get_executors.executors[].executor_info lacks {executor_id framework_id command",
    "$.get_executors.executors[].executor_info has {executor_id framework_id command",
    "$.get_executors.completed_executors[].executor_info.command",
    "$.get_tasks.completed_tasks[].statuses[]",
    "$.get_tasks.launched_tasks[].statuses[]",
];

#[test]
fn operator_reads_have_the_shape_of_mesos() {
    for (name, call) in [
        ("get_frameworks", Type::GetFrameworks),
        ("get_executors", Type::GetExecutors),
        ("get_tasks", Type::GetTasks),
        ("get_agent", Type::GetAgent),
        ("get_operations", Type::GetOperations),
        ("get_resource_providers", Type::GetResourceProviders),
    ] {
        assert_same_shape(name, &json(&v1::answer(&work::state(), call, &[])), &MEANT);
    }
    let shown = v1::Shown::new(&Call::default());
    assert_same_shape("get_containers", &json(&v1::containers(&work::state(), shown, &usages())), &[]);
}

#[test]
fn amounts_are_those_of_mesos() {
    let (ours, theirs) = (state(), recorded("state"));
    for what in
        ["resources", "attributes", "reserved_resources", "reserved_resources_full", "reserved_resources_allocated"]
    {
        assert_eq!(ours[what], theirs[what], "{what}");
    }
    // Mesos adds doubles and shows 1.2999999999999998.
    assert_eq!(ours["unreserved_resources_allocated"]["cpus"], 1.3);
    assert_eq!(ours["unreserved_resources_allocated"]["mem"], theirs["unreserved_resources_allocated"]["mem"]);
}

#[test]
fn an_idle_agent_has_no_containers_at_all() {
    let shown = v1::Shown::new(&Call::default());
    let answer = v1::containers(&agent_core::State::default(), shown, &Usages::new());
    assert_eq!(ContentType::Json.encode(&answer), r#"{"type":"GET_CONTAINERS"}"#);
    assert_eq!(legacy::containers(&agent_core::State::default(), &Usages::new()), b"[]");
}

#[test]
fn a_container_is_shown_while_there_are_statistics_of_it() {
    let (mut state, shown) = (work::state(), v1::Shown::new(&Call::default()));
    let assert_shown = |state: &agent_core::State, usages: &Usages, count: usize| {
        let listed = |body: Vec<u8>| parse(&body).as_array().map(Vec::len);
        assert_eq!(listed(legacy::containers(state, usages)), Some(count));
        assert_eq!(listed(legacy::statistics(state, usages)), Some(count));
        let answer = v1::containers(state, shown, usages).get_containers.unwrap_or_default();
        assert_eq!(answer.containers.len(), count);
    };
    let all = state.executors().count();
    assert_shown(&state, &usages(), all);
    assert_shown(&state, &Usages::new(), 0);
    for framework in Arc::make_mut(&mut state.frameworks).values_mut() {
        for executor in Arc::make_mut(framework).executors.values_mut() {
            Arc::make_mut(executor).phase = agent_core::ExecutorPhase::Terminated;
        }
    }
    assert_shown(&state, &usages(), 0);
}
