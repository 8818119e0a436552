//! The documents of the legacy API, field by field as Mesos writes them: older tools read them by name, some by order.
//! What a document is made of is in the files below; what single values look like is in `proto::v0json`.

mod agents;
mod frameworks;
mod roles;
mod summary;
mod tasks;

use std::collections::BTreeMap;

use master_core::State;
use proto::{json::Writer, v0json, v1};
use stdx::WallTime;
use transport::Request;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    State,
    StateSummary,
    Slaves,
    Frameworks,
    Tasks,
    Roles,
}

/// What of a document is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    slave_id: Option<String>,
    framework_id: Option<String>,
    task_id: Option<String>,
    limit: usize,
    offset: usize,
    ascending: bool,
}

/// Tasks in an answer if the request names no number.
const TASKS_LIMIT: usize = 100;

impl Query {
    pub fn new(request: &Request) -> Query {
        let id = |name: &str| request.query_value(name);
        let count = |name: &str| request.query_value(name).and_then(|text| parse_count(&text));
        Query {
            slave_id: id("slave_id"),
            framework_id: id("framework_id"),
            task_id: id("task_id"),
            limit: count("limit").unwrap_or(TASKS_LIMIT),
            offset: count("offset").unwrap_or(0),
            ascending: request.query_value("order").as_deref() == Some("asc"),
        }
    }
}

/// A negative number means as many as there can be; what is no number means the default.
fn parse_count(text: &str) -> Option<usize> {
    let number: i64 = text.trim().parse().ok()?;
    Some(usize::try_from(number).unwrap_or(usize::MAX))
}

/// What the documents say beyond the state.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    pub started: WallTime,
    pub flags: &'a BTreeMap<String, String>,
}

/// A document, as JSON.
pub fn render(document: Document, state: &State, query: &Query, process: Process<'_>) -> Vec<u8> {
    let mut json = Writer::v0();
    json.object(|json| match document {
        Document::State => write_state(json, state, process),
        Document::StateSummary => summary::write(json, state, process),
        Document::Slaves => agents::write_page(json, state, query.slave_id.as_deref()),
        Document::Frameworks => frameworks::write_page(json, state, query.framework_id.as_deref()),
        Document::Tasks => tasks::write_page(json, state, query),
        Document::Roles => roles::write_page(json, state),
    });
    json.into_bytes()
}

/// `/weights`: every weight that was set.
pub fn weights(state: &State) -> Vec<u8> {
    let mut json = Writer::v0();
    json.array(|json| {
        for (role, weight) in &state.registry.weights {
            json.object(|json| {
                json.field("role", role);
                json.field("weight", weight);
            });
        }
    });
    json.into_bytes()
}

fn write_state(json: &mut Writer, state: &State, process: Process<'_>) {
    endpoints::version_fields(json);
    endpoints::commit_fields(json);
    json.field("start_time", &process.started.as_secs_f64());
    if let Some(elected) = state.elected {
        json.field("elected_time", &elected.as_secs_f64());
    }
    let info = &*state.info;
    json.field("id", &info.id);
    json.field("pid", info.pid());
    json.field("hostname", info.hostname());
    json.key("capabilities");
    v0json::master_capabilities(json, info);
    let active = state.agents.values().filter(|agent| agent.is_active()).count();
    json.field("activated_slaves", &(active as f64));
    json.field("deactivated_slaves", &((state.agents.len() - active) as f64));
    json.field("unreachable_slaves", &(state.registry.unreachable.len() as f64));
    json.optional_field("domain", info.domain.as_ref());
    if state.is_leading() {
        json.field("leader", info.pid());
        json.key("leader_info");
        write_leader(json, info);
    }
    json.optional_field("cluster", process.flags.get("cluster"));
    json.optional_field("log_dir", process.flags.get("log_dir"));
    json.object_field("flags", |json| process.flags.iter().for_each(|(name, value)| json.field(name, value)));
    json.array_field("slaves", state.agents.values(), |json, agent| {
        json.object(|json| agents::write_fields(json, state, agent));
    });
    agents::write_recovered(json, state, None);
    frameworks::write_all(json, state, None);
    // Nothing is an orphan: an agent that comes back brings the frameworks of its tasks along.
    json.field("orphan_tasks", &[] as &[v1::Task]);
    json.field("unregistered_frameworks", &[] as &[String]);
    if !state.groups.is_empty() {
        json.field("resource_groups", &**state.groups);
    }
}

fn write_leader(json: &mut Writer, info: &v1::MasterInfo) {
    json.object(|json| {
        json.field("id", &info.id);
        json.field("pid", info.pid());
        json.field("port", &info.port);
        json.field("hostname", info.hostname());
        json.optional_field("domain", info.domain.as_ref());
    });
}
