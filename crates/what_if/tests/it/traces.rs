//! Traces on a fleet: what must come out is worked out by hand.

use std::time::Duration;

use what_if::{Change, Comparison, Scenario, replay};
use workload::{Fleet, Load, Mix, Outcome, Trace};

fn run(trace: &str, fleet: &str) -> Outcome {
    let scenario = Scenario::of_trace(&Trace::parse("t.csv", trace).unwrap(), &Fleet::of_spec(fleet).unwrap());
    replay(&scenario, 1).unwrap().outcome
}

#[test]
fn tasks_wait_for_room_and_no_longer() {
    let outcome = run("arrival,duration,count,cpus,mem\n0,10,3,1,100\n", "2:cpus:1;mem:1000");
    assert_eq!((outcome.tasks.finished, outcome.tasks.waiting), (3, 0));
    let makespan = outcome.makespan_secs.unwrap();
    assert!((20.0..20.1).contains(&makespan), "{makespan}");
    let wait = outcome.waits.max.unwrap();
    assert!((10.0..10.1).contains(&wait), "{wait}");
    assert!(outcome.waits.p50.unwrap() < 0.1);
    assert!((outcome.utilisation["cpus"].mean - 0.75).abs() < 0.01);
}

#[test]
fn what_fits_nowhere_is_unmet_and_ends_the_replay() {
    let outcome = run("arrival,duration,cpus,mem\n0,10,4,100\n5,10,1,100\n", "3:cpus:2;mem:1000");
    assert_eq!((outcome.tasks.finished, outcome.tasks.waiting), (1, 1));
    assert_eq!((outcome.unmet["cpus"], outcome.makespan_secs), (4.0, None));
    assert!(outcome.ended_at_secs < 200.0);
}

#[test]
fn two_roles_share_by_weight() {
    let trace = "arrival,duration,count,cpus,mem,role,framework\n0,30,3000,1,10,a,f\n0,30,3000,1,10,b,g\n";
    let trace = Trace::parse("t.csv", trace).unwrap();
    let mut scenario = Scenario::of_trace(&trace, &Fleet::of_spec("90:cpus:1;mem:100").unwrap());
    scenario.until = Some(Duration::from_secs(300));
    let comparison = Comparison::new(&scenario, &[Change::weight("b=2").unwrap()], 3).unwrap();
    let share = |outcome: &Outcome, at: usize| outcome.roles[at].share_mean;
    assert!((share(&comparison.before, 0) - 0.5).abs() < 0.02);
    assert!((share(&comparison.after, 0) - 1.0 / 3.0).abs() < 0.02, "{}", share(&comparison.after, 0));
    assert!(comparison.after.fairness.unwrap() > 0.99);
}

#[test]
fn gpus_are_for_frameworks_whose_tasks_want_them() {
    let trace = "arrival,duration,cpus,mem,gpus,framework\n0,10,1,100,1,learn\n0,10,1,100,0,web\n";
    let outcome = run(trace, "cpus:4;mem:1000;gpus:2");
    assert_eq!((outcome.tasks.finished, outcome.tasks.waiting), (1, 1), "web is kept from agents with GPUs");
}

#[test]
fn every_mix_runs_to_its_end_and_loses_no_task() {
    let fleet = Fleet::of_spec("20:cpus:16;mem:65536").unwrap();
    let capacity = fleet.total().scalar_quantities();
    let largest = fleet.agents[0].resources.scalar_quantities();
    for mix in Mix::ALL {
        let horizon = Duration::from_secs(1800);
        let load = Load { seed: 2, capacity: capacity.clone(), largest: largest.clone(), horizon, load: 0.6 };
        let trace = mix.generate(&load);
        let mut scenario = Scenario::of_trace(&trace, &fleet);
        scenario.until = Some(horizon);
        let outcome = replay(&scenario, 1).unwrap().outcome;
        let tasks = outcome.tasks;
        assert_eq!(tasks.arrived, trace.tasks(), "{}", mix.name());
        assert_eq!(tasks.finished + tasks.running + tasks.waiting, tasks.arrived, "{}", mix.name());
        let used = outcome.utilisation.values().map(|uses| uses.mean).fold(0.0, f64::max);
        assert!((0.3..=1.0).contains(&used), "{}: {used}", mix.name());
    }
}
