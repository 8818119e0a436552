//! Looks for a smaller scenario that fails in the same way: fewer faults, nodes and minutes, one change at a time.

use crate::{
    run::{Report, Watch, run},
    scenario::{Faults, Scenario},
};

/// How many runs the search may take.
const RUNS_MAX: u32 = 400;

/// The smallest scenario found. `told` hears of each step that made it smaller.
pub fn shrink(scenario: &Scenario, report: &Report, told: &mut dyn FnMut(String)) -> Scenario {
    let mut best = scenario.clone();
    let Some(failure) = &report.failure else { return best };
    let mut runs = 0;
    loop {
        let mut smaller = None;
        for (what, candidate) in candidates(&best) {
            runs += 1;
            if runs > RUNS_MAX {
                return best;
            }
            let again = run(&candidate, Watch::default()).failure;
            if again.is_some_and(|again| again.kind == failure.kind && again.check == failure.check) {
                told(format!("still fails {what}"));
                smaller = Some(candidate);
                break;
            }
        }
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

type Change = (String, fn(&mut Scenario));

/// Every scenario that is one step smaller, the largest steps first.
fn candidates(scenario: &Scenario) -> Vec<(String, Scenario)> {
    let changes: Vec<Change> = vec![
        ("without any fault".into(), |s| s.faults = Faults::default()),
        ("without operators".into(), |s| s.operators = Default::default()),
        ("with one framework".into(), |s| s.frameworks.truncate(1)),
        ("with half of the agents".into(), |s| s.agents = s.agents.div_ceil(2)),
        ("without light agents".into(), |s| s.light_agents = 0),
        ("with one master".into(), |s| s.masters = 1),
        ("with half of the time".into(), |s| s.fault_secs = (s.fault_secs / 2.0).floor()),
        ("with one agent less".into(), |s| s.agents = s.agents.saturating_sub(1).max(1)),
        ("without lost messages".into(), |s| s.faults.lose = 0.0),
        ("without duplicates".into(), |s| s.faults.duplicate = 0.0),
        ("without partitions".into(), |s| s.faults.partition_every = 0.0),
        ("without one-way partitions".into(), |s| s.faults.one_way_every = 0.0),
        ("without broken links".into(), |s| s.faults.break_link_every = 0.0),
        ("without crashes of agents".into(), |s| s.faults.agent_crash_every = 0.0),
        ("without reboots".into(), |s| s.faults.agent_reboot_every = 0.0),
        ("without crashes of masters".into(), |s| s.faults.master_crash_every = 0.0),
        ("without lost elections".into(), |s| s.faults.depose_every = 0.0),
        ("without crashes of frameworks".into(), |s| s.faults.framework_crash_every = 0.0),
        ("without crashes of executors".into(), |s| s.faults.executor_crash_every = 0.0),
        ("with a fast store".into(), |s| s.faults.store_slow = 0.0),
        ("with a store that never fails".into(), |s| {
            s.faults.store_fail = 0.0;
            s.faults.store_fail_after = 0.0;
        }),
        ("without outages of the store".into(), |s| s.faults.store_outage_every = 0.0),
        ("with room in the store".into(), |s| s.faults.store_full_every = 0.0),
        ("without a leader parted from the store".into(), |s| s.faults.store_parted_every = 0.0),
        ("without pauses".into(), |s| s.faults.pause_every = 0.0),
        ("without handing over".into(), |s| s.faults.hand_over_every = 0.0),
        ("without foreign masters".into(), |s| s.faults.foreign_every = 0.0),
        ("without swapped addresses".into(), |s| s.faults.swap_every = 0.0),
        ("without authentication".into(), |s| s.tuning.authenticate = false),
        ("with good disks".into(), |s| {
            s.faults.disk_slow = 0.0;
            s.faults.disk_fail = 0.0;
        }),
        ("without failed launches".into(), |s| s.faults.launch_fail = 0.0),
        ("without compaction".into(), |s| s.faults.compact_every = 0.0),
        ("without slow readers".into(), |s| s.faults.slow_reader_every = 0.0),
        ("with true clocks".into(), |s| s.faults.clock_drift_ppm = 0),
        ("without steps of the calendar".into(), |s| s.faults.wall_step_every = 0.0),
        ("with a steady network".into(), |s| {
            s.network.spike = 0.0;
            s.network.latency_max_ms = 1.0;
        }),
        ("without weights".into(), |s| s.weights.clear()),
        ("without quotas".into(), |s| s.quotas.clear()),
        ("without groups".into(), |s| {
            s.groups.clear();
            s.operators.groups_every = 0.0;
        }),
        ("without the last group".into(), |s| drop(s.groups.pop())),
        ("without pools".into(), |s| s.pools = 0),
    ];
    let mut found: Vec<(String, Scenario)> = Vec::new();
    let mut add = |what: String, candidate: Scenario| {
        if candidate != *scenario {
            found.push((what, candidate));
        }
    };
    for (what, change) in changes {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        add(what, candidate);
    }
    if scenario.frameworks.len() > 1 {
        for index in 0..scenario.frameworks.len() {
            let mut candidate = scenario.clone();
            candidate.frameworks.remove(index);
            add(format!("without framework {index}"), candidate);
        }
    }
    found
}
