//! Sends one lane's damaged inputs over one connection, a batch at a time, and judges each answer.

use std::{
    collections::BTreeMap,
    sync::OnceLock,
    time::{Duration, Instant},
};

use conformance::{
    http::{Connection, Head, Trouble},
    mutate,
};
use stdx::Rng;

use super::corpus::{self, Input, Lane};
use crate::scheduler::Scheduler;

const BATCH: usize = 100;
/// How many batches go by between two damaged launches on a real offer, some of which start a task.
const LAUNCH_EVERY: usize = 2;
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a lane's inputs.
#[derive(Default)]
pub struct Outcome {
    pub inputs: usize,
    pub statuses: BTreeMap<u16, usize>,
    /// Messages that were taken as libprocess takes them, but that the decoder refuses.
    pub undecodable: usize,
    pub busy: Duration,
}

impl Outcome {
    pub fn add(&mut self, more: Outcome) {
        self.inputs += more.inputs;
        self.undecodable += more.undecodable;
        self.busy += more.busy;
        for (status, count) in more.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    pub fn refused(&self) -> usize {
        self.statuses.iter().filter(|(status, _)| **status >= 400).map(|(_, count)| count).sum()
    }

    fn count(&mut self, status: u16) {
        self.inputs += 1;
        *self.statuses.entry(status).or_default() += 1;
    }
}

pub struct Fuzzer<'a> {
    address: &'a str,
    lane: &'a Lane,
    /// Calls whose answer may be a stream, and one that launches; of the lane whose calls are a framework's.
    subscriptions: Vec<Input>,
    launch: Input,
    scheduler: Option<Scheduler>,
    rng: Rng,
    connection: Connection,
    outcome: Outcome,
}

/// One request, and what to expect of it.
struct Sent<'a> {
    input: &'a Input,
    /// Where its bytes end in the batch.
    end: usize,
    undecodable: bool,
}

impl<'a> Fuzzer<'a> {
    pub fn new(address: &'a str, lane: &'a Lane, rng: Rng) -> Fuzzer<'a> {
        let connection = Connection::open(address).expect("a connection");
        let is_frameworks = lane.inputs.iter().any(|input| input.wants_stream_id);
        Fuzzer {
            address,
            lane,
            subscriptions: if is_frameworks { corpus::subscriptions() } else { Vec::new() },
            launch: corpus::launch(),
            scheduler: is_frameworks.then(|| Scheduler::subscribe(address)),
            rng,
            connection,
            outcome: Outcome::default(),
        }
    }

    pub fn run(mut self, inputs: usize) -> Outcome {
        let started = Instant::now();
        for batch in 0.. {
            if self.outcome.inputs >= inputs {
                break;
            }
            if self.scheduler.as_mut().is_some_and(|scheduler| !scheduler.is_alive()) {
                self.scheduler = Some(Scheduler::subscribe(self.address));
            }
            if batch % LAUNCH_EVERY == 0 {
                self.launch();
            }
            self.batch();
            self.last_of_connection();
        }
        self.outcome.busy = started.elapsed();
        self.outcome
    }

    /// Inputs that cannot end the connection.
    fn batch(&mut self) {
        let mut bytes = Vec::with_capacity(BATCH * 1000);
        let lane = self.lane;
        let sent: Vec<Sent> = (1..BATCH)
            .map(|_| {
                let input = &lane.inputs[self.rng.below(lane.inputs.len() as u64) as usize];
                let undecodable = self.request(input, &mut bytes);
                Sent { input, end: bytes.len(), undecodable }
            })
            .collect();
        self.connection.send(&bytes).expect("the server takes a batch");
        let mut start = 0;
        for Sent { input, end, undecodable } in sent {
            self.judge(input, &bytes[start..end], undecodable);
            start = end;
        }
    }

    /// A damaged ACCEPT of an offer that is really out.
    fn launch(&mut self) {
        let Some((offer, agent)) = self.scheduler.as_mut().and_then(|scheduler| scheduler.offer.take()) else { return };
        let input = self.launch.with_offer(&offer, &agent);
        let mut bytes = Vec::new();
        self.request(&input, &mut bytes);
        self.connection.send(&bytes).expect("the server takes a request");
        self.judge(&input, &bytes, false);
    }

    /// An input after which the connection may be of no more use: a SUBSCRIBE that may succeed, or no HTTP at all.
    fn last_of_connection(&mut self) {
        let mut bytes = Vec::new();
        if !self.subscriptions.is_empty() && self.rng.below(2) == 0 {
            let input = self.subscriptions[self.rng.below(self.subscriptions.len() as u64) as usize].clone();
            self.request(&input, &mut bytes);
            self.connection.send(&bytes).expect("the server takes a request");
        } else {
            let valid =
                b"POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
            bytes = mutate::bytes(&mut self.rng, valid);
            bytes.extend_from_slice(b"\r\n\r\n");
            self.connection.send(&bytes).expect("the server takes a request");
            // It may have refused already, and closed.
            let _ = self.connection.finish();
        }
        match self.connection.read_head(Instant::now() + PATIENCE) {
            Ok(head) if head.is_chunked() => {
                let first = self.connection.next_chunk(Instant::now() + PATIENCE);
                assert!(matches!(first, Ok(Some(_))), "a stream without a first event, after {}", shown(&bytes));
                self.outcome.count(head.status);
            }
            Ok(head) => self.outcome.count(head.status),
            // A request that was cut.
            Err(Trouble::Closed) => self.outcome.count(0),
            Err(other) => panic!("{other}, after {}", shown(&bytes)),
        }
        self.connection = Connection::open(self.address).expect("the server takes connections");
    }

    /// Reads the next answer.
    fn judge(&mut self, input: &Input, sent: &[u8], undecodable: bool) {
        let deadline = Instant::now() + PATIENCE;
        let head = self.connection.read_head(deadline);
        let head = head.unwrap_or_else(|trouble| panic!("{trouble}, after {}", shown(sent)));
        let body = self.connection.read_body(&head, deadline);
        let body = body.unwrap_or_else(|trouble| panic!("{trouble} in the body, after {}", shown(sent)));
        assert!(is_legal(input, &head, &body), "{} {:?} after {}", head.status, shown(&body), shown(sent));
        self.outcome.undecodable += usize::from(undecodable && head.status == 202);
        self.outcome.count(head.status);
    }

    /// Writes a damaged request; true if it is a message that nobody can decode.
    fn request(&mut self, input: &Input, bytes: &mut Vec<u8>) -> bool {
        let rng = &mut self.rng;
        let (framework, stream) = match &self.scheduler {
            Some(scheduler) => (scheduler.framework.as_str(), scheduler.stream.as_str()),
            None => ("nobody", "nothing"),
        };
        let (content_type, body) = input.body(rng, framework);
        let (target, is_right) = input.target(rng);
        put(bytes, &[input.method(rng), " ", &target, " HTTP/1.1\r\nHost: localhost\r\n"]);
        if let Some(content_type) = content_type {
            let content_type = if rng.below(40) == 0 { corpus::odd_type(rng) } else { content_type };
            put(bytes, &["Content-Type: ", content_type, "\r\n"]);
        }
        if rng.below(10) == 0 {
            put(bytes, &["Accept: ", corpus::odd_type(rng), "\r\n"]);
        }
        if input.wants_stream_id && rng.below(20) > 0 {
            put(bytes, &["Mesos-Stream-Id: ", stream, "\r\n"]);
        }
        if input.message.is_some() {
            let from = sender();
            put(bytes, &["Libprocess-From: fuzz@", from, "\r\nUser-Agent: libprocess/fuzz@", from, "\r\n"]);
        }
        if rng.below(10) == 0 {
            put(bytes, &[&format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len())]);
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(if body.is_empty() { b"\r\n" } else { b"\r\n0\r\n\r\n" });
        } else {
            put(bytes, &[&format!("Content-Length: {}\r\n\r\n", body.len())]);
            bytes.extend_from_slice(&body);
        }
        is_right && input.message.as_ref().is_some_and(|(name, takes)| !takes(name, &body))
    }
}

/// Whom messages are from: a process that knows nothing of keys, and says so to who asks whether they are its own.
fn sender() -> &'static str {
    static SENDER: OnceLock<String> = OnceLock::new();
    SENDER.get_or_init(testkit::http::knows_nothing)
}

fn put(bytes: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
}

/// Whether an answer may be given: taken, or refused with a reason.
fn is_legal(input: &Input, head: &Head, body: &[u8]) -> bool {
    match head.status {
        200..=299 | 307 => true,
        404 if input.about_files => true,
        400 | 403 | 404 | 405 | 406 | 409 | 415 | 501 => !body.is_empty(),
        // An agent's containerizer fails so.
        500 => input.about_containers && !body.is_empty(),
        _ => false,
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes)).into_owned()
}
