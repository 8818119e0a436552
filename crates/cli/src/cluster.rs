//! What a master says of its cluster, as the rows that commands print. The fields and their names are stable: programs
//! read them as JSON (docs/cli.md). Pure; `tables` prints them.

use std::collections::BTreeMap;

use model::task_state::is_terminal;
use proto::v1::{
    self, TaskState,
    master::response::{GetAgents, GetFrameworks, GetTasks, get_agents, get_frameworks},
};
use resources::{Quantities, Resources};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::sandbox;

const NANOS: f64 = 1e9;

/// Resources by name: a number, or for ports and sets text.
pub type Amounts = Map<String, Value>;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentRow {
    pub id: String,
    pub hostname: String,
    /// `host:port`.
    pub address: Option<String>,
    /// `active`, `inactive` (its connection is lost), `deactivated`, `draining`, `drained` or `recovered` (not heard of
    /// since the master started).
    pub state: &'static str,
    pub version: Option<String>,
    pub attributes: BTreeMap<String, String>,
    pub total: Amounts,
    pub allocated: Amounts,
    pub offered: Amounts,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Seconds since 1970.
    pub registered_at: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameworkRow {
    pub id: String,
    pub name: String,
    pub user: String,
    pub roles: Vec<String>,
    pub principal: Option<String>,
    /// `active`, `inactive` (connected, but gets no offers), `disconnected`, `recovered` or `completed`.
    pub state: &'static str,
    pub allocated: Amounts,
    pub offered: Amounts,
    /// Tasks that have not ended.
    pub tasks: usize,
    pub registered_at: Option<f64>,
    pub unregistered_at: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskRow {
    pub id: String,
    pub name: String,
    /// As Mesos names it, such as `TASK_RUNNING`.
    pub state: &'static str,
    pub framework_id: String,
    pub framework: Option<String>,
    pub agent_id: String,
    pub hostname: Option<String>,
    pub executor_id: String,
    /// Its own container; the executor's for a command task.
    pub container_id: Option<String>,
    pub resources: Amounts,
    pub healthy: Option<bool>,
    pub reason: Option<&'static str>,
    pub message: Option<String>,
    /// Seconds since 1970, of the first and of the last update.
    pub started_at: Option<f64>,
    pub updated_at: Option<f64>,
}

/// The cluster at one moment, as far as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub agents: GetAgents,
    pub frameworks: GetFrameworks,
    pub tasks: GetTasks,
    /// Numbers of tasks, where the tasks themselves were not asked for.
    pub counts: TaskCounts,
}

/// How many tasks there are, by Mesos's names of states. Only frameworks that are not completed count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskCounts {
    pub by_state: BTreeMap<&'static str, usize>,
    /// Of tasks that have not ended, by id.
    by_agent: BTreeMap<String, usize>,
    by_framework: BTreeMap<String, usize>,
}

impl TaskCounts {
    /// From the body of `/state-summary`.
    pub fn parse(summary: &[u8]) -> Result<TaskCounts, String> {
        let summary: Value = serde_json::from_slice(summary).map_err(|error| format!("/state-summary: {error}"))?;
        let mut counts = TaskCounts::default();
        let rows = |name: &str| summary.get(name).and_then(Value::as_array).into_iter().flatten();
        let of_state = |row: &Value, state: TaskState| {
            let count = row.get(state.as_str_name()).and_then(Value::as_u64).unwrap_or(0);
            usize::try_from(count).unwrap_or(usize::MAX)
        };
        let open =
            |row: &Value| STATES.iter().filter(|state| !is_terminal(**state)).map(|state| of_state(row, *state)).sum();
        let id = |row: &Value| row.get("id").and_then(Value::as_str).map(str::to_owned);
        counts.by_agent = rows("slaves").filter_map(|row| Some((id(row)?, open(row)))).collect();
        for row in rows("frameworks") {
            if let Some(id) = id(row) {
                counts.by_framework.insert(id, open(row));
            }
            for state in STATES {
                let count = of_state(row, state);
                if count > 0 {
                    *counts.by_state.entry(state.as_str_name()).or_default() += count;
                }
            }
        }
        Ok(counts)
    }
}

/// The states that masters count.
const STATES: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

impl Cluster {
    pub fn agent_rows(&self) -> Vec<AgentRow> {
        let registered = self.agents.agents.iter().map(|agent| {
            let id = agent.agent_info.id.clone().unwrap_or_default().value;
            AgentRow {
                address: address(agent),
                state: agent_state(agent),
                version: Some(agent.version.clone()),
                total: amounts(&agent.total_resources),
                allocated: amounts(&agent.allocated_resources),
                offered: amounts(&agent.offered_resources),
                registered_at: seconds(agent.reregistered_time.as_ref().or(agent.registered_time.as_ref())),
                tasks: self.counts.by_agent.get(&id).copied().unwrap_or(0),
                ..agent_row(&agent.agent_info, id)
            }
        });
        let recovered = self.agents.recovered_agents.iter().map(|info| {
            let id = info.id.clone().unwrap_or_default().value;
            AgentRow { total: amounts(&info.resources), ..agent_row(info, id) }
        });
        let mut rows: Vec<AgentRow> = registered.chain(recovered).collect();
        rows.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
        rows
    }

    /// Completed frameworks come last.
    pub fn framework_rows(&self, completed_too: bool) -> Vec<FrameworkRow> {
        let row = |framework: &get_frameworks::Framework, completed: bool| {
            let info = &framework.framework_info;
            let id = info.id.clone().unwrap_or_default().value;
            FrameworkRow {
                name: info.name.clone(),
                user: info.user.clone(),
                roles: match info.roles.is_empty() {
                    true => vec![info.role().to_owned()],
                    false => info.roles.clone(),
                },
                principal: info.principal.clone(),
                state: if completed { "completed" } else { framework_state(framework) },
                allocated: amounts(&framework.allocated_resources),
                offered: amounts(&framework.offered_resources),
                tasks: self.counts.by_framework.get(&id).copied().unwrap_or(0),
                registered_at: seconds(framework.registered_time.as_ref()),
                unregistered_at: seconds(framework.unregistered_time.as_ref()).filter(|_| completed),
                id,
            }
        };
        let present = self.frameworks.frameworks.iter().map(|framework| row(framework, false));
        let completed = self.frameworks.completed_frameworks.iter().map(|framework| row(framework, true));
        let mut rows: Vec<FrameworkRow> = present.collect();
        rows.sort_by(|a, b| a.registered_at.unwrap_or(0.0).total_cmp(&b.registered_at.unwrap_or(0.0)));
        if completed_too {
            rows.extend(completed);
        }
        rows
    }

    /// Tasks that have not ended; with `all` those that did, too.
    pub fn task_rows(&self, all: bool) -> Vec<TaskRow> {
        let ended = self.tasks.completed_tasks.iter().filter(|_| all);
        let hidden = |task: &&v1::Task| all || !is_terminal(task.state());
        let mut rows: Vec<TaskRow> = self.open().filter(hidden).chain(ended).map(|task| self.task_row(task)).collect();
        rows.sort_by(|a, b| a.started_at.unwrap_or(0.0).total_cmp(&b.started_at.unwrap_or(0.0)));
        rows
    }

    /// Every task the master remembers.
    pub fn tasks(&self) -> impl Iterator<Item = &v1::Task> {
        self.open().chain(&self.tasks.completed_tasks)
    }

    pub fn find_agent(&self, id: &str) -> Option<&get_agents::Agent> {
        self.agents.agents.iter().find(|agent| agent.agent_info.id.as_ref().is_some_and(|known| known.value == id))
    }

    pub fn total(&self) -> Quantities {
        self.sum(|agent| &agent.total_resources)
    }

    pub fn allocated(&self) -> Quantities {
        self.sum(|agent| &agent.allocated_resources)
    }

    pub fn offered(&self) -> Quantities {
        self.sum(|agent| &agent.offered_resources)
    }

    fn sum(&self, part: impl Fn(&get_agents::Agent) -> &Vec<v1::Resource>) -> Quantities {
        let each = self.agents.agents.iter().map(|agent| quantities(part(agent)));
        each.fold(Quantities::default(), |sum, next| sum + &next)
    }

    fn open(&self) -> impl Iterator<Item = &v1::Task> {
        let GetTasks { tasks, pending_tasks, unreachable_tasks, .. } = &self.tasks;
        tasks.iter().chain(pending_tasks).chain(unreachable_tasks)
    }

    fn task_row(&self, task: &v1::Task) -> TaskRow {
        let last = task.statuses.last();
        let frameworks = self.frameworks.frameworks.iter().chain(&self.frameworks.completed_frameworks);
        let mut frameworks = frameworks.map(|framework| &framework.framework_info);
        let framework = frameworks.find(|info| info.id.as_ref() == Some(&task.framework_id));
        TaskRow {
            id: task.task_id.value.clone(),
            name: task.name.clone(),
            state: task.state().as_str_name(),
            framework_id: task.framework_id.value.clone(),
            framework: framework.map(|info| info.name.clone()),
            agent_id: task.agent_id.value.clone(),
            hostname: self.find_agent(&task.agent_id.value).map(|agent| agent.agent_info.hostname.clone()),
            executor_id: sandbox::executor_of(&task.task_id.value, task.executor_id.as_ref()),
            container_id: task.statuses.iter().rev().find_map(sandbox::container_of).map(|id| id.value),
            resources: amounts(&task.resources),
            healthy: last.and_then(|status| status.healthy),
            reason: last.filter(|status| status.reason.is_some()).map(|status| status.reason().as_str_name()),
            message: last.and_then(|status| status.message.clone()).filter(|message| !message.is_empty()),
            started_at: task.statuses.first().and_then(|status| status.timestamp),
            updated_at: last.and_then(|status| status.timestamp),
        }
    }
}

/// `host:port` of an agent, from "slave(1)@host:port".
pub fn address(agent: &get_agents::Agent) -> Option<String> {
    agent.pid.as_deref()?.split_once('@').map(|(_, address)| address.to_owned())
}

pub fn seconds(time: Option<&v1::TimeInfo>) -> Option<f64> {
    time.map(|time| time.nanoseconds as f64 / NANOS)
}

/// "TASK_RUNNING" → "running".
pub fn short_state(state: &str) -> String {
    state.trim_start_matches("TASK_").to_ascii_lowercase().replace('_', " ")
}

fn agent_row(info: &v1::AgentInfo, id: String) -> AgentRow {
    AgentRow {
        id,
        hostname: info.hostname.clone(),
        address: None,
        state: "recovered",
        version: None,
        attributes: info
            .attributes
            .iter()
            .map(|attribute| (attribute.name.clone(), resources::attributes::print_value(attribute)))
            .collect(),
        total: Amounts::new(),
        allocated: Amounts::new(),
        offered: Amounts::new(),
        tasks: 0,
        registered_at: None,
    }
}

fn agent_state(agent: &get_agents::Agent) -> &'static str {
    match agent.drain_info.as_ref().map(v1::DrainInfo::state) {
        Some(v1::DrainState::Draining) => "draining",
        Some(v1::DrainState::Drained) => "drained",
        _ if agent.deactivated == Some(true) => "deactivated",
        _ if agent.active => "active",
        _ => "inactive",
    }
}

fn framework_state(framework: &get_frameworks::Framework) -> &'static str {
    match (framework.recovered, framework.connected, framework.active) {
        (true, ..) => "recovered",
        (_, false, _) => "disconnected",
        (_, true, true) => "active",
        (_, true, false) => "inactive",
    }
}

fn quantities(resources: &[v1::Resource]) -> Quantities {
    Resources::from_protos(resources).unwrap_or_default().scalar_quantities()
}

fn amounts(resources: &[v1::Resource]) -> Amounts {
    let all = Resources::from_protos(resources).unwrap_or_default();
    let mut amounts: Amounts =
        all.scalar_quantities().iter().map(|(name, amount)| (name.to_string(), amount.as_f64().into())).collect();
    if let Some(ports) = all.ports() {
        amounts.insert("ports".to_owned(), ports.to_string().into());
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, state: TaskState) -> v1::Task {
        let status = |state: TaskState, at: f64| v1::TaskStatus {
            state: state as i32,
            timestamp: Some(at),
            message: Some(String::new()),
            ..Default::default()
        };
        v1::Task {
            name: id.to_owned(),
            task_id: v1::TaskId { value: id.to_owned() },
            agent_id: v1::AgentId { value: "A".to_owned() },
            framework_id: v1::FrameworkId { value: "F".to_owned() },
            state: state as i32,
            statuses: vec![status(TaskState::TaskStarting, 1.0), status(state, 2.5)],
            ..Default::default()
        }
    }

    fn cluster() -> Cluster {
        let agent = get_agents::Agent {
            agent_info: v1::AgentInfo {
                hostname: "h".to_owned(),
                id: Some(v1::AgentId { value: "A".to_owned() }),
                ..Default::default()
            },
            active: true,
            pid: Some("slave(1)@10.0.0.1:5051".to_owned()),
            total_resources: Resources::parse("cpus:4;ports:[1-2]", "*").expect("valid").to_protos(),
            ..Default::default()
        };
        Cluster {
            agents: GetAgents { agents: vec![agent], ..Default::default() },
            tasks: GetTasks {
                tasks: vec![task("run", TaskState::TaskRunning), task("done", TaskState::TaskFinished)],
                completed_tasks: vec![task("old", TaskState::TaskFailed)],
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn tasks_that_ended_are_shown_when_asked_for() {
        let ids = |all| cluster().task_rows(all).into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(false), ["run"]);
        assert_eq!(ids(true), ["run", "done", "old"]);
    }

    #[test]
    fn a_row_says_where_and_since_when() {
        let row = cluster().task_rows(false).remove(0);
        assert_eq!((row.state, row.hostname.as_deref()), ("TASK_RUNNING", Some("h")));
        assert_eq!((row.started_at, row.updated_at, row.message), (Some(1.0), Some(2.5), None));
        assert_eq!(row.executor_id, "run");
    }

    #[test]
    fn an_agent_counts_only_tasks_that_have_not_ended() {
        let summary = br#"{"slaves": [{"id": "A", "TASK_RUNNING": 1, "TASK_FINISHED": 7, "TASK_KILLING": 1}],
            "frameworks": [{"id": "F", "TASK_RUNNING": 2, "TASK_FAILED": 1}]}"#;
        let counts = TaskCounts::parse(summary).expect("sound");
        assert_eq!(counts.by_state, BTreeMap::from([("TASK_RUNNING", 2), ("TASK_FAILED", 1)]));
        let row = Cluster { counts, ..cluster() }.agent_rows().remove(0);
        assert_eq!((row.tasks, row.address.as_deref(), row.state), (2, Some("10.0.0.1:5051"), "active"));
        assert_eq!(serde_json::to_string(&row.total).expect("JSON"), r#"{"cpus":4.0,"ports":"[1-2]"}"#);
    }
}
