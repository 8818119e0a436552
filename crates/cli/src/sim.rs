//! `meseta sim`: work on a simulated cluster: real masters and allocator, light agents, virtual time, and failures
//! where they are asked for. The engine is the `sim` crate's; here are its options, and its report.

use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use ::sim::experiment::{AgentKind, Experiment, Failures, Look, Outcome as Ran, Request, Usage, Workload, serving};
use ::what_if::{Change, Scenario};
use allocator::{AllocatorConfig, SorterKind, groups::DEFAULT};
use proto::{
    meseta::v1::{ResourceGroup, ResourceGroups},
    v1::{quota::QuotaConfig, value::Scalar},
};
use resources::{Name, Quantities, Quantity};
use serde::Serialize;
use stdx::units::parse_duration;
use workload::{Fleet, Outcome, Recorder, Trace, Uses};

use crate::{
    output::{Format, fail},
    progress::{Counts, Progress},
    work::{self, ReportFiles, Work},
};

/// Runs work on a simulated cluster and shows how it went: utilisation, fairness, waiting times, makespan.
///
/// The master and the allocator are the real ones; agents, frameworks, network and time are simulated. The same options
/// give the same result.
#[derive(clap::Args, Debug)]
pub struct SimArguments {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    files: ReportFiles,
    #[command(flatten)]
    work: Work,
    /// Ends the simulation at this time; without it, a --mix ends at its horizon and a --trace with its last task, or
    /// after ten times what it would take at the best.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    until: Option<Duration>,
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    failing: Failing,
}

/// How resources are shared.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Policy")]
struct Policy {
    /// Shares as Meseta does, or as Apache Mesos does where they differ.
    #[arg(long, value_name = "meseta|mesos", default_value = "meseta", value_parser = ["meseta", "mesos"])]
    policy: String,
    /// How roles, and frameworks within a role, take their turns.
    #[arg(long, value_name = "drf|random", default_value = "drf", value_parser = ["drf", "random"])]
    sorter: String,
    /// A role's weight.
    #[arg(long, value_name = "ROLE=WEIGHT", value_parser = Change::weight)]
    weight: Vec<Change>,
    /// What a role is guaranteed, such as 'web=cpus:8;mem:16384'.
    #[arg(long, value_name = "ROLE=RESOURCES", value_parser = Change::guarantee)]
    guarantee: Vec<Change>,
    /// What a role may have at most.
    #[arg(long, value_name = "ROLE=RESOURCES", value_parser = Change::limit)]
    limit: Vec<Change>,
    /// Resource groups: a file as the master's --resource_groups has it.
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
}

impl Policy {
    fn groups(&self) -> Result<Vec<ResourceGroup>, String> {
        let Some(path) = &self.groups else { return Ok(Vec::new()) };
        let text = work::read(path)?;
        let specs: Result<ResourceGroups, _> = proto::json::from_slice(text.as_bytes());
        specs.map(|specs| specs.groups).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What goes wrong.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Failures")]
struct Failing {
    /// The mean time between two failures of one agent; its tasks are lost and start again elsewhere.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    agent_mtbf: Option<Duration>,
    /// How long a failed agent is away, in the mean.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10mins")]
    agent_repair: Duration,
    /// The mean time between two failures of the master.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    master_mtbf: Option<Duration>,
    /// The chance that a task fails at its end and must run again.
    #[arg(long, value_name = "PART", default_value_t = 0.0, value_parser = chance)]
    failure_rate: f64,
}

fn chance(text: &str) -> Result<f64, String> {
    let chance = text.parse().ok().filter(|chance: &f64| (0.0..=0.9).contains(chance));
    chance.ok_or_else(|| "write a number such as 0.01, at most 0.9".to_owned())
}

/// What is printed and written.
#[derive(Debug, Serialize)]
struct Report {
    notes: Vec<String>,
    #[serde(flatten)]
    outcome: Outcome,
    engine: Engine,
}

#[derive(Debug, Serialize)]
struct Engine {
    steps: u64,
    /// The same for the same options.
    trace_hash: String,
    wall_secs: f64,
    /// Simulated seconds in one second.
    speedup: f64,
}

impl Report {
    fn named(&self) -> Vec<workload::Named<'_>> {
        vec![("result", &self.outcome)]
    }

    fn about(&self) -> [(&'static str, &[String]); 1] {
        [("Simulated", &self.notes)]
    }
}

pub fn sim(arguments: SimArguments) -> ExitCode {
    kernel::memory::prefer_huge_pages();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn run(arguments: &SimArguments) -> Result<(), String> {
    let (trace, fleet) = arguments.work.load()?;
    let (experiment, parties) = experiment(arguments, &trace, &fleet)?;
    let total = usize::try_from(trace.tasks()).unwrap_or(usize::MAX);
    let progress = Progress::new(!std::io::stderr().is_terminal(), total);
    let ran = ::sim::experiment::run(&experiment, &mut |sample| {
        let mut counts = Counts { total, ..Counts::default() };
        for framework in &sample.frameworks {
            counts.waiting += framework.pending as usize;
            counts.running += framework.running as usize;
            counts.finished += framework.finished as usize;
        }
        progress.show(counts.describe(), counts.ended());
    });
    progress.clear();
    let ran = ran?;
    let report = Report {
        notes: notes(arguments, &trace, &fleet, &ran),
        outcome: outcome(&experiment, &parties, &fleet, &ran),
        engine: Engine {
            steps: ran.steps,
            trace_hash: format!("{:016x}", ran.trace_hash),
            wall_secs: (ran.wall.as_secs_f64() * 1000.0).round() / 1000.0,
            speedup: (ended_at(&ran).as_secs_f64() / ran.wall.as_secs_f64().max(1e-3)).round(),
        },
    };
    arguments.format.print(&report, |report| work::text(&report.about(), &report.named()))?;
    arguments.files.write(|| workload::page("Simulation", &report.about(), &report.named()), &report.named())
}

/// A framework in a role, as the engine has one for each.
type Parties = Vec<(Arc<str>, Arc<str>)>;

fn experiment(arguments: &SimArguments, trace: &Trace, fleet: &Fleet) -> Result<(Experiment, Parties), String> {
    let policy = &arguments.policy;
    let mut allocator = match policy.policy.as_str() {
        "mesos" => AllocatorConfig::mesos(),
        _ => AllocatorConfig::default(),
    };
    let sorter = if policy.sorter == "random" { SorterKind::Random } else { SorterKind::Drf };
    (allocator.role_sorter, allocator.framework_sorter) = (sorter, sorter);
    let settings: Vec<Change> =
        [&policy.weight, &policy.guarantee, &policy.limit].into_iter().flatten().cloned().collect();
    let settled = Change::apply(&settings, &Scenario::of_trace(trace, fleet)).map_err(|error| error.to_string())?;
    let quotas: Vec<QuotaConfig> = settled.quotas.iter().map(|(role, quota)| quota_config(role, quota)).collect();
    allocator::quota::check_tree(&settled.quotas).map_err(|error| error.to_string())?;
    let groups = policy.groups()?;
    let (workloads, parties) = workloads(trace);
    let until = arguments.until.unwrap_or_else(|| match arguments.work.mix {
        Some(_) => arguments.work.horizon,
        None => at_the_latest(trace, fleet),
    });
    if until.is_zero() {
        return Err("--until: the simulation must take some time, such as 1hrs".to_owned());
    }
    let failing = &arguments.failing;
    let experiment = Experiment {
        seed: arguments.work.seed,
        agents: kinds(fleet)?,
        workloads,
        allocator,
        weights: settled.weights,
        quotas,
        looks: if groups.is_empty() { Vec::new() } else { looks(fleet) },
        groups,
        failures: Failures {
            agent_mtbf: failing.agent_mtbf.filter(|mean| !mean.is_zero()),
            agent_repair: failing.agent_repair,
            master_mtbf: failing.master_mtbf.filter(|mean| !mean.is_zero()),
            task_failure: failing.failure_rate,
        },
        sample: (until / 600).max(Duration::from_millis(100)),
        until,
    };
    Ok((experiment, parties))
}

/// The engine has one framework for each role that a framework of the trace is in.
fn workloads(trace: &Trace) -> (Vec<Workload>, Parties) {
    let mut numbers: BTreeMap<(Arc<str>, Arc<str>), usize> = BTreeMap::new();
    let mut workloads: Vec<Workload> = Vec::new();
    let mut parties = Parties::new();
    for job in &trace.jobs {
        let party = (job.role.clone(), job.framework.clone());
        let number = *numbers.entry(party.clone()).or_insert_with(|| {
            let name = format!("{}-{}", job.framework, parties.len() + 1);
            workloads.push(Workload { name, role: job.role.to_string(), tasks: Vec::new() });
            parties.push(party);
            parties.len() - 1
        });
        let amount = |name| job.demand.named(name).as_f64();
        let request = Request {
            arrival: job.arrival,
            duration: job.duration,
            cpus: amount("cpus"),
            mem_mb: amount("mem"),
            disk_mb: amount("disk"),
            gpus: amount("gpus"),
        };
        if let Some(workload) = workloads.get_mut(number) {
            workload.tasks.extend(std::iter::repeat_n(request, job.count as usize));
        }
    }
    (workloads, parties)
}

/// Light agents have amounts of the four standard resources and nothing else.
fn kinds(fleet: &Fleet) -> Result<Vec<AgentKind>, String> {
    let mut kinds: Vec<AgentKind> = Vec::new();
    for agent in &fleet.agents {
        let plain = agent.resources.iter().all(|resource| resource.is_unreserved() && !resource.is_revocable());
        if !plain {
            return Err(format!(
                "--agents: {} has reserved resources ({}); the simulation knows unreserved ones only",
                agent.hostname, agent.resources
            ));
        }
        let amounts = agent.resources.scalar_quantities();
        let amount = |name| amounts.named(name).as_f64();
        let kind = AgentKind {
            count: 1,
            cpus: amount("cpus"),
            mem_mb: amount("mem"),
            disk_mb: amount("disk"),
            gpus: amount("gpus"),
        };
        match kinds.last_mut() {
            Some(last) if AgentKind { count: 1, ..*last } == kind => last.count += 1,
            _ => kinds.push(kind),
        }
    }
    Ok(kinds)
}

/// What groups select agents by.
fn looks(fleet: &Fleet) -> Vec<Look> {
    let look = |agent: &workload::Agent| Look {
        hostname: agent.hostname.clone(),
        attributes: agent.attributes.clone().into(),
        domain: agent.domain.clone(),
    };
    fleet.agents.iter().map(look).collect()
}

/// The resource group of each role; nothing where there are none.
fn groups_of_roles(groups: &[ResourceGroup], parties: &Parties) -> BTreeMap<Arc<str>, String> {
    let of = |role: &Arc<str>| {
        let group = serving(groups.iter(), role).map_or(DEFAULT, |group| &group.name);
        (role.clone(), group.to_owned())
    };
    parties.iter().filter(|_| !groups.is_empty()).map(|(role, _)| of(role)).collect()
}

/// How many units each group held, as the samples saw it.
fn count_units(outcome: &mut Outcome, ran: &Ran) {
    for group in &mut outcome.groups {
        let held: Vec<f64> = ran
            .samples
            .iter()
            .filter_map(|sample| sample.groups.get(&group.group))
            .map(|units| *units as f64)
            .collect();
        if !held.is_empty() {
            let mean = held.iter().sum::<f64>() / held.len() as f64;
            let peak = held.iter().copied().fold(0.0, f64::max);
            group.units = Some(Uses { mean: (mean * 1000.0).round() / 1000.0, peak });
        }
    }
}

fn quota_config(role: &str, quota: &allocator::Quota) -> QuotaConfig {
    let scalar = |amount: Quantity| Scalar { value: amount.as_f64() };
    QuotaConfig {
        role: role.to_owned(),
        guarantees: quota.guarantees.iter().map(|(name, amount)| (name.to_string(), scalar(amount))).collect(),
        limits: quota.limits.iter().map(|(name, amount)| (name.to_string(), scalar(amount))).collect(),
    }
}

/// Ten times what the work would take if nothing were ever idle.
fn at_the_latest(trace: &Trace, fleet: &Fleet) -> Duration {
    let capacity = fleet.total().scalar_quantities();
    let mut work: BTreeMap<Name, f64> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for job in &trace.jobs {
        longest = longest.max(job.duration);
        for (name, amount) in job.demand.iter() {
            *work.entry(name.clone()).or_default() +=
                amount.as_f64() * f64::from(job.count) * job.duration.as_secs_f64();
        }
    }
    let busy = work.iter().map(|(name, work)| work / capacity.get(name).as_f64().max(1e-3)).fold(0.0, f64::max);
    (trace.end() + longest + Duration::from_secs_f64(busy.min(1e8))) * 10
}

/// When the last sample was taken.
fn ended_at(ran: &Ran) -> Duration {
    ran.samples.last().map(|sample| sample.at).unwrap_or_default()
}

enum What {
    Arrived,
    Started(Duration),
    Ended,
    Capacity(Quantities),
}

/// Tells the recorder everything in the order in which it happened.
fn outcome(experiment: &Experiment, parties: &Parties, fleet: &Fleet, ran: &Ran) -> Outcome {
    let mut recorder = Recorder::new(fleet.total().scalar_quantities())
        .weights(experiment.weights.clone())
        .groups(groups_of_roles(&experiment.groups, parties));
    let numbers: Vec<_> = parties.iter().map(|(role, framework)| recorder.party(role, framework)).collect();
    let mut events: Vec<(Duration, u8, usize, What)> = Vec::with_capacity(ran.tasks.len() * 3);
    for (at, task) in ran.tasks.iter().enumerate() {
        events.push((task.arrival, 1, at, What::Arrived));
        if let Some(started) = task.started {
            let started = started.max(task.arrival);
            events.push((started, 2, at, What::Started(started - task.arrival)));
            events.extend(task.ended.map(|ended| (ended.max(started), 3, at, What::Ended)));
        }
    }
    let mut capacity = None;
    // What the master sees is what is up, but for the moments after its own failures.
    for sample in ran.samples.iter().filter(|_| experiment.failures.master_mtbf.is_none()) {
        let total = quantities(&sample.total);
        if capacity.as_ref() != Some(&total) && !total.is_empty() {
            events.push((sample.at, 0, 0, What::Capacity(total.clone())));
            capacity = Some(total);
        }
    }
    let end = ended_at(ran);
    // A task's end is told before another starts in its place at the same moment.
    events.sort_by_key(|(when, kind, at, _)| (*when, *kind != 3, *kind, *at));
    let demand = |workload: usize, request: usize| {
        let request = experiment.workloads.get(workload).and_then(|workload| workload.tasks.get(request));
        request.map(|request| {
            let (cpus, mem_mb, disk_mb, gpus) = (request.cpus, request.mem_mb, request.disk_mb, request.gpus);
            quantities(&Usage { cpus, mem_mb, disk_mb, gpus })
        })
    };
    for (when, _, at, what) in events.into_iter().filter(|(when, ..)| *when <= end) {
        if let What::Capacity(total) = what {
            recorder.capacity(when, total);
            continue;
        }
        let Some(task) = ran.tasks.get(at) else { continue };
        let (Some(party), Some(demand)) = (numbers.get(task.workload), demand(task.workload, task.request)) else {
            continue;
        };
        match what {
            What::Arrived => {
                recorder.arrived(when, *party, &demand, 1);
                recorder.retried(*party, u64::from(task.attempts.saturating_sub(1)));
            }
            What::Started(waited) => recorder.started(when, *party, &demand, waited),
            What::Ended => recorder.ended(when, *party, &demand),
            What::Capacity(_) => {}
        }
    }
    let mut outcome = recorder.finish(end);
    count_units(&mut outcome, ran);
    outcome
}

fn quantities(usage: &Usage) -> Quantities {
    let amounts = [("cpus", usage.cpus), ("mem", usage.mem_mb), ("disk", usage.disk_mb), ("gpus", usage.gpus)];
    amounts.into_iter().map(|(name, amount)| (Name::from(name), Quantity::from_f64(amount))).collect()
}

fn notes(arguments: &SimArguments, trace: &Trace, fleet: &Fleet, ran: &Ran) -> Vec<String> {
    let number = |count: u64| charts::number(count as f64);
    let mut notes = vec![
        format!(
            "{} agents ({} together), {} tasks in {} jobs, seed {}.",
            number(fleet.agents.len() as u64),
            fleet.total().scalar_quantities(),
            number(trace.tasks()),
            number(trace.jobs.len() as u64),
            arguments.work.seed
        ),
        format!(
            "{} of virtual time in {:.1} s, {} steps.",
            charts::number(ended_at(ran).as_secs_f64()) + " s",
            ran.wall.as_secs_f64(),
            number(ran.steps)
        ),
    ];
    if ran.tasks.iter().any(|task| task.attempts > 1) {
        notes.push(
            "Of a task that ran several times the last attempt counts as its start; what the others used is not in the \
             utilisation."
                .to_owned(),
        );
    }
    if let Some(least) = ran.samples.iter().map(|sample| sample.agents_up).min()
        && (least as usize) < fleet.agents.len()
    {
        let least = number(u64::from(least));
        notes.push(match arguments.failing.master_mtbf {
            Some(_) => {
                format!("At the worst moment {least} agents were registered with a master; none are while it is away.")
            }
            None => format!("At the worst moment {least} agents were up."),
        });
    }
    notes
}
