//! Damaged inputs for each endpoint of a live master and agent: each is answered, with a reason where it is refused, or
//! counted as dropped; nothing breaks, and memory stays bounded. Twenty thousand for each, or as many as the
//! environment says: `cargo xtask fuzz --servers` has two hundred thousand sent to optimised servers. What is damaged
//! is in `survive/corpus.rs`; `survive/fuzzer.rs` sends it, pipelined, a batch at a time.

mod corpus;
mod fuzzer;

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use corpus::{Lane, Server};
use fuzzer::{Fuzzer, Outcome};
use stdx::Rng;
use testkit::{Cluster, Options, http, processes};

use crate::scheduler::Scheduler;

/// For each lane, where `MESETA_DAMAGED_INPUTS` says nothing else.
const INPUTS: usize = 20_000;
/// A lane's inputs go out in as many shifts, each over a connection of its own.
const SHIFTS: usize = 20;
/// After these, memory is taken down.
const SHIFTS_TO_WARM_UP: usize = 4;
const THREADS: usize = 4;
const SEED: u64 = 0x6d65_7365_7461;
/// What a server's memory may grow by after the first shifts.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

#[test]
fn damaged_input_is_refused_and_breaks_nothing() {
    let cluster = Cluster::start(options());
    let pids = [cluster.masters[0].pid().expect("a master"), cluster.agents[0].pid().expect("an agent")];
    let lanes = corpus::lanes();
    let started = Instant::now();
    let mut outcomes = run(&cluster, &lanes, 0..SHIFTS_TO_WARM_UP);
    let before = pids.map(|pid| processes::rss_bytes(pid).expect("it runs"));
    for (all, more) in outcomes.iter_mut().zip(run(&cluster, &lanes, SHIFTS_TO_WARM_UP..SHIFTS)) {
        all.add(more);
    }
    report(&lanes, &outcomes, started.elapsed());
    for (pid, before) in pids.into_iter().zip(before) {
        let after = processes::rss_bytes(pid).expect("it still runs");
        println!("memory: {} KiB, then {} KiB", before >> 10, after >> 10);
        assert!(after < before + GROWTH_BYTES_MAX, "memory grew from {before} to {after} bytes");
    }
    for server in [Server::Master, Server::Agent] {
        let of_it = || lanes.iter().zip(&outcomes).filter(|(lane, _)| lane.server == server);
        let undecodable: usize = of_it().map(|(_, outcome)| outcome.undecodable).sum();
        check_metrics(&cluster, server, undecodable);
        check_log(&cluster, server);
    }
    Scheduler::subscribe(&cluster.master_address()).await_offer();
}

/// Little is remembered, so that documents of what is over stay small.
fn options() -> Options {
    let mut options = Options::conformance();
    options.master_flags.extend(
        ["--max_completed_frameworks=5", "--max_completed_tasks_per_framework=20", "--logging_level=ERROR"]
            .map(str::to_owned),
    );
    options
        .agent_flags
        .extend(["--max_completed_executors_per_framework=5", "--logging_level=ERROR"].map(str::to_owned));
    options
}

fn inputs() -> usize {
    match std::env::var("MESETA_DAMAGED_INPUTS") {
        Ok(text) => text.parse().expect("MESETA_DAMAGED_INPUTS is a count"),
        Err(_) => INPUTS,
    }
}

/// Runs some shifts of all lanes, several at once.
fn run(cluster: &Cluster, lanes: &[Lane], shifts: std::ops::Range<usize>) -> Vec<Outcome> {
    let all: Vec<(usize, usize)> = shifts.flat_map(|shift| (0..lanes.len()).map(move |lane| (lane, shift))).collect();
    let next = AtomicUsize::new(0);
    let inputs = inputs();
    let work = || {
        let mut outcomes: Vec<Outcome> = lanes.iter().map(|_| Outcome::default()).collect();
        while let Some((lane, shift)) = all.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let address = match lanes[lane].server {
                Server::Master => cluster.master_address(),
                Server::Agent => cluster.agent_address(0),
            };
            let rng = Rng::new(SEED + (shift * lanes.len() + lane) as u64);
            outcomes[lane].add(Fuzzer::new(&address, &lanes[lane], rng).run(inputs / SHIFTS));
        }
        outcomes
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let mut sum: Vec<Outcome> = lanes.iter().map(|_| Outcome::default()).collect();
        for thread in threads {
            let outcomes = thread.join().expect("a thread that found nothing wrong");
            sum.iter_mut().zip(outcomes).for_each(|(sum, outcome)| sum.add(outcome));
        }
        sum
    })
}

fn report(lanes: &[Lane], outcomes: &[Outcome], took: Duration) {
    let mut total = 0;
    for (lane, outcome) in lanes.iter().zip(outcomes) {
        let rate = outcome.inputs as f64 / outcome.busy.as_secs_f64();
        println!("{:24} {} inputs, {rate:.0}/s on a connection: {:?}", lane.name, outcome.inputs, outcome.statuses);
        assert!(outcome.inputs >= inputs());
        assert!(outcome.refused() + outcome.undecodable > inputs() / 5, "{}: hardly malformed", lane.name);
        total += outcome.inputs;
    }
    println!("{total} inputs in {:.1} s: {:.0}/s", took.as_secs_f64(), total as f64 / took.as_secs_f64());
}

/// No branch that cannot be reached was; each message that no decoder takes was counted.
fn check_metrics(cluster: &Cluster, server: Server, undecodable: usize) {
    let address = match server {
        Server::Master => cluster.master_address(),
        Server::Agent => cluster.agent_address(0),
    };
    let metrics = http::ask(&address, "GET", "/metrics").expect("it still answers").body;
    assert!(metrics.contains("never_reached_total 0\n"), "a branch that is never reached was");
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("meseta_inbox_dropped_messages_total "));
    let dropped: usize = dropped.and_then(|count| count.parse().ok()).expect("a count");
    println!("{server:?}: {undecodable} messages that no decoder takes, {dropped} dropped");
    assert!(dropped >= undecodable && undecodable > 0);
}

fn check_log(cluster: &Cluster, server: Server) {
    let process = match server {
        Server::Master => &cluster.masters[0],
        Server::Agent => &cluster.agents[0],
    };
    let log = fs::read_to_string(process.log()).expect("a log");
    let bad = log.lines().find(|line| line.contains("panicked at") || line.contains(" ERROR "));
    assert_eq!(bad, None);
}
