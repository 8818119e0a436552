//! Figures of the registry's stores: how many durable operations a second, beside the rate of the store itself in the
//! same run; what it takes to load a large registry; how long a cluster of three masters is without one that serves
//! writes, and until ten thousand agents are back. Each line on standard output is one figure; `cargo xtask bench
//! store` reads them. Real servers, on loopback; takes a few minutes. Arguments choose parts: `embedded`, `zookeeper`,
//! `etcd`; and `operations`, `takeovers`, `agents`.

#[path = "store/light.rs"]
mod light;

use std::{
    io::{Read, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use bytes::Bytes;
use coordination::{
    EmbeddedStore, Outcome, Place, Registrar, Store, keep,
    space::{Space, Write},
};
use proto::v1;
use registry::{Operation, Registry};
use serde_json::json;
use testkit::{
    processes,
    services::{Kind, Service},
};
use tokio::runtime::Runtime;

const OPERATIONS: u64 = 50_000;
const LIGHT_AGENTS: usize = 10_000;
/// Single writes under way at once, for the store's own rate.
const RAW_IN_FLIGHT: usize = 256;
const RAW_WRITES: usize = 10_000;
const SESSION: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        // What a second process does.
        ["be-agents", url, count] => return Runtime::new()?.block_on(light::run(url, count.parse()?)),
        ["load", url] => return load(url),
        _ => {}
    }
    let chosen = |of: &[&str], one: &str| words.contains(&one) || !words.iter().any(|word| of.contains(word));
    let stores = ["embedded", "zookeeper", "etcd"];
    let parts = ["operations", "takeovers", "agents"];
    if chosen(&stores, "embedded") && chosen(&parts, "operations") {
        embedded()?;
    }
    for (kind, name) in [(Kind::ZooKeeper, "zookeeper"), (Kind::Etcd, "etcd")] {
        if !chosen(&stores, name) {
            continue;
        }
        if let Some(package) = kind.missing() {
            eprintln!("skipped: {name} is not installed (apt-get install {package})");
            continue;
        }
        let service = Service::start_with(kind, 3, 2_000);
        if chosen(&parts, "operations") {
            replicated(&service, name)?;
        }
        if chosen(&parts, "takeovers") {
            for (seconds, rounds) in [(4, 10), (10, 5)] {
                takeovers(&service, name, seconds, rounds, Ending::Kill)?;
            }
            takeovers(&service, name, 10, 20, Ending::HandOver)?;
        }
        if chosen(&parts, "agents") {
            returns(&service, name)?;
        }
    }
    Ok(())
}

fn figure(name: &str, value: f64, unit: &str, conditions: &str, reference: Option<(&str, f64)>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit, "conditions": conditions });
    if let Some((name, value)) = reference {
        figure["reference"] = json!({ "name": name, "value": value });
    }
    println!("{figure}");
}

fn admit(n: u64) -> Operation {
    Operation::AdmitAgent(Box::new(v1::AgentInfo {
        id: Some(v1::AgentId { value: format!("00000000-0000-0000-0000-000000000000-S{n}") }),
        hostname: format!("host-{n}.example"),
        ..Default::default()
    }))
}

/// One ticket an operation, as fast as the registrar takes them; durable operations a second.
fn rate(store: Box<dyn Store>) -> Result<f64, Error> {
    let (sender, outcomes) = channel();
    let on_outcome = Box::new(move |_, outcome| drop(sender.send(outcome)));
    let registrar = Registrar::resume(store, Registry::default(), on_outcome)?;
    let begun = Instant::now();
    for n in 0..OPERATIONS {
        registrar.persist(Some(stdx::Ticket(n)), vec![admit(n)])?;
    }
    let stored = outcomes.iter().take(OPERATIONS as usize).filter(|outcome| *outcome == Outcome::Stored).count();
    assert_eq!(stored as u64, OPERATIONS);
    Ok(OPERATIONS as f64 / begun.elapsed().as_secs_f64())
}

fn embedded() -> Result<(), Error> {
    let home = tempfile::tempdir()?;
    let raw = {
        let mut store = EmbeddedStore::open(home.path())?;
        let mut registry = Registry::default();
        let begun = Instant::now();
        for batch in 0..5 {
            let mut mutation = registry::Mutation::default();
            for n in 0..4_096 {
                mutation.absorb(registry::apply(&mut registry, &admit(batch * 4_096 + n))?);
            }
            store.commit(&registry.changes(&mutation))?;
        }
        5.0 * 4_096.0 / begun.elapsed().as_secs_f64()
    };
    let home = tempfile::tempdir()?;
    let ours = rate(Box::new(EmbeddedStore::open(home.path())?))?;
    let conditions = format!("{OPERATIONS} admissions, a ticket each; in {}", home.path().display());
    figure("registry operations, embedded", ours, "op/s", &conditions, Some(("commits of 4096 parts", raw)));
    Ok(())
}

fn replicated(service: &Service, name: &str) -> Result<(), Error> {
    let runtime = Runtime::new()?;
    let connect = coordination::connect(Place::parse(&service.url("/bench"))?, SESSION);
    let (space, store) = runtime.block_on(async {
        let space = connect.connect().await?;
        let store = keep::seize(Arc::clone(&space), connect.describe()).await?;
        Ok::<_, Error>((space, store))
    })?;
    let raw = runtime.block_on(raw_rate(space))?;
    let ours = rate(Box::new(store))?;
    let conditions = format!("{OPERATIONS} admissions, a ticket each, fenced; three servers on loopback");
    let reference = format!("single writes, {RAW_IN_FLIGHT} at once");
    figure(&format!("registry operations, {name}"), ours, "op/s", &conditions, Some((&reference, raw)));

    // In a process of its own, whose memory is the registry's.
    let output = Command::new(std::env::current_exe()?).args(["load", &service.url("/bench")]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [agents, took, before, after] = numbers[..] else { return Err(format!("loading: {text}").into()) };
    assert_eq!(agents as u64, OPERATIONS);
    let conditions = format!("{OPERATIONS} agents, connecting included");
    figure(&format!("registry load, {name}"), took, "ms", &conditions, None);
    let conditions =
        format!("{OPERATIONS} agents; resident memory of a process that holds the registry, less what it had before");
    figure(&format!("registry memory, {name}"), (after - before) / f64::from(1 << 20), "MiB", &conditions, None);
    Ok(())
}

/// Loads a registry and prints how many agents it has, how long it took, and the memory before and after.
fn load(url: &str) -> Result<(), Error> {
    let runtime = Runtime::new()?;
    let connect = coordination::connect(Place::parse(url)?, SESSION);
    let memory = || processes::rss_bytes(std::process::id()).unwrap_or_default();
    let (before, begun) = (memory(), Instant::now());
    let registry = runtime.block_on(async { keep::Keep::connect(&*connect).await?.read().await })?.registry;
    println!("{} {} {before} {}", registry.agents.len(), begun.elapsed().as_secs_f64() * 1e3, memory());
    Ok(())
}

/// From an election to the moment when all agents are registered with the new leader.
fn returns(service: &Service, name: &str) -> Result<(), Error> {
    const ROUNDS: usize = 3;
    let patience = Duration::from_secs(120);
    let mut masters = Masters::new(service, "/agents", 4)?;
    (0..3).try_for_each(|i| masters.start(i))?;
    let mut leader = processes::wait_for(patience, || masters.serving(&[0, 1, 2])).ok_or("nobody leads")?;
    let mut fleet = Command::new(std::env::current_exe()?)
        .args(["be-agents", &masters.url, &LIGHT_AGENTS.to_string()])
        .stdout(Stdio::null())
        .spawn()?;
    let mut work = || -> Result<Vec<f64>, Error> {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            processes::wait_for(patience, || masters.has_agents(leader)).ok_or("the agents do not register")?;
            processes::wait_for(patience, || masters.are_standbys(leader)).ok_or("there are no standbys")?;
            let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
            masters.end(leader, Ending::Kill)?;
            let next = processes::wait_for(patience, || others.iter().copied().find(|i| masters.leads(*i)));
            let (begun, next) = (Instant::now(), next.ok_or("nobody takes over")?);
            processes::wait_for(patience, || masters.has_agents(next)).ok_or("the agents do not come back")?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            masters.start(leader)?;
            leader = next;
        }
        Ok(took)
    };
    let took = work();
    fleet.kill()?;
    fleet.wait()?;
    let mut took = took?;
    took.sort_by(f64::total_cmp);
    let conditions = format!("{LIGHT_AGENTS} light agents in a second process, {ROUNDS} × kill -9 of the leader");
    let title = format!("election to all agents registered, {name}");
    figure(&format!("{title}, median"), took[took.len() / 2], "ms", &conditions, None);
    figure(&format!("{title}, worst"), took[took.len() - 1], "ms", &conditions, None);
    Ok(())
}

/// The store's own rate: writes of the same size, one a transaction, unfenced.
async fn raw_rate(space: Arc<dyn Space>) -> Result<f64, Error> {
    let value = Bytes::from(vec![b'E'; 90]);
    let begun = Instant::now();
    let workers: Vec<_> = (0..RAW_IN_FLIGHT)
        .map(|worker| {
            let (space, value) = (Arc::clone(&space), value.clone());
            tokio::spawn(async move {
                for n in 0..RAW_WRITES / RAW_IN_FLIGHT {
                    let key = format!("raw/{worker}-{n}");
                    space.transact(&[], &[Write::Create(key, value.clone())]).await?;
                }
                Ok::<_, coordination::space::SpaceError>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let written = RAW_WRITES / RAW_IN_FLIGHT * RAW_IN_FLIGHT;
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    for worker in 0..RAW_IN_FLIGHT {
        for n in 0..RAW_WRITES / RAW_IN_FLIGHT {
            space.transact(&[], &[Write::Delete(format!("raw/{worker}-{n}"))]).await?;
        }
    }
    Ok(rate)
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Kill,
    HandOver,
}

struct Masters {
    url: String,
    flag: &'static str,
    session: String,
    home: tempfile::TempDir,
    ports: Vec<u16>,
    running: Vec<Option<Child>>,
}

impl Drop for Masters {
    fn drop(&mut self) {
        for master in self.running.iter_mut().flatten() {
            let _ = master.kill();
            let _ = master.wait();
        }
    }
}

/// From the end of the leader to the first write that the next one serves.
fn takeovers(service: &Service, name: &str, seconds: u64, rounds: usize, ending: Ending) -> Result<(), Error> {
    let mut masters = Masters::new(service, &format!("/masters-{seconds}-{rounds}"), seconds)?;
    (0..3).try_for_each(|i| masters.start(i))?;
    let patience = Duration::from_secs(60);
    let mut leader = processes::wait_for(patience, || masters.serving(&[0, 1, 2])).ok_or("nobody leads")?;
    let mut took = Vec::new();
    for _ in 0..rounds {
        processes::wait_for(patience, || masters.are_standbys(leader)).ok_or("there are no standbys")?;
        let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
        let begun = Instant::now();
        masters.end(leader, ending)?;
        let next = processes::wait_for(patience, || masters.serving(&others)).ok_or("nobody takes over")?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        masters.start(leader)?;
        leader = next;
    }
    took.sort_by(f64::total_cmp);
    let what = if ending == Ending::Kill { "kill -9" } else { "SIGTERM" };
    let name = match ending {
        Ending::Kill => format!("leader kill -9 to next write, {name}, session {seconds} s"),
        Ending::HandOver => format!("hand-over to next write, {name}"),
    };
    let conditions = format!("three masters, three servers, {rounds} × {what}");
    figure(&format!("{name}, median"), took[took.len() / 2], "ms", &conditions, None);
    figure(&format!("{name}, p99"), took[took.len() * 99 / 100], "ms", &conditions, None);
    Ok(())
}

impl Masters {
    fn new(service: &Service, path: &str, session_seconds: u64) -> Result<Masters, Error> {
        let flag = if service.kind == Kind::ZooKeeper { "zk" } else { "etcd" };
        Ok(Masters {
            url: service.url(path),
            flag,
            session: format!("--{flag}_session_timeout={session_seconds}secs"),
            home: tempfile::tempdir()?,
            ports: (0..3).map(|_| processes::free_port()).collect(),
            running: (0..3).map(|_| None).collect(),
        })
    }

    fn start(&mut self, i: usize) -> Result<(), Error> {
        if let Some(mut former) = self.running[i].take() {
            former.wait()?;
        }
        let work_dir = self.home.path().join(format!("master{i}"));
        let log = std::fs::File::options().create(true).append(true).open(self.home.path().join(format!("log{i}")))?;
        let mut command = Command::new(processes::meseta());
        command.arg("master").args([
            format!("--port={}", self.ports[i]),
            format!("--work_dir={}", work_dir.display()),
            format!("--{}={}", self.flag, self.url),
            self.session.clone(),
            "--no-hostname_lookup".into(),
        ]);
        self.running[i] = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    fn end(&mut self, i: usize, ending: Ending) -> Result<(), Error> {
        let Some(master) = &mut self.running[i] else { return Err("not running".into()) };
        match ending {
            Ending::Kill => master.kill()?,
            // SAFETY: kill has no memory effects.
            Ending::HandOver => drop(unsafe { libc::kill(master.id() as i32, libc::SIGTERM) }),
        }
        Ok(())
    }

    /// The one of them that serves a write.
    fn serving(&self, of: &[usize]) -> Option<usize> {
        let call = r#"{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"a","weight":2.0}]}}"#;
        of.iter().copied().find(|i| {
            let head = format!(
                "POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                call.len()
            );
            self.ask(*i, &(head + call)).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        })
    }

    fn leads(&self, i: usize) -> bool {
        self.get(i, "/standing").is_some_and(|body| body["leading"] == true)
    }

    fn has_agents(&self, i: usize) -> Option<()> {
        let active = self.get(i, "/metrics/snapshot")?["master/slaves_active"].as_f64()?;
        (active as usize == LIGHT_AGENTS).then_some(())
    }

    fn get(&self, i: usize, path: &str) -> Option<serde_json::Value> {
        let answer = self.ask(i, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn are_standbys(&self, leader: usize) -> Option<()> {
        let follows = |i: usize| {
            let body = self.get(i, "/standing")?;
            (body["leader"].is_object() && body["replica"].is_object()).then_some(())
        };
        (0..3).filter(|i| *i != leader).try_for_each(follows)
    }

    fn ask(&self, i: usize, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[i])).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}
