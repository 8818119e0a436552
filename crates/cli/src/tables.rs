//! `meseta status`, `agents`, `frameworks`, `tasks`: what a cluster is and does at this moment. `cluster` makes the
//! rows.

use std::{collections::BTreeMap, process::ExitCode};

use client::Error;
use model::task_state::is_terminal;
use proto::v1::{MasterInfo, TaskState};
use serde::Serialize;

use crate::{
    cluster::{AgentRow, Amounts, Cluster, FrameworkRow, TaskCounts, TaskRow, short_state},
    connect::{self, Connect},
    find,
    ids::Short,
    masters::{self, Masters},
    operate::{self, agents::Isolation},
    output::{Cell, Column, Format, age, amount, number, table},
};

#[derive(clap::Args, Debug)]
pub struct StatusArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentsArguments {
    #[command(subcommand)]
    verb: Option<operate::agents::Verb>,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(clap::Args, Debug)]
pub struct FrameworksArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// Completed frameworks too.
    #[arg(short, long)]
    all: bool,
}

#[derive(clap::Args, Debug)]
pub struct TasksArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// Tasks that ended too, as far as the master remembers them.
    #[arg(short, long)]
    all: bool,
    /// Only tasks that failed, were lost or refused.
    #[arg(long)]
    failed: bool,
    /// Only the tasks of this framework: its id, a short id, or its name.
    #[arg(long, value_name = "ID")]
    framework: Option<String>,
}

pub fn agents(arguments: AgentsArguments) -> ExitCode {
    connect::run(async {
        match arguments.verb {
            Some(verb) => operate::agents::agents(verb).await,
            None => {
                let rows = agent_rows(&arguments.connect).await?;
                print_agents(&arguments.connect, rows, arguments.format, NO_AGENTS).await
            }
        }
    })
}

const NO_AGENTS: &str = "No agents. Start one with `meseta agent --master=HOST:PORT --work_dir=DIRECTORY`";

pub async fn agent_rows(connect: &Connect) -> Result<Vec<AgentRow>, String> {
    Ok(fetch(connect, Parts { agents: true, counts: true, ..Parts::default() }).await?.agent_rows())
}

/// `none` stands in place of an empty table. Below the table it is said what draining agents wait for.
pub async fn print_agents(
    connect: &Connect,
    rows: Vec<AgentRow>,
    format: Format,
    none: &str,
) -> Result<ExitCode, String> {
    let people_read = !format.is_json();
    let waiting = if people_read { operate::agents::why_draining(connect, &rows).await } else { Vec::new() };
    let isolation = match people_read && format.is_wide() {
        true => operate::agents::isolation_of_all(connect, &rows).await,
        false => BTreeMap::new(),
    };
    format.print(&Named { agents: Some(rows), ..Named::default() }, |named| match named.agents.as_deref() {
        Some([]) | None => none.to_owned(),
        Some(rows) => {
            let table = if format.is_wide() { wide_agents_table(rows, &isolation) } else { agents_table(rows) };
            std::iter::once(table).chain(waiting).collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub fn frameworks(arguments: FrameworksArguments) -> ExitCode {
    connect::run(async {
        let parts = Parts { frameworks: true, counts: true, ..Parts::default() };
        let rows = fetch(&arguments.connect, parts).await?.framework_rows(arguments.all);
        let format = arguments.format;
        format.print(&Named { frameworks: Some(rows), ..Named::default() }, |named| {
            frameworks_table(named.frameworks.as_deref().unwrap_or_default(), format.is_wide())
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

pub fn tasks(arguments: TasksArguments) -> ExitCode {
    connect::run(async {
        let cluster = fetch(&arguments.connect, Parts { counts: false, ..Parts::ALL }).await?;
        let mut rows = cluster.task_rows(arguments.all || arguments.failed);
        if let Some(wanted) = &arguments.framework {
            // A completed framework is not among those that can be meant by name, its tasks are.
            let id = find::framework(&cluster, wanted).map(|row| row.id);
            rows.retain(|row| match &id {
                Ok(id) => row.framework_id == *id,
                Err(_) => crate::ids::is_meant(&row.framework_id, wanted) || row.framework.as_ref() == Some(wanted),
            });
        }
        if arguments.failed {
            rows.retain(|row| is_failure(row.state));
        }
        let format = arguments.format;
        format.print(&Named { tasks: Some(rows), ..Named::default() }, |named| match named.tasks.as_deref() {
            Some([]) | None if arguments.failed => "No task failed, as far as the master remembers".to_owned(),
            Some([]) | None if arguments.all => "No tasks".to_owned(),
            Some([]) | None => "No tasks. --all shows those that ended".to_owned(),
            Some(rows) => tasks_table(rows, format.is_wide()),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

pub fn status(arguments: StatusArguments) -> ExitCode {
    connect::run(async {
        let client = arguments.connect.client()?;
        let master = client.get_master().await.map_err(|error| arguments.connect.explain(&error))?;
        let cluster = fetch(&arguments.connect, Parts { tasks: false, ..Parts::ALL }).await?;
        let status = Status::new(&cluster, master.master_info.unwrap_or_default(), master.elected_time);
        let status = Status { masters: masters::ask(&client).await, ..status };
        arguments.format.print(&status, Status::text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Which of what a master knows a command reads. Tasks come with all that the master remembers of ended ones; where
/// their numbers are enough, `counts` is a small part of that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    pub agents: bool,
    pub frameworks: bool,
    pub tasks: bool,
    pub counts: bool,
}

impl Parts {
    pub const ALL: Parts = Parts { agents: true, frameworks: true, tasks: true, counts: true };
}

/// Reads these parts of what a master knows.
pub async fn fetch(connect: &Connect, parts: Parts) -> Result<Cluster, String> {
    let client = connect.client()?;
    let agents = async { if parts.agents { client.get_agents().await } else { Ok(Default::default()) } };
    let frameworks = async { if parts.frameworks { client.get_frameworks().await } else { Ok(Default::default()) } };
    let tasks = async { if parts.tasks { client.get_tasks().await } else { Ok(Default::default()) } };
    let summary = async {
        match parts.counts {
            true => client.get("/state-summary").await.map(Some),
            false => Ok::<_, Error>(None),
        }
    };
    let (agents, frameworks, tasks, summary) =
        tokio::try_join!(agents, frameworks, tasks, summary).map_err(|error| connect.explain(&error))?;
    let counts = summary.map(|body| TaskCounts::parse(&body)).transpose()?.unwrap_or_default();
    Ok(Cluster { agents, frameworks, tasks, counts })
}

/// The document of a list: one field with its name.
#[derive(Default, Serialize)]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Vec<AgentRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frameworks: Option<Vec<FrameworkRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<TaskRow>>,
}

#[derive(Debug, Serialize)]
struct Status {
    master: MasterRow,
    masters: Masters,
    /// How many agents are in which state.
    agents: BTreeMap<&'static str, usize>,
    frameworks: BTreeMap<&'static str, usize>,
    /// By Mesos's names of states; of those that ended, what the master remembers of frameworks that are there.
    tasks: BTreeMap<&'static str, usize>,
    resources: BTreeMap<String, Use>,
}

#[derive(Debug, Serialize)]
struct MasterRow {
    id: String,
    hostname: String,
    /// `host:port`.
    address: String,
    /// The version of Mesos's API that it speaks.
    version: Option<String>,
    /// Seconds since 1970.
    elected_at: Option<f64>,
}

/// How much of one resource there is in all agents, and what of it is taken.
#[derive(Debug, Serialize)]
struct Use {
    total: f64,
    allocated: f64,
    offered: f64,
}

impl Status {
    fn new(cluster: &Cluster, master: MasterInfo, elected_at: Option<f64>) -> Status {
        let mut status = Status {
            master: MasterRow {
                address: address(&master),
                id: master.id,
                hostname: master.hostname.unwrap_or_default(),
                version: master.version,
                elected_at,
            },
            masters: Masters::default(),
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            tasks: cluster.counts.by_state.clone(),
            resources: BTreeMap::new(),
        };
        for row in cluster.agent_rows() {
            *status.agents.entry(row.state).or_default() += 1;
        }
        for row in cluster.framework_rows(true) {
            *status.frameworks.entry(row.state).or_default() += 1;
        }
        let (allocated, offered) = (cluster.allocated(), cluster.offered());
        for (name, total) in cluster.total().iter() {
            let (allocated, offered) = (allocated.get(name).as_f64(), offered.get(name).as_f64());
            status.resources.insert(name.to_string(), Use { total: total.as_f64(), allocated, offered });
        }
        status
    }

    fn text(&self) -> String {
        let counts = |counts: &BTreeMap<&'static str, usize>| match counts.is_empty() {
            true => "none".to_owned(),
            false => {
                counts.iter().map(|(state, n)| format!("{n} {}", short_state(state))).collect::<Vec<_>>().join(", ")
            }
        };
        let open = |state: &str| TaskState::from_str_name(state).is_some_and(|state| !is_terminal(state));
        let (running, ended) = self.tasks.iter().partition(|(state, _)| open(state));
        let master = &self.master;
        let leader =
            format!("Master      {} ({}), leading for {}", master.address, master.hostname, age(master.elected_at));
        let mut lines = vec![leader];
        lines.extend(self.masters.lines());
        lines.extend([
            format!("Agents      {}", counts(&self.agents)),
            format!("Frameworks  {}", counts(&self.frameworks)),
            format!("Tasks       {}; ended: {}", counts(&running), counts(&ended)),
            String::new(),
        ]);
        let columns =
            [Column::Text("RESOURCE"), Column::Number("TOTAL"), Column::Number("IN USE"), Column::Number("OFFERED")];
        let rows = self.resources.iter().map(|(name, row)| {
            let shown = [row.total, row.allocated, row.offered].map(|value| amount(name, value));
            std::iter::once(name.clone()).chain(shown).collect()
        });
        lines.push(table::<String>(&columns, rows));
        lines.join("\n")
    }
}

fn address(master: &MasterInfo) -> String {
    let address = master.address.as_ref();
    let host = address.and_then(|it| it.ip.clone().or_else(|| it.hostname.clone()));
    let port = address.map_or(i64::from(master.port), |it| i64::from(it.port));
    format!("{}:{port}", host.or_else(|| master.hostname.clone()).unwrap_or_default())
}

fn agents_table(rows: &[AgentRow]) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Note("HOSTNAME"),
        Column::Text("ADDRESS"),
        Column::Text("STATE"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("TASKS"),
        Column::Number("SINCE"),
    ];
    let short = Short::of(rows.iter().map(|row| row.id.as_str()));
    table(
        &columns,
        rows.iter().map(|row| {
            vec![
                short.get(&row.id).into(),
                row.hostname.clone().into(),
                row.address.clone().unwrap_or_else(|| "-".to_owned()).into(),
                agent_state(row),
                used(&row.allocated, &row.total, "cpus").into(),
                used(&row.allocated, &row.total, "mem").into(),
                row.tasks.to_string().into(),
                age(row.registered_at).into(),
            ]
        }),
    )
}

/// Whole ids, and what else there is to know. `isolation` is by agent's id.
fn wide_agents_table(rows: &[AgentRow], isolation: &BTreeMap<String, Isolation>) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Text("HOSTNAME"),
        Column::Text("ADDRESS"),
        Column::Text("STATE"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("DISK"),
        Column::Number("TASKS"),
        Column::Number("SINCE"),
        Column::Text("VERSION"),
        Column::Text("ENFORCES"),
        Column::Text("ATTRIBUTES"),
    ];
    table(
        &columns,
        rows.iter().map(|row| {
            let attributes: Vec<String> =
                row.attributes.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            let dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
            vec![
                row.id.clone().into(),
                row.hostname.clone().into(),
                dash(row.address.as_ref()).into(),
                agent_state(row),
                used(&row.allocated, &row.total, "cpus").into(),
                used(&row.allocated, &row.total, "mem").into(),
                used(&row.allocated, &row.total, "disk").into(),
                row.tasks.to_string().into(),
                age(row.registered_at).into(),
                dash(row.version.as_ref()).into(),
                isolation.get(&row.id).map_or_else(|| "-".to_owned(), Isolation::short).into(),
                attributes.join(";").into(),
            ]
        }),
    )
}

fn agent_state(row: &AgentRow) -> Cell {
    Cell::alarming_if(matches!(row.state, "inactive" | "recovered"), row.state)
}

fn frameworks_table(rows: &[FrameworkRow], wide: bool) -> String {
    if rows.is_empty() {
        return "No frameworks. `meseta run COMMAND` is one; --all shows those that ended".to_owned();
    }
    let mut columns = vec![
        Column::Text("ID"),
        Column::Note("NAME"),
        Column::Text("USER"),
        Column::Note("ROLES"),
        Column::Text("STATE"),
        Column::Number("TASKS"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("SINCE"),
    ];
    if wide {
        columns.extend([Column::Number("OFFERED CPUS"), Column::Number("OFFERED MEM"), Column::Text("PRINCIPAL")]);
    }
    let short = Short::of(rows.iter().map(|row| row.id.as_str()));
    table(
        &columns,
        rows.iter().map(|row| {
            let amount_of = |amounts: &Amounts, name: &str| Cell::from(amount(name, of(amounts, name)));
            let mut cells: Vec<Cell> = vec![
                if wide { row.id.as_str() } else { short.get(&row.id) }.into(),
                row.name.clone().into(),
                row.user.clone().into(),
                row.roles.join(",").into(),
                Cell::alarming_if(row.state == "disconnected", row.state),
                row.tasks.to_string().into(),
                amount_of(&row.allocated, "cpus"),
                amount_of(&row.allocated, "mem"),
                age(row.registered_at).into(),
            ];
            if wide {
                cells.extend([amount_of(&row.offered, "cpus"), amount_of(&row.offered, "mem")]);
                cells.push(row.principal.clone().unwrap_or_else(|| "-".to_owned()).into());
            }
            cells
        }),
    )
}

fn tasks_table(rows: &[TaskRow], wide: bool) -> String {
    let mut columns = vec![
        Column::Text("ID"),
        Column::Text("STATE"),
        Column::Note("FRAMEWORK"),
        Column::Note("AGENT"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("SINCE"),
        Column::Note("MESSAGE"),
    ];
    if wide {
        columns.extend(["NAME", "REASON", "FRAMEWORK ID", "AGENT ID"].map(Column::Text));
    }
    let short = Short::of_tasks(rows.iter().map(|row| row.id.as_str()));
    table(
        &columns,
        rows.iter().map(|row| {
            let finished = row.state == TaskState::TaskFinished.as_str_name();
            let unhealthy = row.healthy == Some(false) && row.state == TaskState::TaskRunning.as_str_name();
            let state = if unhealthy { "unhealthy".to_owned() } else { short_state(row.state) };
            let mut cells: Vec<Cell> = vec![
                if wide { row.id.as_str() } else { short.get(&row.id) }.into(),
                Cell::alarming_if(unhealthy || is_failure(row.state), state),
                row.framework.clone().unwrap_or_else(|| row.framework_id.clone()).into(),
                row.hostname.clone().unwrap_or_else(|| row.agent_id.clone()).into(),
                number(of(&row.resources, "cpus")).into(),
                amount("mem", of(&row.resources, "mem")).into(),
                age(row.updated_at).into(),
                row.message.clone().filter(|_| !finished).unwrap_or_default().into(),
            ];
            if wide {
                let reason = row.reason.map_or("-", |reason| reason.trim_start_matches("REASON_"));
                cells.extend([row.name.as_str(), reason, &row.framework_id, &row.agent_id].map(Cell::from));
            }
            cells
        }),
    )
}

/// Whether a task in this state ended, or is, as nobody wanted.
fn is_failure(state: &str) -> bool {
    use TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskGone, TaskGoneByOperator, TaskLost, TaskUnknown, TaskUnreachable,
    };
    let bad =
        [TaskFailed, TaskError, TaskLost, TaskDropped, TaskGone, TaskGoneByOperator, TaskUnknown, TaskUnreachable];
    TaskState::from_str_name(state).is_some_and(|state| bad.contains(&state))
}

fn of(amounts: &Amounts, name: &str) -> f64 {
    amounts.get(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0)
}

/// "0.5/4", "128 MiB/6.9 GiB".
fn used(used: &Amounts, total: &Amounts, name: &str) -> String {
    format!("{}/{}", amount(name, of(used, name)), amount(name, of(total, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cluster_says_what_to_do() {
        assert!(frameworks_table(&[], false).contains("meseta run"));
        let status = Status::new(&Cluster::default(), MasterInfo::default(), None);
        assert!(status.text().contains("Agents      none"), "{}", status.text());
    }
}
