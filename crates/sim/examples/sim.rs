//! Figures of the simulator and, by it, of the cores: the experiment of the Mesos paper's section 6.5, a failover, a
//! large cluster for an hour, and seeds per second. One JSON object a line.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use master_core::{Config, Effects, Event, Input, Master};
use model::AgentId;
use proto::{internal, upid::Upid, v1};
use registry::{Admitted, Registry};
use resources::Resources;
use sim::{
    paper,
    run::{Watch, run},
    scenario::Scenario,
};
use stdx::{Tick, WallTime};

/// What agents and master hand to each other is freed by the other thread, which glibc's heap is slow at.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    kernel::memory::prefer_huge_pages();
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let suites: [(&str, fn()); 4] =
        [("failover", failover), ("seeds", seeds), ("paper", paper_experiment), ("hour", an_hour)];
    for (name, suite) in suites {
        if name.starts_with(&wanted) {
            suite();
        }
    }
}

fn figure(name: &str, value: f64, unit: &str, conditions: &str, reference: Option<(&str, f64)>) {
    let reference = reference
        .map(|(name, value)| format!(r#","reference":{{"name":"{name}","value":{value}}}"#))
        .unwrap_or_default();
    println!(r#"{{"name":"{name}","value":{value},"unit":"{unit}","conditions":"{conditions}"{reference}}}"#);
}

/// The most memory this process ever had, in GiB.
fn peak_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN);
    kib / 1024.0 / 1024.0
}

fn paper_experiment() {
    let outcome = paper::run(&paper::Paper::default());
    let conditions = "50,000 light agents, 200 frameworks, tasks N(30 s, 10 s), two per agent; one 10 s task of a newcomer, \
                      from its start to its end's report, less 10 s; real time, two threads";
    figure(
        "paper.delay_p50_ms",
        outcome.delay_p50.as_secs_f64() * 1e3,
        "ms",
        conditions,
        Some(("Mesos paper", 1000.0)),
    );
    figure("paper.speedup", outcome.speedup, "x", conditions, None);
    figure("paper.rss_gib", peak_gib(), "GiB", conditions, None);
    figure("paper.launches_per_s", outcome.launches_per_s, "1/s", "the same; in virtual time", None);
}

fn an_hour() {
    let scenario = Scenario {
        light_agents: 100_000,
        agents: 0,
        frameworks: Vec::new(),
        warm_up_secs: 60.0,
        ..Scenario::default()
    };
    let begun = Instant::now();
    let (lost, steps) = paper::idle(scenario, Duration::from_secs(3600));
    let conditions = "100,000 light agents, an hour of virtual time, pings every 15 s; real time, two threads";
    figure("hour.100000_agents_lost", f64::from(lost), "agents", conditions, None);
    let took = begun.elapsed().as_secs_f64();
    figure("hour.100000_agents_s", took, "s", conditions, None);
    figure("hour.steps_per_s", steps as f64 / took, "1/s", conditions, None);
}

/// What CI could do in ten minutes.
fn seeds() {
    const SEEDS: u64 = 200;
    let begun = Instant::now();
    let next = std::sync::atomic::AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let report = run(&Scenario::of_seed(seed, Some(20), None), Watch::default());
                    if let Some(failure) = report.failure {
                        eprintln!("seed {seed}: {failure:?}");
                    }
                }
            });
        }
    });
    let rate = SEEDS as f64 / begun.elapsed().as_secs_f64();
    let conditions = format!("{SEEDS} seeds of a 20-agent cluster with all faults in, {threads} threads");
    figure("seeds_per_s", rate, "1/s", &conditions, None);
}

const AGENTS: u32 = 40_000;
const TASKS: u32 = 10;

/// A new master takes in the whole cluster: the time it spends on the agents' messages.
fn failover() {
    let mut registry = Registry::default();
    let mut messages = Vec::with_capacity(AGENTS as usize);
    let frameworks: Vec<v1::FrameworkInfo> = (0..40).map(framework).collect();
    for agent in 0..AGENTS {
        let info = agent_info(agent);
        let admitted = Admitted { info: info.clone(), drain_info: None, deactivated: false };
        registry.agents.insert(AgentId::from(id(agent)), admitted);
        let from = Upid::new("slave(1)", host(agent), 5051);
        messages.push((from, reregistration(agent, info, &frameworks)));
    }
    let info = v1::MasterInfo { id: "m".into(), port: 5050, ..Default::default() };
    let mut master = Master::new(Config::default(), info, 1);
    let mut effects = Effects::new();
    let mut now = Tick(1);
    let mut step = |master: &mut Master, event: Event| {
        now.0 += 1000;
        master.handle(Input { now, wall: WallTime(1_700_000_000_000_000_000), event }, &mut effects);
        let ticket = effects.iter().find_map(|effect| match effect {
            master_core::Effect::Persist { ticket, .. } => Some(*ticket),
            _ => None,
        });
        drop(effects.drain());
        ticket
    };
    let ticket = step(&mut master, Event::Elected { registry: Box::new(registry) });
    if let Some(ticket) = ticket {
        step(&mut master, Event::Persisted { ticket, outcome: Ok(()) });
    }
    let begun = paper::processor_time();
    for (from, message) in messages {
        step(&mut master, Event::FromAgent { from, to: master_core::Actor::Master, message: message.into() });
    }
    let took = paper::processor_time() - begun;
    let state = master.view();
    let tasks: usize = state.frameworks.values().map(|framework| framework.tasks.len()).sum();
    assert_eq!((state.agents.len(), tasks), (AGENTS as usize, (AGENTS * TASKS) as usize), "all are back");
    let conditions = "40,000 agents and 400,000 tasks of 40 frameworks reregister; processing time of one master";
    figure("failover.40000_s", took.as_secs_f64(), "s", conditions, Some(("Mesos 1.5", 19.0)));
}

fn id(agent: u32) -> String {
    format!("old-S{agent}")
}

fn host(agent: u32) -> String {
    format!("10.{}.{}.{}", 128 + (agent >> 16), (agent >> 8) & 255, agent & 255)
}

fn framework(index: u32) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: format!("f{index}"),
        id: Some(v1::FrameworkId { value: format!("old-{index:04}") }),
        checkpoint: Some(true),
        failover_timeout: Some(3600.0),
        roles: vec![format!("r{index}")],
        capabilities: vec![v1::framework_info::Capability {
            r#type: Some(v1::framework_info::capability::Type::MultiRole as i32),
        }],
        ..Default::default()
    }
}

fn of_text(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn agent_info(agent: u32) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: host(agent),
        port: Some(5051),
        resources: of_text("cpus:16;mem:65536;disk:100000").to_protos(),
        id: Some(v1::AgentId { value: id(agent) }),
        ..Default::default()
    }
}

fn reregistration(agent: u32, info: v1::AgentInfo, known: &[v1::FrameworkInfo]) -> internal::ReregisterSlaveMessage {
    let mut frameworks = BTreeMap::new();
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let index = ((agent * 7 + number) % known.len() as u32) as usize;
        frameworks.insert(index, known[index].clone());
        let resources = of_text("cpus:1;mem:1024").allocate(&format!("r{index}")).to_protos();
        tasks.push(v1::Task {
            name: "t".into(),
            task_id: v1::TaskId { value: format!("t-{agent}-{number}") },
            framework_id: known[index].id.clone().unwrap_or_default(),
            agent_id: v1::AgentId { value: id(agent) },
            state: v1::TaskState::TaskRunning as i32,
            resources,
            ..Default::default()
        });
    }
    internal::ReregisterSlaveMessage {
        agent: info,
        tasks,
        frameworks: frameworks.into_values().collect(),
        version: Some("1.11.0".into()),
        agent_capabilities: model::AgentCapabilities::ALL.to_protos(),
        ..Default::default()
    }
}
