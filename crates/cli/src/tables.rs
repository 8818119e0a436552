//! `meseta status`, `agents`, `frameworks`, `tasks`: what a cluster is and does at this moment. `cluster` makes the rows.

use std::{collections::BTreeMap, process::ExitCode};

use model::task_state::is_terminal;
use proto::v1::{MasterInfo, TaskState};
use serde::Serialize;

use crate::{
    cluster::{AgentRow, Amounts, Cluster, FrameworkRow, TaskRow, short_state},
    connect::{self, Connect},
    masters::{self, Masters},
    operate,
    output::{Column, Format, age, table},
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
    /// Only the tasks of this framework; the beginning of its id or its name suffices.
    #[arg(long, value_name = "ID")]
    framework: Option<String>,
}

pub fn agents(arguments: AgentsArguments) -> ExitCode {
    connect::run(async {
        match arguments.verb {
            Some(verb) => operate::agents::agents(verb).await,
            None => print_agents(fetch(&arguments.connect).await?.agent_rows(), arguments.format, NO_AGENTS),
        }
    })
}

const NO_AGENTS: &str = "No agents. Start one with `meseta agent --master=HOST:PORT --work_dir=DIRECTORY`";

/// `none` stands in place of an empty table.
pub fn print_agents(rows: Vec<AgentRow>, format: Format, none: &str) -> Result<ExitCode, String> {
    format.print(&Named { agents: Some(rows), ..Named::default() }, |named| match named.agents.as_deref() {
        Some([]) | None => none.to_owned(),
        Some(rows) => agents_table(rows),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub fn frameworks(arguments: FrameworksArguments) -> ExitCode {
    connect::run(async {
        let rows = fetch(&arguments.connect).await?.framework_rows(arguments.all);
        arguments.format.print(&Named { frameworks: Some(rows), ..Named::default() }, |named| {
            frameworks_table(named.frameworks.as_deref().unwrap_or_default())
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

pub fn tasks(arguments: TasksArguments) -> ExitCode {
    connect::run(async {
        let mut rows = fetch(&arguments.connect).await?.task_rows(arguments.all);
        if let Some(wanted) = &arguments.framework {
            rows.retain(|row| row.framework_id.starts_with(wanted) || row.framework.as_ref() == Some(wanted));
        }
        arguments.format.print(&Named { tasks: Some(rows), ..Named::default() }, |named| {
            tasks_table(named.tasks.as_deref().unwrap_or_default())
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

pub fn status(arguments: StatusArguments) -> ExitCode {
    connect::run(async {
        let client = arguments.connect.client()?;
        let explain = |error| arguments.connect.explain(&error);
        let master = client.get_master().await.map_err(explain)?;
        let cluster = Cluster::from(client.get_state().await.map_err(explain)?);
        let status = Status::new(&cluster, master.master_info.unwrap_or_default(), master.elected_time);
        let status = Status { masters: masters::ask(&client).await, ..status };
        arguments.format.print(&status, Status::text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// All a master knows, at one moment.
pub async fn fetch(connect: &Connect) -> Result<Cluster, String> {
    let state = connect.client()?.get_state().await;
    Ok(Cluster::from(state.map_err(|error| connect.explain(&error))?))
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
    /// By Mesos's names of states; of those that ended, what the master remembers.
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
            tasks: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        for row in cluster.agent_rows() {
            *status.agents.entry(row.state).or_default() += 1;
        }
        for row in cluster.framework_rows(true) {
            *status.frameworks.entry(row.state).or_default() += 1;
        }
        for task in cluster.tasks() {
            *status.tasks.entry(task.state().as_str_name()).or_default() += 1;
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
        let rows = self
            .resources
            .iter()
            .map(|(name, row)| vec![name.clone(), number(row.total), number(row.allocated), number(row.offered)]);
        lines.push(table(&columns, rows));
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
        Column::Text("HOSTNAME"),
        Column::Text("ADDRESS"),
        Column::Text("STATE"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("TASKS"),
        Column::Number("SINCE"),
    ];
    table(
        &columns,
        rows.iter().map(|row| {
            vec![
                row.id.clone(),
                row.hostname.clone(),
                row.address.clone().unwrap_or_else(|| "-".to_owned()),
                row.state.to_owned(),
                used(&row.allocated, &row.total, "cpus"),
                used(&row.allocated, &row.total, "mem"),
                row.tasks.to_string(),
                age(row.registered_at),
            ]
        }),
    )
}

fn frameworks_table(rows: &[FrameworkRow]) -> String {
    if rows.is_empty() {
        return "No frameworks. `meseta run COMMAND` is one; --all shows those that ended".to_owned();
    }
    let columns = [
        Column::Text("ID"),
        Column::Text("NAME"),
        Column::Text("USER"),
        Column::Text("ROLES"),
        Column::Text("STATE"),
        Column::Number("TASKS"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("SINCE"),
    ];
    table(
        &columns,
        rows.iter().map(|row| {
            vec![
                row.id.clone(),
                row.name.clone(),
                row.user.clone(),
                row.roles.join(","),
                row.state.to_owned(),
                row.tasks.to_string(),
                number(amount(&row.allocated, "cpus")),
                number(amount(&row.allocated, "mem")),
                age(row.registered_at),
            ]
        }),
    )
}

fn tasks_table(rows: &[TaskRow]) -> String {
    if rows.is_empty() {
        return "No tasks. --all shows those that ended".to_owned();
    }
    let columns = [
        Column::Text("ID"),
        Column::Text("STATE"),
        Column::Text("FRAMEWORK"),
        Column::Text("AGENT"),
        Column::Number("CPUS"),
        Column::Number("MEM"),
        Column::Number("SINCE"),
        Column::Text("MESSAGE"),
    ];
    table(
        &columns,
        rows.iter().map(|row| {
            vec![
                row.id.clone(),
                short_state(row.state),
                row.framework.clone().unwrap_or_else(|| row.framework_id.clone()),
                row.hostname.clone().unwrap_or_else(|| row.agent_id.clone()),
                number(amount(&row.resources, "cpus")),
                number(amount(&row.resources, "mem")),
                age(row.updated_at),
                row.message.clone().filter(|_| row.state != TaskState::TaskFinished.as_str_name()).unwrap_or_default(),
            ]
        }),
    )
}

fn amount(amounts: &Amounts, name: &str) -> f64 {
    amounts.get(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0)
}

fn used(used: &Amounts, total: &Amounts, name: &str) -> String {
    format!("{} of {}", number(amount(used, name)), number(amount(total, name)))
}

/// Three decimals at most, as Mesos counts.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_more_digits_than_they_need() {
        for (value, text) in [(4.0, "4"), (0.5, "0.5"), (1024.125, "1024.125"), (0.0, "0"), (100.0, "100")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_empty_cluster_says_what_to_do() {
        assert!(frameworks_table(&[]).contains("meseta run"));
        let status = Status::new(&Cluster::default(), MasterInfo::default(), None);
        assert!(status.text().contains("Agents      none"), "{}", status.text());
    }
}
