//! What a master and an agent hold of those that are gone, or do not listen: memory comes back.

use std::time::{Duration, Instant};

use conformance::http::Connection;
use testkit::{
    Cluster, Options, http,
    processes::{self, wait_for},
};

use crate::scheduler::Scheduler;

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

#[test]
fn connections_that_come_and_go_leave_no_memory_behind() {
    const ALL: usize = 5_000;
    const AT_ONCE: usize = 250;
    let cluster = Cluster::start(Options::conformance());
    let servers = [
        (cluster.master_address(), cluster.masters[0].pid().expect("a master")),
        (cluster.agent_address(0), cluster.agents[0].pid().expect("an agent")),
    ];
    for (address, pid) in servers {
        // As many as are there at once, so that what is kept for the next ones is kept already.
        come_and_go(&address, AT_ONCE, AT_ONCE);
        let before = rss(pid);
        come_and_go(&address, ALL, AT_ONCE);
        let after = settled(pid, before + 8 * MIB);
        println!("{address}: {} KiB, then {} KiB", before >> 10, after >> 10);
        assert!(after <= before + 8 * MIB, "{ALL} connections left {} KiB at {address}", (after - before) >> 10);
    }
}

/// A third of them say nothing, a third half a request, and a third ask and leave without reading.
fn come_and_go(address: &str, all: usize, at_once: usize) {
    for _ in 0..all / at_once {
        let open: Vec<Connection> = (0..at_once)
            .map(|i| {
                let mut connection = Connection::open(address).expect("the server takes connections");
                let said = match i % 3 {
                    0 => "",
                    1 => "POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{\"type\":",
                    _ => "GET /state HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics/snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n",
                };
                connection.send(said.as_bytes()).expect("the server reads");
                connection
            })
            .collect();
        drop(open);
    }
    assert_eq!(http::ask(address, "GET", "/health").expect("it answers").status, 200);
}

#[test]
fn schedulers_that_never_read_are_cut_off_and_leave_no_memory_behind() {
    const SCHEDULERS: usize = 30;
    const TASKS: usize = 20_000;
    const TIMES: usize = 3;
    /// `--max_outbox_bytes_total`, by default; as much again for what a heap adds and what is said to the next one.
    const HELD_MAX: u64 = 2 * 256 * MIB;
    let cluster = Cluster::start(Options::conformance());
    let (address, pid) = (cluster.master_address(), cluster.masters[0].pid().expect("a master"));
    let before = rss(pid);
    let mut highest = before;
    let mut deaf = Vec::new();
    for _ in 0..SCHEDULERS {
        let scheduler = Scheduler::subscribe(&address);
        let tasks: Vec<String> = (0..TASKS).map(|task| format!("{{\"task_id\":{{\"value\":\"t{task}\"}}}}")).collect();
        let call = format!(
            "{{\"type\":\"RECONCILE\",\"framework_id\":{{\"value\":\"{}\"}},\"reconcile\":{{\"tasks\":[{}]}}}}",
            scheduler.framework,
            tasks.join(",")
        );
        for _ in 0..TIMES {
            let mut other = Connection::open(&address).expect("a connection");
            other.send(reconcile(&call, &scheduler.stream).as_bytes()).expect("the master reads");
            let head = other.read_head(Instant::now() + PATIENCE).expect("an answer");
            // Whoever was cut off meanwhile is refused.
            assert!(matches!(head.status, 202 | 400 | 403), "{}", head.status);
            highest = highest.max(rss(pid));
        }
        deaf.push(scheduler);
    }
    println!("before {} KiB, at most {} KiB", before >> 10, highest >> 10);
    assert!(highest <= before + HELD_MAX, "it held {} MiB", (highest - before) / MIB);
    drop(deaf);
    let after = settled(pid, before + 32 * MIB);
    println!("afterwards {} KiB", after >> 10);
    assert!(after <= before + 32 * MIB, "{} MiB did not come back", (after - before) / MIB);
}

fn reconcile(call: &str, stream: &str) -> String {
    format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Mesos-Stream-Id: {stream}\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    )
}

fn rss(pid: u32) -> u64 {
    processes::rss_bytes(pid).expect("it runs")
}

/// What it holds as soon as that is no more than `wanted`, or in the end.
fn settled(pid: u32, wanted: u64) -> u64 {
    let _ = wait_for(PATIENCE, || (rss(pid) <= wanted).then_some(()));
    rss(pid)
}
