//! The engine for users: a cluster of some size, lists of tasks, a policy, failures; out come samples over time and
//! what became of every task. Light agents, the real master and allocator, no checkers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use allocator::{AllocatorConfig, ConstraintLimits, Group, GroupError};
use proto::{meseta::v1::ResourceGroup, v1::quota::QuotaConfig};
use resources::Resources;
use stdx::{Rng, Tick};

pub use crate::{
    scenario::{AgentKind, serving},
    scheduler::jobs::Demand as Usage,
    world::Look,
};
use crate::{
    scenario::{Faults, Scenario},
    scheduler::jobs::{Job, Jobs},
    world::World,
};

#[derive(Clone, Debug)]
pub struct Experiment {
    pub seed: u64,
    pub agents: Vec<AgentKind>,
    /// One framework each.
    pub workloads: Vec<Workload>,
    /// The policy.
    pub allocator: AllocatorConfig,
    pub weights: BTreeMap<String, f64>,
    pub quotas: Vec<QuotaConfig>,
    pub groups: Vec<ResourceGroup>,
    /// What groups select agents by, in the agents' order; empty where nothing tells them apart.
    pub looks: Vec<Look>,
    pub failures: Failures,
    /// The distance of the samples.
    pub sample: Duration,
    /// The end at the latest; it comes earlier when all tasks are done.
    pub until: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct Workload {
    pub name: String,
    pub role: String,
    pub tasks: Vec<Request>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    pub arrival: Duration,
    pub duration: Duration,
    pub cpus: f64,
    pub mem_mb: f64,
    pub disk_mb: f64,
    pub gpus: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Failures {
    /// The mean time between two failures of one agent; its tasks are lost then.
    pub agent_mtbf: Option<Duration>,
    /// How long a failed agent is away, on average.
    pub agent_repair: Duration,
    pub master_mtbf: Option<Duration>,
    /// The chance that a task fails at its end.
    pub task_failure: f64,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub samples: Vec<Sample>,
    /// In the order of the workloads and their requests.
    pub tasks: Vec<TaskOutcome>,
    /// From the first arrival to the last end.
    pub makespan: Duration,
    pub trace_hash: u64,
    /// How many steps the world took, and how long that was in real time.
    pub steps: u64,
    pub wall: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub at: Duration,
    pub agents_up: u32,
    pub total: Usage,
    pub used: Usage,
    pub offered: Usage,
    /// In the order of the workloads.
    pub frameworks: Vec<FrameworkSample>,
    /// How many units each resource group holds, by name.
    pub groups: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameworkSample {
    pub used: Usage,
    pub pending: u32,
    pub running: u32,
    pub finished: u32,
    pub dominant_share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskOutcome {
    pub workload: usize,
    pub request: usize,
    pub arrival: Duration,
    /// Of the attempt that ended well, or that runs; the waiting time is what lies between.
    pub started: Option<Duration>,
    pub ended: Option<Duration>,
    pub attempts: u32,
}

/// Arrivals count from here: the agents have registered by then.
const BEGIN: Duration = Duration::from_secs(30);

/// Runs an experiment. The same one comes out the same. `on_sample` hears of each sample as it is taken.
pub fn run(experiment: &Experiment, on_sample: &mut dyn FnMut(&Sample)) -> Result<Outcome, String> {
    check(experiment)?;
    let begun = Instant::now();
    let mut world = World::new(scenario(experiment), None, false);
    world.policy = Some(experiment.allocator.clone());
    let mut registry = world.service.registry().clone();
    registry.weights.clone_from(&experiment.weights);
    for quota in &experiment.quotas {
        registry.quotas.insert(quota.role.clone(), quota.clone());
    }
    for group in &experiment.groups {
        let operation = registry::Operation::SetGroup(Box::new(group.clone()));
        registry::apply(&mut registry, &operation).map_err(|refusal| refusal.to_string())?;
    }
    world.service.edit(|former| *former = registry);
    world.looks.clone_from(&experiment.looks);
    let mut rng = Rng::new(experiment.seed ^ 0x0e0e);
    for workload in &experiment.workloads {
        let jobs = workload.tasks.iter().map(job).collect();
        let rng = rng.fork(&workload.name);
        let core = Jobs::new(&workload.name, &workload.role, jobs, experiment.failures.task_failure, rng);
        world.add_scheduler(Box::new(core));
    }
    world.pass(BEGIN);
    world.begin_faults();
    let mut samples = Vec::new();
    let mut at = Duration::ZERO;
    while at < experiment.until && !samples_done(&world) {
        let step = experiment.sample.min(experiment.until - at).max(Duration::from_millis(1));
        world.pass(step);
        at += step;
        let sample = take_sample(&world, at);
        on_sample(&sample);
        samples.push(sample);
    }
    Ok(conclude(experiment, &world, samples, begun.elapsed()))
}

fn check(experiment: &Experiment) -> Result<(), String> {
    if experiment.agents.iter().all(|kind| kind.count == 0) {
        return Err("a cluster needs at least one agent".into());
    }
    if experiment.workloads.is_empty() {
        return Err("there is nothing to run: give at least one workload".into());
    }
    if experiment.sample.is_zero() {
        return Err("the distance of the samples must be more than nothing".into());
    }
    check_groups(&experiment.groups).map_err(|why| why.to_string())
}

fn check_groups(specs: &[ResourceGroup]) -> Result<(), GroupError> {
    let mut groups = BTreeMap::new();
    for spec in specs {
        let group = Group::compile(spec, ConstraintLimits::default())?;
        if groups.insert(group.name.clone(), group).is_some() {
            return Err(GroupError::Twice { name: spec.name.clone() });
        }
    }
    allocator::groups::check_together(&groups, None)
}

fn scenario(experiment: &Experiment) -> Scenario {
    let failures = &experiment.failures;
    let agents: u32 = experiment.agents.iter().map(|kind| kind.count).sum();
    let every = |mean: Option<Duration>, of: u32| mean.map_or(0.0, |mean| mean.as_secs_f64() / f64::from(of.max(1)));
    let faults = Faults {
        agent_crash_every: every(failures.agent_mtbf, agents),
        agent_away_secs: failures.agent_repair.as_secs_f64() * 2.0,
        master_crash_every: every(failures.master_mtbf, 1),
        master_away_secs: 5.0,
        ..Faults::default()
    };
    let fleet = experiment.agents.clone();
    Scenario {
        seed: experiment.seed,
        agents: 0,
        light_agents: agents,
        fleet,
        faults,
        frameworks: Vec::new(),
        ..Scenario::default()
    }
}

fn job(request: &Request) -> Job {
    Job {
        arrival: Tick::ZERO + BEGIN + request.arrival,
        length: request.duration,
        demand: Usage { cpus: request.cpus, mem_mb: request.mem_mb, disk_mb: request.disk_mb, gpus: request.gpus },
        started: None,
        ended: None,
        attempts: 0,
    }
}

fn jobs(world: &World) -> impl Iterator<Item = &Jobs> {
    world.schedulers.iter().filter_map(|host| host.core.jobs())
}

fn samples_done(world: &World) -> bool {
    jobs(world).all(Jobs::is_done)
}

fn take_sample(world: &World, at: Duration) -> Sample {
    let mut sample = Sample { at, ..Sample::default() };
    if let Some(leader) = world.leader() {
        let state = leader.view();
        sample.agents_up = state.agents.values().filter(|agent| agent.is_active()).count() as u32;
        for agent in state.agents.values().filter(|agent| agent.is_active()) {
            add(&mut sample.total, &usage(&agent.total));
        }
        for offer in state.offers.values() {
            add(&mut sample.offered, &usage(&offer.resources));
        }
        let standings = leader.allocator().group_standings();
        sample.groups = standings.into_iter().map(|group| (group.name.to_string(), group.held_units)).collect();
    }
    for jobs in jobs(world) {
        let used = jobs.used();
        add(&mut sample.used, &used);
        let (pending, running, finished) = jobs.counts();
        let dominant_share = dominant(&used, &sample.total);
        sample.frameworks.push(FrameworkSample { used, pending, running, finished, dominant_share });
    }
    sample
}

fn usage(resources: &Resources) -> Usage {
    let amount = |quantity: Option<resources::Quantity>| quantity.map_or(0.0, |quantity| quantity.as_f64());
    Usage {
        cpus: amount(resources.cpus()),
        mem_mb: amount(resources.mem()),
        disk_mb: amount(resources.disk()),
        gpus: amount(resources.gpus()),
    }
}

fn add(sum: &mut Usage, more: &Usage) {
    sum.cpus += more.cpus;
    sum.mem_mb += more.mem_mb;
    sum.disk_mb += more.disk_mb;
    sum.gpus += more.gpus;
}

fn dominant(used: &Usage, total: &Usage) -> f64 {
    let pairs =
        [(used.cpus, total.cpus), (used.mem_mb, total.mem_mb), (used.disk_mb, total.disk_mb), (used.gpus, total.gpus)];
    pairs.iter().filter(|(_, total)| *total > 0.0).map(|(used, total)| used / total).fold(0.0, f64::max)
}

fn conclude(experiment: &Experiment, world: &World, samples: Vec<Sample>, wall: Duration) -> Outcome {
    let origin = Tick::ZERO + BEGIN;
    let mut tasks = Vec::new();
    for (workload, jobs) in jobs(world).enumerate() {
        for (request, job) in jobs.all.iter().enumerate() {
            tasks.push(TaskOutcome {
                workload,
                request,
                arrival: job.arrival.since(origin),
                started: job.started.map(|at| at.since(origin)),
                ended: job.ended.map(|at| at.since(origin)),
                attempts: job.attempts,
            });
        }
    }
    let first = tasks.iter().map(|task| task.arrival).min().unwrap_or_default();
    let last = match tasks.iter().all(|task| task.ended.is_some()) {
        true => tasks.iter().filter_map(|task| task.ended).max().unwrap_or_default(),
        false => experiment.until,
    };
    let makespan = last.saturating_sub(first);
    Outcome { samples, tasks, makespan, trace_hash: world.hash(), steps: world.steps(), wall }
}
