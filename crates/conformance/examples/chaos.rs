//! Several masters under faults: three masters, three servers of ZooKeeper or etcd and agents, each on a host of its
//! own network, and five frameworks on three kinds of drivers that run tasks all the while, until every fault had its
//! rounds. Then: were there ever two leaders, was an acknowledged registry write lost or one made by a deposed master,
//! did every task end once and with the state that its traces show? `cargo xtask chaos` runs it.

#[path = "chaos/books.rs"]
mod books;
#[path = "chaos/cluster.rs"]
mod cluster;
#[path = "chaos/foreign.rs"]
mod foreign;
#[path = "chaos/framework.rs"]
mod framework;
#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "chaos/secrets.rs"]
mod secrets;
#[path = "chaos/suffer.rs"]
mod suffer;
#[path = "chaos/watch.rs"]
mod watch;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use coordination::Place;
use stdx::Rng;
use testkit::{network::Network, processes::wait_for, services::Kind};
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::{
    books::{Books, Report},
    cluster::{Cluster, SESSION},
    foreign::{Foreign, Leader},
    framework::Framework,
    ledger::Ledger,
    suffer::{Fault, Took},
    watch::Watch,
};

/// Of those on drivers of others, each that is not installed is played by the Rust SDK.
const FRAMEWORKS: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(90);

struct Arguments {
    kind: Kind,
    rounds: u64,
    until: Option<Instant>,
    seed: u64,
    tasks: u64,
    /// Everybody proves who they are.
    authenticate: bool,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    if let Some(package) = arguments.kind.missing() {
        println!("skipped: {package} is not installed (apt-get install {package})");
        return Ok(());
    }
    // Before any thread is there.
    let network = Network::enter().inspect_err(|e| println!("no partitions and full disks here: {e}")).ok();
    let mut faults = Fault::ALL.to_vec();
    faults.retain(|fault| network.is_some() || !fault.needs_network());
    // What still runs when this ends must not keep it from ending.
    let runtime = Box::leak(Box::new(Runtime::new()?));
    let mut cluster = Cluster::start(arguments.kind, network, 3, 3, arguments.authenticate)?;
    println!("chaos: {:?}, seed {}, below {}", arguments.kind, arguments.seed, cluster.home().display());
    let watch = Watch::start(&cluster.masters());
    let read_enough = Arc::new(AtomicBool::new(false));
    let ledger = {
        let connect = coordination::connect(Place::parse(&cluster.url())?, SESSION * 3);
        let masters = cluster.masters().iter().map(ToString::to_string).collect();
        runtime.spawn(Ledger::new(connect, masters, Arc::clone(&read_enough)).run())
    };
    let busy = Arc::new(AtomicBool::new(true));
    let frameworks: Vec<_> =
        (0..FRAMEWORKS).map(|n| start_framework(runtime, &cluster, n, &busy, &arguments)).collect();

    let mut rng = Rng::new(arguments.seed);
    let mut times: BTreeMap<Fault, Vec<Took>> = BTreeMap::new();
    for round in 0..arguments.rounds {
        if arguments.until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        // Each in turn, then any.
        let fault = match faults.get(round as usize % (faults.len() * 2)) {
            Some(fault) => *fault,
            None => faults[rng.below(faults.len() as u64) as usize],
        };
        std::thread::sleep(Duration::from_millis(300 + rng.below(1_500)));
        let took = cluster.suffer(fault, &mut rng);
        let took = took.inspect_err(|_| cluster.keep()).with_context(|| format!("round {}, {fault:?}", round + 1))?;
        println!(
            "round {:3}  {:16} {:6} ms until writes were served, {:6} ms more until the agents were back",
            round + 1,
            format!("{fault:?}"),
            took.writes.as_millis(),
            took.agents.as_millis()
        );
        times.entry(fault).or_default().push(took);
    }

    busy.store(false, Ordering::Relaxed);
    cluster.heal()?;
    let mut problems = Vec::new();
    let mut ended = BTreeMap::new();
    for (name, framework) in frameworks {
        let outcome = runtime.block_on(async { tokio::time::timeout(PATIENCE, framework).await });
        let Ok(report) = outcome else {
            cluster.keep();
            bail!("the tasks of {name} do not all end");
        };
        let report = report?;
        ended.insert(name, report.ended);
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
    read_enough.store(true, Ordering::Relaxed);
    problems.append(&mut cluster.ended);
    let read = runtime.block_on(ledger)?;
    problems.extend(read.problems);
    print_table(&times);
    println!("{} tasks ended: {ended:?}", ended.values().sum::<usize>());
    println!(
        "{} registry writes acknowledged; {} compared with who reigned in {} epochs ({} could not be); {} looks at the leaders",
        written.acknowledged.len(),
        read.compared,
        read.epochs.len(),
        read.passed_over,
        written.looks
    );
    if !problems.is_empty() {
        problems.iter().for_each(|problem| println!("WRONG: {problem}"));
        cluster.keep();
        bail!("{} things went wrong; seed {}", problems.len(), arguments.seed);
    }
    println!("never two leaders, no write lost or made by a deposed master, every task ended once, no agent ended");
    Ok(())
}

/// The first is on PyMesos, the second on Mesos's own driver, the others on the Rust SDK.
fn start_framework(
    runtime: &Runtime,
    cluster: &Cluster,
    n: u64,
    busy: &Arc<AtomicBool>,
    arguments: &Arguments,
) -> (String, JoinHandle<Report>) {
    let share = arguments.tasks / FRAMEWORKS;
    let credential = arguments.authenticate.then(secrets::Secrets::of_frameworks);
    let (kind, program): (&'static str, Option<Vec<PathBuf>>) = match n {
        0 => ("pymesos", Foreign::pymesos()),
        1 => ("libmesos", Foreign::libmesos()),
        _ => ("rust", None),
    };
    let (name, books, busy) = (format!("{kind}-{n}"), Books::new(cluster.traces()), Arc::clone(busy));
    let Some(program) = program else {
        if n < 2 {
            println!("{kind} is not here; the Rust SDK runs its tasks");
        }
        let framework = Framework::new(name.clone(), cluster.url(), books, busy, share, credential);
        return (name, runtime.spawn(framework.run()));
    };
    let url = cluster.url();
    let leader = if url.starts_with("zk") { Leader::Url(url) } else { Leader::Among(cluster.masters()) };
    let (address, home) = (cluster.here(), cluster.home().to_owned());
    let foreign = Foreign { name: name.clone(), kind, program, leader, address, home, busy, share, credential, books };
    (name, runtime.spawn_blocking(move || foreign.run()))
}

fn print_table(times: &BTreeMap<Fault, Vec<Took>>) {
    println!("\n{:16} {:>6} {:>21} {:>21}", "", "", "until writes, ms", "until agents, ms more");
    println!("{:16} {:>6} {:>10} {:>10} {:>10} {:>10}", "fault", "rounds", "median", "worst", "median", "worst");
    let spread = |times: &[Took], of: fn(&Took) -> Duration| {
        let mut millis: Vec<u128> = times.iter().map(|took| of(took).as_millis()).collect();
        millis.sort_unstable();
        (millis[millis.len() / 2], millis[millis.len() - 1])
    };
    for (fault, times) in times {
        let (writes, agents) = (spread(times, |took| took.writes), spread(times, |took| took.agents));
        println!(
            "{:16} {:6} {:10} {:10} {:10} {:10}",
            format!("{fault:?}"),
            times.len(),
            writes.0,
            writes.1,
            agents.0,
            agents.1
        );
    }
    println!("{:16} {:6}\n", "all", times.values().map(Vec::len).sum::<usize>());
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
        rounds: number("--rounds")?.unwrap_or(if minutes.is_some() { u64::MAX } else { Fault::ALL.len() as u64 }),
        until: minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60)),
        seed: number("--seed")?.unwrap_or_else(|| u64::from(std::process::id())),
        tasks: number("--tasks")?.unwrap_or(2_000),
        authenticate: given.iter().any(|arg| arg == "--authenticate"),
    })
}
