//! A scenario drawn from a seed. Every seed switches only some faults on, so that each meets each other's absence, too.

use stdx::Rng;

use super::{
    ExecutorStyle, Faults, FrameworkPlan, GroupPlan, Network, Operators, QuotaPlan, Scenario, Temper, Tuning, round,
};

const ROLES: [&str; 4] = ["a", "b", "c/x", "c/y"];

impl Scenario {
    /// The scenario that `seed` stands for. `agents` and `minutes` fix what the seed would choose.
    pub fn of_seed(seed: u64, agents: Option<u32>, minutes: Option<f64>) -> Scenario {
        let mut rng = Rng::new(seed ^ 0x5eed_0000_5eed);
        let masters = *pick(&mut rng, &[1, 1, 2, 3, 3, 5]);
        let drawn = 1 + rng.below(20) as u32;
        let light = if rng.below(4) == 0 { 1 + rng.below(10) as u32 } else { 0 };
        let fault_secs = 120.0 + rng.unit() * 240.0;
        let frameworks = 1 + rng.below(7);
        let mut scenario = Scenario {
            seed,
            masters,
            agents: agents.unwrap_or(drawn),
            light_agents: if agents.is_some() { 0 } else { light },
            agent_cpus: *pick(&mut rng, &[1.0, 2.0, 4.0, 8.0]),
            agent_mem_mb: *pick(&mut rng, &[1024.0, 4096.0]),
            agent_disk_mb: 1000.0,
            warm_up_secs: 20.0,
            fault_secs: minutes.map_or(fault_secs, |minutes| minutes * 60.0),
            network: network(&mut rng.fork("network")),
            faults: faults(&mut rng.fork("faults")),
            operators: operators(&mut rng.fork("operators")),
            tuning: tuning(&mut rng.fork("tuning")),
            frameworks: Vec::new(),
            ..Scenario::default()
        };
        // Light agents prove nothing.
        scenario.tuning.authenticate &= scenario.light_agents == 0;
        let mut of_frameworks = rng.fork("frameworks");
        scenario.frameworks = (0..frameworks).map(|_| framework(&mut of_frameworks, &scenario)).collect();
        if rng.below(3) == 0 {
            scenario.weights = ROLES.iter().map(|role| ((*role).to_owned(), 0.5 + rng.unit() * 4.0)).collect();
        }
        let mut of_groups = rng.fork("groups");
        if of_groups.below(3) == 0 {
            scenario.pools = of_groups.below(4) as u32;
            scenario.groups = groups(&mut of_groups, &scenario);
        } else {
            // Only one of the two ways to divide a cluster lasts; operators may mix them.
            scenario.operators.groups_every *= f64::from(u8::from(of_groups.below(3) == 0));
            scenario.quotas = quotas(&mut of_groups, &scenario);
        }
        scenario
    }
}

fn pick<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    &items[rng.below(items.len() as u64) as usize]
}

/// `value` in half of the seeds, else nothing.
fn maybe(rng: &mut Rng, value: f64) -> f64 {
    let drawn = value * (0.5 + rng.unit());
    if rng.below(2) == 0 { drawn } else { 0.0 }
}

fn network(rng: &mut Rng) -> Network {
    Network {
        latency_min_ms: 0.1,
        latency_max_ms: *pick(rng, &[1.0, 5.0, 50.0, 500.0]),
        spike: maybe(rng, 0.005),
        spike_secs: *pick(rng, &[1.0, 5.0, 20.0]),
        encode: rng.below(8) == 0,
        outbox: *pick(rng, &[64, 256, 2048]),
    }
}

fn faults(rng: &mut Rng) -> Faults {
    if rng.below(16) == 0 {
        return Faults::default();
    }
    Faults {
        lose: maybe(rng, 0.002),
        duplicate: maybe(rng, 0.01),
        partition_every: maybe(rng, 40.0),
        one_way_every: maybe(rng, 40.0),
        partition_secs: *pick(rng, &[2.0, 15.0, 60.0]),
        break_link_every: maybe(rng, 10.0),
        agent_crash_every: maybe(rng, 15.0),
        agent_reboot_every: maybe(rng, 60.0),
        agent_away_secs: *pick(rng, &[1.0, 10.0, 90.0]),
        master_crash_every: maybe(rng, 60.0),
        master_away_secs: *pick(rng, &[1.0, 20.0]),
        depose_every: maybe(rng, 60.0),
        deposed_late_secs: *pick(rng, &[0.5, 10.0]),
        framework_crash_every: maybe(rng, 30.0),
        executor_crash_every: maybe(rng, 20.0),
        store_slow: maybe(rng, 0.1),
        store_slow_secs: *pick(rng, &[1.0, 10.0]),
        store_fail: maybe(rng, 0.01),
        store_fail_after: maybe(rng, 0.01),
        disk_slow: maybe(rng, 0.02),
        disk_fail: maybe(rng, 0.001),
        launch_fail: maybe(rng, 0.05),
        compact_every: maybe(rng, 20.0),
        slow_reader_every: maybe(rng, 40.0),
        clock_drift_ppm: *pick(rng, &[0, 100, 50_000]),
        wall_step_every: maybe(rng, 60.0),
        store_outage_every: maybe(rng, 80.0),
        store_outage_secs: *pick(rng, &[2.0, 10.0, 40.0]),
        store_full_every: maybe(rng, 100.0),
        store_full_secs: *pick(rng, &[2.0, 20.0]),
        store_parted_every: maybe(rng, 100.0),
        store_parted_secs: *pick(rng, &[5.0, 20.0]),
        pause_every: maybe(rng, 60.0),
        pause_secs: *pick(rng, &[2.0, 12.0, 40.0]),
        hand_over_every: maybe(rng, 80.0),
        foreign_every: maybe(rng, 200.0),
        foreign_secs: *pick(rng, &[5.0, 30.0]),
        swap_every: maybe(rng, 60.0),
    }
}

fn operators(rng: &mut Rng) -> Operators {
    Operators {
        mark_gone_every: maybe(rng, 150.0),
        teardown_every: maybe(rng, 200.0),
        drain_every: maybe(rng, 100.0),
        deactivate_every: maybe(rng, 80.0),
        quota_every: maybe(rng, 60.0),
        weights_every: maybe(rng, 60.0),
        maintenance_every: maybe(rng, 120.0),
        groups_every: maybe(rng, 60.0),
    }
}

/// One to three groups, of roles of their own.
fn groups(rng: &mut Rng, scenario: &Scenario) -> Vec<GroupPlan> {
    let mut free: Vec<&str> = ROLES.iter().copied().chain(["c"]).collect();
    let count = 1 + rng.below(3);
    let one = |number: u64| {
        let role = free.remove(rng.below(free.len() as u64) as usize);
        GroupPlan::draw(rng, scenario, &format!("g{number}"), vec![role.to_owned()])
    };
    (0..count).map(one).collect()
}

/// Now and then some role is promised a part of the cluster, all promises together no more than half of it.
fn quotas(rng: &mut Rng, scenario: &Scenario) -> Vec<QuotaPlan> {
    let half = f64::from(scenario.all_agents()) * scenario.agent_cpus / 2.0;
    let mut quotas = Vec::new();
    for role in ["a", "b", "c"] {
        if rng.below(4) == 0 {
            let guarantee_cpus = round(half / 3.0 * rng.unit());
            quotas.push(QuotaPlan { role: role.to_owned(), guarantee_cpus, limit_cpus: None });
        }
    }
    quotas
}

fn tuning(rng: &mut Rng) -> Tuning {
    Tuning {
        ping_secs: *pick(rng, &[3.0, 15.0]),
        ping_timeouts: *pick(rng, &[2, 5]),
        reregister_secs: *pick(rng, &[30.0, 90.0, 600.0]),
        offer_timeout_secs: *pick(rng, &[0.0, 0.0, 3.0, 30.0]),
        removals_per_minute: *pick(rng, &[0, 0, 6]),
        registry_gc_secs: *pick(rng, &[20.0, 900.0]),
        registry_max_agents: *pick(rng, &[1, 102_400]),
        history: *pick(rng, &[3, 1000]),
        event_driven: rng.below(4) != 0,
        random_sorters: rng.below(4) == 0,
        backoff_secs: *pick(rng, &[0.1, 1.0]),
        executor_reregister_secs: *pick(rng, &[0.5, 2.0, 10.0]),
        store_timeout_secs: *pick(rng, &[3.0, 20.0]),
        authenticate: rng.below(3) == 0,
    }
}

fn framework(rng: &mut Rng, scenario: &Scenario) -> FrameworkPlan {
    use Temper::{Buggy, Crashing, FailingOver, Greedy, Picky, Slow};
    let cpus = *pick(rng, &[0.1, 0.3, 0.5, 1.0]);
    let short = rng.below(2) == 0;
    let room = f64::from(scenario.all_agents()) * scenario.agent_cpus / cpus;
    FrameworkPlan {
        temper: *pick(rng, &[Greedy, Picky, Slow, Crashing, FailingOver, Buggy]),
        role: (*pick(rng, &ROLES)).to_owned(),
        executor: match (scenario.agents > 0 && scenario.light_agents == 0, rng.below(3)) {
            (true, 1) => ExecutorStyle::Custom,
            (true, 2) => ExecutorStyle::Group,
            _ => ExecutorStyle::Command,
        },
        checkpoint: rng.below(4) != 0,
        partition_aware: rng.below(2) == 0,
        failover_secs: *pick(rng, &[0.0, 20.0, 3600.0]),
        parallel: (1 + rng.below(8) as u32).min((room * 0.5) as u32 + 1),
        cpus,
        mem_mb: *pick(rng, &[32.0, 64.0, 128.0]),
        task_secs_min: 1.0,
        task_secs_max: if short { 8.0 } else { 60.0 },
        task_fails: maybe(rng, 0.1),
        kills: maybe(rng, 0.2),
    }
}
