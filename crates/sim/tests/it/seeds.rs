//! Small runs, as far as an unoptimised build can take them: they pass, the same seed is the same run, and a failure is
//! reported as one. `cargo xtask sim` does the rest.

use sim::{
    experiment::{self, AgentKind, Experiment, Failures, Request, Workload},
    run::{Kind, Watch, run},
    scenario::{ExecutorStyle, Faults, FrameworkPlan, Scenario},
};
use std::{collections::BTreeMap, time::Duration};

fn small(seed: u64) -> Scenario {
    let mut scenario = Scenario::of_seed(seed, Some(4), Some(0.5));
    scenario.frameworks.truncate(3);
    scenario.warm_up_secs = 10.0;
    scenario
}

#[test]
fn small_seeds_pass() {
    for seed in 1..4 {
        let report = run(&small(seed), Watch::default());
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let hash = |seed| run(&small(seed), Watch::default()).hash;
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn a_cluster_without_faults_is_well() {
    let frameworks = vec![
        FrameworkPlan::default(),
        FrameworkPlan { executor: ExecutorStyle::Group, ..FrameworkPlan::default() },
        FrameworkPlan { executor: ExecutorStyle::Custom, ..FrameworkPlan::default() },
    ];
    let quiet = Scenario { fault_secs: 20.0, agent_disk_mb: 100.0, ..Scenario::default() };
    // Light agents know nothing but commands.
    let light = Scenario { light_agents: 2, ..quiet.clone() };
    for scenario in [Scenario { frameworks, ..quiet }, light] {
        assert_eq!(run(&scenario, Watch::default()).failure, None);
    }
}

#[test]
fn masters_lose_their_store_and_their_time_and_the_cluster_heals() {
    let faults = Faults {
        store_outage_every: 15.0,
        store_outage_secs: 12.0,
        store_full_every: 20.0,
        store_full_secs: 5.0,
        store_parted_every: 15.0,
        store_parted_secs: 12.0,
        pause_every: 10.0,
        pause_secs: 20.0,
        hand_over_every: 15.0,
        deposed_late_secs: 5.0,
        master_away_secs: 2.0,
        ..Faults::default()
    };
    for masters in [1, 3] {
        let scenario = Scenario { masters, faults: faults.clone(), fault_secs: 60.0, ..Scenario::default() };
        assert_eq!(run(&scenario, Watch::default()).failure, None, "{masters} masters");
    }
}

#[test]
fn a_cluster_that_cannot_heal_is_said_not_to() {
    // Nobody has the time to register.
    let faults = Faults { agent_crash_every: 5.0, agent_away_secs: 500.0, ..Faults::default() };
    let scenario = Scenario { faults, fault_secs: 20.0, heal_secs: 1.0, ..Scenario::default() };
    let failure = run(&scenario, Watch::default()).failure.unwrap();
    assert_eq!((failure.kind, failure.kind.exit_code()), (Kind::Liveness, 128));
}

#[test]
fn an_experiment_works_off_its_list() {
    let request = Request {
        arrival: Duration::from_secs(1),
        duration: Duration::from_secs(10),
        cpus: 1.0,
        mem_mb: 64.0,
        ..Request::default()
    };
    let workload = |name: &str| Workload { name: name.into(), role: name.into(), tasks: vec![request; 4] };
    let experiment = Experiment {
        seed: 1,
        agents: vec![AgentKind { count: 2, cpus: 2.0, mem_mb: 1024.0, ..AgentKind::default() }],
        workloads: vec![workload("a"), workload("b")],
        allocator: allocator::AllocatorConfig::default(),
        weights: BTreeMap::new(),
        quotas: Vec::new(),
        groups: Vec::new(),
        looks: Vec::new(),
        failures: Failures::default(),
        sample: Duration::from_secs(5),
        until: Duration::from_secs(600),
    };
    let outcome = experiment::run(&experiment, &mut |_| {}).unwrap();
    assert_eq!(outcome.tasks.len(), 8);
    assert!(outcome.tasks.iter().all(|task| task.ended.is_some() && task.attempts == 1));
    // Eight tasks of 10 s on four cpus take two rounds.
    assert!((20.0..30.0).contains(&outcome.makespan.as_secs_f64()), "{:?}", outcome.makespan);
    assert_eq!(outcome.trace_hash, experiment::run(&experiment, &mut |_| {}).unwrap().trace_hash);
}
