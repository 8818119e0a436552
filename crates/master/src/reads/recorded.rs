//! Tests: each document of a cluster, compared in shape with the one that Apache Mesos 1.11.0 gave of the same cluster.
//! The recorded ones are in `testdata/mesos_1.11`, without frameworks that a v0 scheduler ran, the commit that was
//! built, and most flags. `recorded/cluster` is our cluster.

mod cluster;

use std::collections::BTreeMap;

use observe::metrics::Snapshot;
use proto::{content::ContentType, v1::master::call::Type};
use serde_json::Value;
use stdx::{Tick, WallTime};
use testkit::shape;
use transport::Request;

use super::{
    legacy::{self, Document, Process, Query},
    metrics, v1,
};
use crate::traffic::Allocation;

fn recorded(name: &str) -> Value {
    let path = format!("{}/testdata/mesos_1.11/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).expect(&path)).expect(&path)
}

fn query(uri: &str) -> Query {
    Query::new(&Request {
        method: transport::Method::GET,
        uri: uri.parse().expect("a uri"),
        headers: Default::default(),
        body: Default::default(),
        peer: ([127, 0, 0, 1], 1).into(),
        caller: Default::default(),
    })
}

fn document(document: Document, uri: &str) -> Value {
    let flags = BTreeMap::from([("port".to_owned(), "5050".to_owned())]);
    let process = Process { started: WallTime(1_795_370_808_681_112_000), flags: &flags };
    let body = legacy::render(document, &cluster::state(), &query(uri), process);
    serde_json::from_slice(&body).expect("JSON")
}

fn answer(call: Type) -> Value {
    let answer = v1::answer(&cluster::state(), WallTime(1_795_370_808_681_112_000), call);
    serde_json::from_slice(&ContentType::Json.encode(&answer)).expect("JSON")
}

#[track_caller]
fn assert_same_shape(name: &str, ours: &Value) {
    let differences = shape::differences(&recorded(name), ours, &["$.flags"]);
    assert!(differences.is_empty(), "{name}: {}", differences.join("\n"));
}

#[test]
fn every_number_is_described_to_prometheus() {
    let around = metrics::Around { now: Tick(1), shared_reads: 0, waiting: Default::default(), per_framework: true };
    let mut snapshot = Snapshot::default();
    metrics::add(&cluster::state(), &Allocation::default(), around, &mut snapshot);
    assert_eq!(snapshot.undescribed(), Vec::<String>::new());
    assert!(snapshot.flat().len() > 150);
}

#[test]
fn legacy_documents_have_the_shape_of_mesos() {
    let mut state = document(Document::State, "/");
    // The commit is left out of what was recorded.
    let left_out = ["git_sha", "git_tag"];
    let fields = state.as_object_mut().expect("an object");
    assert!(left_out.iter().all(|name| fields.get(*name).is_some_and(Value::is_string)));
    fields.retain(|name, _| !left_out.contains(&name.as_str()));
    assert_same_shape("state", &state);
    for (name, which) in [
        ("state-summary", Document::StateSummary),
        ("slaves", Document::Slaves),
        ("frameworks", Document::Frameworks),
        ("tasks", Document::Tasks),
        ("roles", Document::Roles),
    ] {
        assert_same_shape(name, &document(which, "/"));
    }
}

#[test]
fn operator_reads_have_the_shape_of_mesos() {
    for (name, call) in [
        ("get_agents", Type::GetAgents),
        ("get_frameworks", Type::GetFrameworks),
        ("get_executors", Type::GetExecutors),
        ("get_tasks", Type::GetTasks),
        ("get_roles", Type::GetRoles),
        ("get_operations", Type::GetOperations),
        ("get_weights", Type::GetWeights),
        ("get_master", Type::GetMaster),
    ] {
        assert_same_shape(name, &answer(call));
    }
    let state = answer(Type::GetState);
    let parts: Vec<&str> = state["get_state"].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(parts, ["get_tasks", "get_executors", "get_frameworks", "get_agents"]);
}

/// Whoever asks for tasks hears of those of frameworks that are over, too.
#[test]
fn tasks_of_completed_frameworks_are_shown() {
    let state = cluster::state();
    let over = state.completed_frameworks.iter().flat_map(|framework| framework.completed_tasks.iter());
    let over: Vec<&str> = over.map(|task| task.id.as_str()).collect();
    assert!(!over.is_empty());
    for (document, list) in
        [(answer(Type::GetTasks), "get_tasks"), (answer(Type::GetState)["get_state"].clone(), "get_tasks")]
    {
        let shown = document[list]["completed_tasks"].as_array().expect("a list");
        let shown: Vec<&str> = shown.iter().filter_map(|task| task["task_id"]["value"].as_str()).collect();
        assert!(over.iter().all(|id| shown.contains(id)), "{over:?} in {shown:?}");
    }
}

/// The amounts are those of the same tasks, offers and reservations.
#[test]
fn amounts_are_those_of_mesos() {
    let (ours, theirs) = (document(Document::Roles, "/"), recorded("roles"));
    for role in 0..3 {
        for what in ["name", "weight", "quota", "allocated", "reserved"] {
            assert_eq!(ours["roles"][role][what], theirs["roles"][role][what], "{role} {what}");
        }
    }
    let (ours, theirs) = (document(Document::Slaves, "/"), recorded("slaves"));
    for what in ["attributes", "resources", "used_resources", "reserved_resources", "unreserved_resources"] {
        assert_eq!(ours["slaves"][0][what], theirs["slaves"][0][what], "{what}");
    }
    let (ours, theirs) = (document(Document::StateSummary, "/"), recorded("state-summary"));
    for what in ["TASK_RUNNING", "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"] {
        assert_eq!(ours["slaves"][0][what], theirs["slaves"][0][what], "{what}");
    }
}

fn ids(document: &Value) -> Vec<&str> {
    document["tasks"].as_array().expect("a list").iter().filter_map(|task| task["id"].as_str()).collect()
}

#[test]
fn tasks_come_in_pages_by_the_time_of_their_first_status() {
    let all = document(Document::Tasks, "/tasks");
    assert_eq!(ids(&all), ["ok", "byexec2", "byexec", "bad", "full", "c1", "b2", "b1"]);
    let page = document(Document::Tasks, "/tasks?order=asc&limit=2&offset=1");
    assert_eq!(ids(&page), ["b2", "c1"]);
    for nothing in ["/tasks?offset=-2", "/tasks?offset=100", "/tasks?limit=0", "/tasks?framework_id=nope"] {
        assert_eq!(ids(&document(Document::Tasks, nothing)), [] as [&str; 0], "{nothing}");
    }
    for everything in ["/tasks?limit=-1", "/tasks?limit=many", "/tasks?order=up"] {
        assert_eq!(ids(&document(Document::Tasks, everything)).len(), 8, "{everything}");
    }
    assert_eq!(ids(&document(Document::Tasks, "/tasks?task_id=full")), ["full"]);
}

#[test]
fn ids_pick_one_of_a_list() {
    let count = |which, uri: &str, list: &str| document(which, uri)[list].as_array().map(Vec::len);
    assert_eq!(count(Document::Slaves, "/slaves?slave_id=nope", "slaves"), Some(0));
    assert_eq!(count(Document::Slaves, "/slaves?slave_id=m-S0", "slaves"), Some(1));
    assert_eq!(count(Document::Frameworks, "/frameworks?framework_id=m-0002", "frameworks"), Some(1));
    assert_eq!(count(Document::Frameworks, "/frameworks?framework_id=m-0002", "completed_frameworks"), Some(0));
    assert_eq!(count(Document::Frameworks, "/frameworks?framework_id=m-0000", "completed_frameworks"), Some(1));
}
