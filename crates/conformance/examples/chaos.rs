//! Several masters under faults: three masters and three servers of ZooKeeper or etcd on loopback, agents, and frameworks
//! that run tasks all the while, until every fault had its rounds. Then: were there ever two leaders, was an acknowledged
//! registry write lost, did every task end once and with the state that its traces show? `cargo xtask chaos` runs it.

#[path = "chaos/cluster.rs"]
mod cluster;
#[path = "chaos/framework.rs"]
mod framework;
#[path = "chaos/watch.rs"]
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use stdx::Rng;
use testkit::{processes::wait_for, services::Kind};

use crate::{cluster::Cluster, framework::Framework, watch::Watch};

const FRAMEWORKS: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(90);

/// What is done to the cluster in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillLeader,
    /// SIGSTOP for longer than the session lasts, then SIGCONT.
    PauseLeader,
    HandOver,
    KillStandby,
    KillStoreLeader,
    /// Two of three servers of the store are away for longer than the session lasts.
    NoQuorum,
    KillAgent,
}

const FAULTS: [Fault; 7] = [
    Fault::KillLeader,
    Fault::PauseLeader,
    Fault::HandOver,
    Fault::KillStandby,
    Fault::KillStoreLeader,
    Fault::NoQuorum,
    Fault::KillAgent,
];

struct Arguments {
    kind: Kind,
    rounds: u64,
    until: Option<Instant>,
    seed: u64,
    tasks: u64,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    if let Some(package) = arguments.kind.missing() {
        println!("skipped: {package} is not installed (apt-get install {package})");
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let mut cluster = Cluster::start(arguments.kind, 3, 3)?;
    println!("chaos: {:?}, seed {}, below {}", arguments.kind, arguments.seed, cluster.home().display());
    let watch = Watch::start(cluster.master_ports());
    let busy = Arc::new(AtomicBool::new(true));
    let frameworks: Vec<_> = (0..FRAMEWORKS)
        .map(|n| {
            let share = arguments.tasks / FRAMEWORKS;
            let framework = Framework::new(n, cluster.url(), cluster.traces(), Arc::clone(&busy), share);
            runtime.spawn(framework.run())
        })
        .collect();

    let mut rng = Rng::new(arguments.seed);
    let mut times: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for round in 0..arguments.rounds {
        if arguments.until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        let fault = match FAULTS.get(round as usize % (FAULTS.len() * 2)) {
            Some(fault) => *fault,
            None => FAULTS[rng.below(FAULTS.len() as u64) as usize],
        };
        std::thread::sleep(Duration::from_millis(300 + rng.below(1_500)));
        let took = cluster.suffer(fault).with_context(|| format!("round {round}, {fault:?}"))?;
        println!(
            "round {:3}  {:16} {:6} ms until writes were served",
            round + 1,
            format!("{fault:?}"),
            took.as_millis()
        );
        times.entry(fault).or_default().push(took);
    }

    busy.store(false, Ordering::Relaxed);
    cluster.heal()?;
    let mut problems = Vec::new();
    let mut ended = 0;
    for framework in frameworks {
        let outcome = runtime.block_on(async { tokio::time::timeout(PATIENCE, framework).await });
        let report = outcome.context("a framework's tasks do not all end")??;
        ended += report.ended;
        problems.extend(report.problems);
    }
    let written = watch.stop();
    problems.extend(written.problems.iter().cloned());
    let kept = wait_for(PATIENCE, || cluster.weights()).context("nobody shows the weights at the end")?;
    problems.extend(
        written
            .acknowledged
            .iter()
            .filter(|role| !kept.contains(*role))
            .map(|role| format!("lost the write of {role}")),
    );
    print_table(&times);
    println!(
        "{ended} tasks ended, {} registry writes acknowledged, {} looks at the leaders",
        written.acknowledged.len(),
        written.looks
    );
    if !problems.is_empty() {
        problems.iter().for_each(|problem| println!("WRONG: {problem}"));
        cluster.keep();
        bail!("{} things went wrong; seed {}", problems.len(), arguments.seed);
    }
    println!("never two leaders, no write lost, every task ended once");
    Ok(())
}

fn print_table(times: &BTreeMap<Fault, Vec<Duration>>) {
    println!("\n{:16} {:>6} {:>10} {:>10}", "fault", "rounds", "median ms", "worst ms");
    for (fault, times) in times {
        let mut times = times.clone();
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{:16} {:6} {:10} {:10}", format!("{fault:?}"), times.len(), median.as_millis(), worst.as_millis());
    }
    println!();
}

fn arguments() -> Result<Arguments> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| given.iter().position(|arg| arg == name).and_then(|at| given.get(at + 1));
    let number =
        |name: &str| value(name).map(|text| text.parse::<u64>().with_context(|| format!("{name} {text}"))).transpose();
    let kind = match value("--store").map(String::as_str) {
        Some("zk") | None => Kind::ZooKeeper,
        Some("etcd") => Kind::Etcd,
        Some(other) => bail!("--store {other}: zk or etcd"),
    };
    let minutes = number("--minutes")?;
    Ok(Arguments {
        kind,
        rounds: number("--rounds")?.unwrap_or(if minutes.is_some() { u64::MAX } else { FAULTS.len() as u64 }),
        until: minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60)),
        seed: number("--seed")?.unwrap_or_else(|| u64::from(std::process::id())),
        tasks: number("--tasks")?.unwrap_or(2_000),
    })
}
