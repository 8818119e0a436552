//! `meseta what-if`: how a cluster would share its resources with other weights, quotas or agents. It reads documents
//! and writes reports; the replaying is the `what_if` crate's.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ::what_if::{Change, Comparison, Demand, Scenario, read_roles, read_state};
use allocator::AllocatorConfig;
use stdx::units::parse_duration;

use crate::{
    connect::{self, Connect},
    output::Format,
    work::{self, ReportFiles, Work},
};

/// Replays a cluster or a trace of work with and without a change, and shows who gets what.
///
/// The cluster is the running one (--master), a recorded one (--state, --roles), or --agents with a --trace or a --mix.
#[derive(clap::Args, Debug)]
pub struct WhatIfArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    files: ReportFiles,
    #[command(flatten)]
    work: Work,
    /// A recorded cluster: what a master of Meseta or Apache Mesos answered to GET /state.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trace", "mix", "agents"])]
    state: Option<PathBuf>,
    /// Its weights and quotas: what the master answered to GET /roles.
    #[arg(long, value_name = "FILE")]
    roles: Option<PathBuf>,
    /// Of a cluster: how long its tasks run in the mean, before they end and are wanted again.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5mins")]
    task_duration: Duration,
    /// Of a cluster: a framework wants more than it holds: FRAMEWORK=unlimited, FRAMEWORK=N or FRAMEWORK=N:RESOURCES.
    #[arg(long, value_name = "FRAMEWORK=MORE")]
    demand: Vec<Demand>,
    /// Of a cluster: all frameworks want as much as there is.
    #[arg(long)]
    unlimited: bool,
    /// Ends the replay at this time; a --mix ends at its horizon, a cluster after twelve times --task-duration.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    until: Option<Duration>,
    /// Shares as Apache Mesos does where Meseta differs.
    #[arg(long)]
    mesos_rules: bool,
    #[command(flatten)]
    changes: Changes,
}

/// What is different.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Changes")]
struct Changes {
    /// A role's weight.
    #[arg(long, value_name = "ROLE=WEIGHT", value_parser = Change::weight)]
    weight: Vec<Change>,
    /// What a role is guaranteed, such as 'web=cpus:8;mem:16384'; 'web=none' for nothing.
    #[arg(long, value_name = "ROLE=RESOURCES", value_parser = Change::guarantee)]
    guarantee: Vec<Change>,
    /// What a role may have at most; 'web=none' for no limit.
    #[arg(long, value_name = "ROLE=RESOURCES", value_parser = Change::limit)]
    limit: Vec<Change>,
    /// Guarantee and limit at once.
    #[arg(long, value_name = "ROLE=RESOURCES", value_parser = Change::quota)]
    quota: Vec<[Change; 2]>,
    /// Resource groups in place of those there are: a file as the master's --resource_groups has it.
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// More agents, N:RESOURCES.
    #[arg(long, value_name = "N:RESOURCES", value_parser = Change::add_agents)]
    add_agents: Vec<Change>,
    /// Without this agent, by its id or hostname.
    #[arg(long, value_name = "AGENT")]
    remove_agent: Vec<String>,
}

impl Changes {
    fn list(&self) -> Result<Vec<Change>, String> {
        let lists = [&self.weight, &self.guarantee, &self.limit, &self.add_agents];
        let mut all: Vec<Change> = lists.into_iter().flatten().cloned().collect();
        all.extend(self.quota.iter().flatten().cloned());
        all.extend(self.remove_agent.iter().cloned().map(Change::RemoveAgent));
        if let Some(path) = &self.groups {
            let groups = Change::groups(&path.display().to_string(), &work::read(path)?);
            all.push(groups.map_err(|error| error.to_string())?);
        }
        Ok(all)
    }
}

pub fn what_if(arguments: WhatIfArguments) -> ExitCode {
    connect::run(async {
        let scenario = scenario(&arguments).await?;
        let comparison = Comparison::new(&scenario, &arguments.changes.list()?, arguments.work.seed);
        let comparison = comparison.map_err(|error| error.to_string())?;
        arguments.format.print(&comparison, |comparison| {
            let about: [(&str, &[String]); 3] =
                [("Changes", &comparison.changes), ("Warnings", &comparison.warnings), ("Assumed", &comparison.notes)];
            work::text(&about, &comparison.named())
        })?;
        arguments.files.write(|| comparison.html(), &comparison.named())?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn scenario(arguments: &WhatIfArguments) -> Result<Scenario, String> {
    let mut scenario = match arguments.work.is_given() {
        true => {
            let (trace, fleet) = arguments.work.load()?;
            let mut scenario = Scenario::of_trace(&trace, &fleet);
            scenario.until = arguments.work.mix.map(|_| arguments.work.horizon);
            if let Some(path) = &arguments.roles {
                add_roles(path, &mut scenario)?;
            }
            scenario
        }
        false => cluster(arguments).await?,
    };
    if arguments.until.is_some() {
        scenario.until = arguments.until;
        scenario.measured_from = scenario.measured_from.min(arguments.until.unwrap_or_default() / 3);
    }
    if arguments.mesos_rules {
        let own = std::mem::take(&mut scenario.config);
        scenario.config = AllocatorConfig {
            min_allocatable: own.min_allocatable,
            role_sorter: own.role_sorter,
            framework_sorter: own.framework_sorter,
            fair_sharing_excluded: own.fair_sharing_excluded,
            filter_gpu_resources: own.filter_gpu_resources,
            ..AllocatorConfig::mesos()
        };
    }
    Ok(scenario)
}

/// A recorded cluster, or the one that runs.
async fn cluster(arguments: &WhatIfArguments) -> Result<Scenario, String> {
    let (task, seed) = (arguments.task_duration, arguments.work.seed);
    if task.is_zero() {
        return Err("--task-duration: tasks must run for some time, such as 5mins".to_owned());
    }
    let read = |file: &str, text: &str| read_state(file, text, task, seed).map_err(|error| error.to_string());
    let mut scenario = match &arguments.state {
        Some(path) => read(&path.display().to_string(), &work::read(path)?)?,
        None => read(&format!("{}/state", arguments.connect.shown()), &fetch(&arguments.connect, "/state").await?)?,
    };
    match (&arguments.roles, &arguments.state) {
        (Some(path), _) => add_roles(path, &mut scenario)?,
        (None, None) => {
            let text = fetch(&arguments.connect, "/roles").await?;
            let file = format!("{}/roles", arguments.connect.shown());
            read_roles(&file, &text, &mut scenario).map_err(|error| error.to_string())?;
        }
        (None, Some(_)) => scenario.notes.push(
            "A /state document tells no weights and no quotas: all weights are 1 and there are no quotas, unless --roles \
             gives what the master answered to GET /roles."
                .to_owned(),
        ),
    }
    for demand in &arguments.demand {
        scenario.assume(demand, task).map_err(|error| format!("--demand {error}"))?;
    }
    if arguments.unlimited {
        scenario.assume_unlimited(task);
    }
    Ok(scenario)
}

fn add_roles(path: &Path, scenario: &mut Scenario) -> Result<(), String> {
    read_roles(&path.display().to_string(), &work::read(path)?, scenario).map_err(|error| error.to_string())
}

async fn fetch(connect: &Connect, path: &str) -> Result<String, String> {
    let answer = connect.client()?.get(path).await.map_err(|error| connect.explain(&error))?;
    String::from_utf8(answer.to_vec()).map_err(|_| format!("{}{path} is not text in UTF-8", connect.shown()))
}
