//! Large runs for figures: the experiment of the Mesos paper's section 6.5, and a cluster that only has to stay up.

use std::time::{Duration, Instant};

use stdx::{Rng, Tick};

use crate::{
    scenario::{FrameworkPlan, Scenario, Temper},
    scheduler::jobs::{Demand, Job, Jobs},
    world::World,
};

pub struct Paper {
    pub agents: u32,
    pub frameworks: u32,
    /// How many newcomers are measured, one after the other.
    pub probes: u32,
    /// Until the tasks' lengths have mixed.
    pub warm_up: Duration,
}

impl Default for Paper {
    fn default() -> Paper {
        Paper { agents: 50_000, frameworks: 200, probes: 20, warm_up: Duration::from_secs(90) }
    }
}

pub struct Outcome {
    /// From a newcomer's start to the report of its task's end, less the task's own ten seconds.
    pub delay_p50: Duration,
    /// Virtual time over real time, once the cluster is full.
    pub speedup: f64,
    pub launches_per_s: f64,
}

/// How long this thread has been on a processor: what a run costs, whatever else the machine does.
pub fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

const PROBE: Duration = Duration::from_secs(10);

pub fn run(paper: &Paper) -> Outcome {
    let plan = FrameworkPlan {
        temper: Temper::Steady,
        role: "*".into(),
        parallel: u32::MAX,
        cpus: 1.0,
        mem_mb: 1024.0,
        ..FrameworkPlan::default()
    };
    let scenario = Scenario {
        seed: 65,
        agents: 0,
        light_agents: paper.agents,
        agent_cpus: 2.0,
        agent_mem_mb: 2048.0,
        frameworks: vec![plan; paper.frameworks as usize],
        ..Scenario::default()
    };
    let mut world = World::new(scenario, None, false);
    world.pass(paper.warm_up);
    let (begun, from) = (Instant::now(), world.now());
    let finished = |world: &World| {
        let count =
            |core: &master_core::Master| core.view().counters.get(master_core::counters::Counter::TasksFinished);
        world.leader().map_or(0, count)
    };
    let before = finished(&world);
    let first = world.schedulers.len();
    for number in 0..paper.probes {
        let job = Job {
            arrival: world.now(),
            length: PROBE,
            demand: Demand { cpus: 1.0, mem_mb: 1024.0, ..Demand::default() },
            started: None,
            ended: None,
            attempts: 0,
        };
        let core = Jobs::new(&format!("probe {number}"), "*", vec![job], 0.0, Rng::new(u64::from(number)));
        world.add_scheduler(Box::new(core));
        world.pass(Duration::from_secs(2));
    }
    world.pass(PROBE + Duration::from_secs(5));
    let passed = world.now().since(from).as_secs_f64();
    let speedup = passed / begun.elapsed().as_secs_f64();
    let launches_per_s = (finished(&world) - before) as f64 / passed;
    let probes = world.schedulers[first..].iter().filter_map(|host| host.core.jobs());
    let mut delays: Vec<Duration> = probes
        .flat_map(|jobs| &jobs.all)
        .map(|job| job.ended.unwrap_or(Tick(u64::MAX)).since(job.arrival).saturating_sub(PROBE))
        .collect();
    delays.sort();
    let delay_p50 = delays.get(delays.len() / 2).copied().unwrap_or(Duration::MAX);
    Outcome { delay_p50, speedup, launches_per_s }
}

/// Lets a cluster be for a while: how many agents were not there at its end, and the steps it took.
pub fn idle(scenario: Scenario, time: Duration) -> (u32, u64) {
    let agents = scenario.all_agents();
    let mut world = World::new(scenario, None, false);
    world.pass(Duration::from_secs(60));
    world.pass(time);
    let there = world.leader().map_or(0, |core| core.view().agents.values().filter(|row| row.connected).count());
    (agents - there as u32, world.steps())
}
