//! Two hundred thousand damaged inputs to every endpoint of a live master and agent: each is answered, nothing breaks,
//! memory stays bounded. What is damaged is in `survive/corpus.rs`; the requests go out pipelined, a batch at a time.

#[path = "survive/corpus.rs"]
mod corpus;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use conformance::{
    http::{Connection, Head, Trouble},
    mutate,
};
use corpus::{Corpus, Input};
use stdx::Rng;
use testkit::{Cluster, Options, processes};

const INPUTS: usize = 200_000;
/// Two for the master, two for the agent.
const THREADS: usize = 4;
const BATCH: usize = 40;
const SEED: u64 = 0x6d65_7365_7461;
/// What a server's memory may grow by after the first fifth of the inputs.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn damaged_input_is_refused_and_breaks_nothing() {
    let cluster = Cluster::start(Options::conformance());
    let pids = [cluster.master_pid().expect("a master"), cluster.agent_pid(0).expect("an agent")];
    let mut statuses = run(&cluster, 0, INPUTS / 5);
    let before = pids.map(|pid| processes::rss_bytes(pid).expect("it runs"));
    for (status, count) in run(&cluster, 1, INPUTS - INPUTS / 5) {
        *statuses.entry(status).or_default() += count;
    }
    println!("answers by status: {statuses:?}");
    assert!(statuses.values().sum::<usize>() >= INPUTS);
    for (pid, before) in pids.into_iter().zip(before) {
        let after = processes::rss_bytes(pid).expect("it still runs");
        println!("memory: {} KiB, then {} KiB", before >> 10, after >> 10);
        assert!(after < before + GROWTH_BYTES_MAX, "memory grew from {before} to {after} bytes");
    }
    for address in [cluster.master_address(), cluster.agent_address(0)] {
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let metrics = cluster.get(port, "/metrics").expect("it still answers");
        assert!(metrics.contains("never_reached_total 0\n"), "a branch that is never reached was");
    }
    for folder in [cluster.home.path().join("master"), cluster.agent_work_dir(0)] {
        let log = fs::read_to_string(folder.join("log")).expect("a log");
        let bad = log.lines().find(|line| line.contains("panicked at") || line.contains(" ERROR "));
        assert_eq!(bad, None);
    }
    Scheduler::subscribe(&cluster.master_address()).await_offer();
}

/// How many batches go by between two damaged launches on a real offer, some of which start a task.
const LAUNCH_EVERY: usize = 2;

/// Sends `inputs` inputs from all threads, and counts the answers by status.
fn run(cluster: &Cluster, round: u64, inputs: usize) -> BTreeMap<u16, usize> {
    let share = inputs.div_ceil(THREADS);
    let mut statuses = BTreeMap::new();
    std::thread::scope(|scope| {
        let fuzz = |i: u64| {
            let rng = Rng::new(SEED + 100 * round + i);
            move || match i % 2 {
                0 => Fuzzer::new(cluster.master_address(), Corpus::master(), rng, true).run(share),
                _ => Fuzzer::new(cluster.agent_address(0), Corpus::agent(), rng, false).run(share),
            }
        };
        let threads: Vec<_> = (0..THREADS as u64).map(|i| scope.spawn(fuzz(i))).collect();
        for thread in threads {
            for (status, count) in thread.join().expect("a thread that found nothing wrong") {
                *statuses.entry(status).or_default() += count;
            }
        }
    });
    statuses
}

struct Fuzzer {
    address: String,
    corpus: Corpus,
    rng: Rng,
    connection: Connection,
    /// A framework in whose name calls are made.
    scheduler: Option<Scheduler>,
    statuses: BTreeMap<u16, usize>,
}

impl Fuzzer {
    fn new(address: String, corpus: Corpus, rng: Rng, is_master: bool) -> Fuzzer {
        let connection = Connection::open(&address).expect("a connection");
        let scheduler = is_master.then(|| Scheduler::subscribe(&address));
        Fuzzer { address, corpus, rng, connection, scheduler, statuses: BTreeMap::new() }
    }

    fn run(mut self, inputs: usize) -> BTreeMap<u16, usize> {
        let mut sent = 0;
        while sent < inputs {
            if self.scheduler.as_mut().is_some_and(|scheduler| !scheduler.is_alive()) {
                self.scheduler = Some(Scheduler::subscribe(&self.address));
            }
            if (sent / BATCH).is_multiple_of(LAUNCH_EVERY) {
                self.launch();
            }
            self.batch();
            self.last_of_connection();
            sent += BATCH;
        }
        self.statuses
    }

    /// Inputs that cannot end the connection.
    fn batch(&mut self) {
        let batch: Vec<(Input, Vec<u8>)> = (1..BATCH)
            .map(|_| {
                let input = self.corpus.draw(&mut self.rng).clone();
                let bytes = self.request(&input);
                (input, bytes)
            })
            .collect();
        let bytes: Vec<u8> = batch.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        self.connection.send(&bytes).expect("the server takes a batch");
        for (input, bytes) in &batch {
            let deadline = Instant::now() + PATIENCE;
            let head = self.connection.read_head(deadline);
            let head = head.unwrap_or_else(|trouble| panic!("{trouble}, after {}", shown(bytes)));
            let body = self.connection.read_body(&head, deadline);
            let body = body.unwrap_or_else(|trouble| panic!("{trouble} in the body, after {}", shown(bytes)));
            self.judge(input, &head, &body, bytes);
        }
    }

    /// A damaged ACCEPT of an offer that is really out.
    fn launch(&mut self) {
        let Some((offer, agent)) = self.scheduler.as_mut().and_then(|scheduler| scheduler.offer.take()) else { return };
        let input = self.corpus.launch.with_offer(&offer, &agent);
        let bytes = self.request(&input);
        self.connection.send(&bytes).expect("the server takes a request");
        let deadline = Instant::now() + PATIENCE;
        let head = self.connection.read_head(deadline);
        let head = head.unwrap_or_else(|trouble| panic!("{trouble}, after {}", shown(&bytes)));
        let body = self.connection.read_body(&head, deadline).expect("a body");
        self.judge(&input, &head, &body, &bytes);
    }

    /// An input after which the connection may be of no more use: a SUBSCRIBE that may succeed, or no HTTP at all.
    fn last_of_connection(&mut self) {
        let bytes = match self.corpus.draw_stream(&mut self.rng).cloned() {
            Some(input) if self.rng.below(2) == 0 => self.request(&input),
            _ => {
                let valid = b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                let mut bytes = mutate::bytes(&mut self.rng, valid);
                bytes.extend_from_slice(b"\r\n\r\n");
                bytes
            }
        };
        self.connection.send(&bytes).expect("the server takes a request");
        // A cut request may be waiting for more; only that it does no harm matters.
        let head = self.connection.read_head(Instant::now() + Duration::from_millis(20));
        match head {
            Ok(head) if head.is_chunked() => {
                let first = self.connection.next_chunk(Instant::now() + PATIENCE);
                assert!(matches!(first, Ok(Some(_))), "a stream without a first event, after {}", shown(&bytes));
                *self.statuses.entry(head.status).or_default() += 1;
            }
            Ok(head) => *self.statuses.entry(head.status).or_default() += 1,
            Err(Trouble::Closed | Trouble::TimedOut) => *self.statuses.entry(0).or_default() += 1,
            Err(other) => panic!("{other}, after {}", shown(&bytes)),
        }
        self.connection = Connection::open(&self.address).expect("the server takes connections");
    }

    fn judge(&mut self, input: &Input, head: &Head, body: &[u8], bytes: &[u8]) {
        *self.statuses.entry(head.status).or_default() += 1;
        let legal = match head.status {
            200..=299 | 307 => true,
            404 if input.about_files => true,
            400 | 403 | 404 | 405 | 406 | 409 | 415 | 501 => !body.is_empty(),
            // An agent's containerizer fails so.
            500 => input.about_containers && !body.is_empty(),
            _ => false,
        };
        let text = String::from_utf8_lossy(body);
        assert!(legal, "{} {text:?} after {}", head.status, shown(bytes));
    }

    fn request(&mut self, input: &Input) -> Vec<u8> {
        let rng = &mut self.rng;
        let (framework, stream) = match &self.scheduler {
            Some(scheduler) => (scheduler.framework.as_str(), scheduler.stream.as_str()),
            None => ("nobody", "nothing"),
        };
        let (content_type, body) = input.body(rng, framework);
        let mut head = format!("{} {} HTTP/1.1\r\nHost: x\r\n", input.method(rng), input.target(rng));
        if let Some(content_type) = content_type {
            let content_type = if rng.below(40) == 0 { corpus::odd_type(rng) } else { content_type };
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        if rng.below(10) == 0 {
            head.push_str(&format!("Accept: {}\r\n", corpus::odd_type(rng)));
        }
        if input.wants_stream_id && rng.below(20) > 0 {
            head.push_str(&format!("Mesos-Stream-Id: {stream}\r\n"));
        }
        if input.is_message {
            head.push_str("Libprocess-From: fuzz@127.0.0.1:1\r\nUser-Agent: libprocess/fuzz@127.0.0.1:1\r\n");
        }
        let mut bytes = head.into_bytes();
        if rng.below(10) == 0 {
            bytes.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(if body.is_empty() { b"\r\n" } else { b"\r\n0\r\n\r\n" });
        } else {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
        }
        bytes
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes)).into_owned()
}

/// A subscribed framework.
struct Scheduler {
    connection: Connection,
    framework: String,
    stream: String,
    /// The newest offer and its agent.
    offer: Option<(String, String)>,
}

impl Scheduler {
    fn subscribe(address: &str) -> Scheduler {
        let body = "{\"type\":\"SUBSCRIBE\",\"subscribe\":{\"framework_info\":{\"user\":\"root\",\"name\":\"fuzz\",\
                    \"roles\":[\"fuzz\"],\"capabilities\":[{\"type\":\"MULTI_ROLE\"}]}}}";
        let mut connection = Connection::open(address).expect("a connection");
        let head = "POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        connection.send(request.as_bytes()).expect("a request");
        let head = connection.read_head(Instant::now() + PATIENCE).expect("an answer to SUBSCRIBE");
        assert_eq!(head.status, 200);
        let stream = head.header("mesos-stream-id").expect("a stream id").to_owned();
        let first = connection.next_chunk(Instant::now() + PATIENCE).expect("an event").expect("a first event");
        let text = String::from_utf8_lossy(&first).into_owned();
        let id = text.split_once("\"framework_id\":{\"value\":\"").expect("SUBSCRIBED").1;
        let framework = id.split('"').next().unwrap_or_default().to_owned();
        Scheduler { connection, framework, stream, offer: None }
    }

    /// Reads what has come; false once the stream has ended.
    fn is_alive(&mut self) -> bool {
        loop {
            match self.connection.next_chunk(Instant::now()) {
                Ok(Some(event)) => self.offer = offer_in(&String::from_utf8_lossy(&event)).or(self.offer.take()),
                Err(Trouble::TimedOut) => return true,
                Ok(None) | Err(_) => return false,
            }
        }
    }

    fn await_offer(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let chunk = self.connection.next_chunk(deadline).expect("an offer in time").expect("the stream goes on");
            if offer_in(&String::from_utf8_lossy(&chunk)).is_some() {
                return;
            }
        }
    }
}

fn offer_in(event: &str) -> Option<(String, String)> {
    let offers = event.split_once("\"type\":\"OFFERS\"")?.1;
    let value = |before: &str| {
        let (_, rest) = offers.split_once(before)?;
        Some(rest.split('"').next()?.to_owned())
    };
    Some((value("\"id\":{\"value\":\"")?, value("\"agent_id\":{\"value\":\"")?))
}
