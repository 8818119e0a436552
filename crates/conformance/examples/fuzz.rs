//! Damaged input for every decoder that a peer, a task or a disk can reach: seeded, so that what is found comes again;
//! the corpus is what tests already have, damaged as they damage it. Counts inputs, refusals and panics by decoder.
//!
//! `cargo run -p conformance --example fuzz -- [--minutes N] [--inputs N] [--seed N] [--only DECODER]`; the end is 1 if
//! anything panicked. With neither minutes nor inputs it makes 100,000 inputs for each decoder.
#![allow(clippy::type_complexity, reason = "a decoder is a function of bytes, and there is one list of them")]

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use conformance::mutate;
use proto::{internal, v1};
use stdx::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
};
use transport::{
    Handler, Limits, Message, Request, Response, Server, auth::basic, jsonp, negotiate, refuse, route::Table,
};

#[path = "../../proto/fuzz/checks.rs"]
mod checks;

/// After so many inputs the clock is looked at, and the next decoder has its turn.
const BATCH: u64 = 2_000;

/// One decoder: what is damaged, and whether an input was taken.
struct Target {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    take: Box<dyn FnMut(&mut Rng, &[u8]) -> bool>,
    /// What needs a socket or a file is slower by so much.
    share: u64,
    inputs: u64,
    refused: u64,
    panics: u64,
}

struct Arguments {
    minutes: Option<f64>,
    inputs: Option<u64>,
    seed: u64,
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("fuzz: {why}");
            return ExitCode::from(2);
        }
    };
    let mut targets = targets();
    if let Some(only) = &arguments.only {
        targets.retain(|target| target.name.contains(only.as_str()));
        if targets.is_empty() {
            eprintln!("fuzz: no decoder is called '{only}'");
            return ExitCode::from(2);
        }
    }
    let found = Arc::new(Mutex::new(String::new()));
    let place = found.clone();
    panic::set_hook(Box::new(move |info| {
        if let Ok(mut text) = place.lock() {
            *text = info.to_string();
        }
    }));
    let (started, mut rng) = (Instant::now(), Rng::new(arguments.seed));
    let end = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let inputs = arguments.inputs.unwrap_or(if end.is_some() { u64::MAX } else { 100_000 });
    let is_over = || end.is_some_and(|end| started.elapsed() >= end);
    while !is_over() && targets.iter().any(|target| target.inputs < inputs / target.share) {
        for target in &mut targets {
            let batch = (BATCH / target.share).max(1);
            for _ in 0..batch.min((inputs / target.share).saturating_sub(target.inputs)) {
                run(target, &mut rng, &found);
            }
        }
    }
    let mut panics = 0;
    for target in &targets {
        let Target { name, inputs, refused, .. } = target;
        println!("{name:22} {inputs:>10} inputs {refused:>10} refused {:>4} panics", target.panics);
        panics += target.panics;
    }
    println!("seed {}, {:.0} s", arguments.seed, started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(panics > 0))
}

fn run(target: &mut Target, rng: &mut Rng, found: &Mutex<String>) {
    let valid = target.corpus.get(rng.below(target.corpus.len() as u64) as usize).cloned().unwrap_or_default();
    let input = match serde_json::from_slice(&valid) {
        Ok(document) if rng.below(2) == 0 => mutate::document(rng, &document),
        _ => mutate::bytes(rng, &valid),
    };
    target.inputs += 1;
    let take = &mut target.take;
    match panic::catch_unwind(AssertUnwindSafe(|| take(rng, &input))) {
        Ok(true) => {}
        Ok(false) => target.refused += 1,
        Err(_) => {
            target.panics += 1;
            let why = found.lock().map(|text| text.clone()).unwrap_or_default();
            eprintln!("{}: {why}\n  by {:?}", target.name, String::from_utf8_lossy(&input));
        }
    }
}

fn arguments(mut args: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut found = Arguments { minutes: None, inputs: None, seed: 1, only: None };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = || format!("{name}: '{value}' is no number");
        match name.as_str() {
            "--minutes" => found.minutes = Some(value.parse().map_err(|_| wrong())?),
            "--inputs" => found.inputs = Some(value.parse().map_err(|_| wrong())?),
            "--seed" => found.seed = value.parse().map_err(|_| wrong())?,
            "--only" => found.only = Some(value),
            _ => return Err(format!("'{name}' is none of --minutes, --inputs, --seed, --only")),
        }
    }
    Ok(found)
}

fn targets() -> Vec<Target> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let target = |name, corpus, take| Target { name, corpus, take, share: 1, inputs: 0, refused: 0, panics: 0 };
    fn of_text(take: impl Fn(&str) -> bool + 'static) -> Box<dyn FnMut(&mut Rng, &[u8]) -> bool> {
        Box::new(move |_, input| take(&String::from_utf8_lossy(input)))
    }
    let (mut messages, mut documents) = (vectors(".pb"), vectors(".json"));
    for call in CALLS {
        documents.push(call.as_bytes().to_vec());
        if let Ok(call) = proto::json::from_slice::<v1::scheduler::Call>(call.as_bytes()) {
            messages.push(proto::wire::encode(&call).to_vec());
        }
    }
    let registered = internal::RegisterSlaveMessage::default();
    messages.push(proto::wire::encode(&registered).to_vec());
    vec![
        target("json", documents, Box::new(|rng, input| checks::json(rng.below(256) as u8, input))),
        target("protobuf", messages.clone(), Box::new(|rng, input| checks::wire(rng.below(256) as u8, input))),
        target("recordio", streams(), Box::new(|_, input| checks::records(input))),
        target("journal record", messages.clone(), Box::new(|_, input| agent_core::Record::from_bytes(input).is_ok())),
        target("registry value", registry_values(), Box::new(registry_value)),
        target(
            "flight recording",
            messages,
            Box::new(|_, input| {
                let master = master_core::recording::decode(input).is_some();
                master || agent_core::recording::decode(input).is_some()
            }),
        ),
        target(
            "resources",
            texts(&[
                "cpus:4;mem:2048;ports:[31000-32000, 1-5];disk(role):1e3;s:{a,b}",
                "[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1}}]",
            ]),
            of_text(|text| {
                resources::parse::parse_list(text, "*").is_ok() & resources::Resources::parse(text, "*").is_ok()
            }),
        ),
        target(
            "attributes",
            texts(&["rack:a7;ssd:true;level:3.5;slots:[1-4, 7-9];set:{a,b}"]),
            of_text(|text| resources::attributes::parse(text).is_ok()),
        ),
        target(
            "names and numbers",
            texts(&[
                "slave(1)@127.0.0.1:5051",
                "10secs",
                "1.5mins",
                "64MB",
                "a/b/c",
                "zk://u:p@h:1,g:2/path",
                "etcds://h:1/p?ca=f",
            ]),
            of_text(|text| {
                let mut taken = text.parse::<proto::upid::Upid>().is_ok();
                taken |= stdx::units::parse_duration(text).is_ok();
                taken |= stdx::units::parse_bytes(text).is_ok();
                taken |= resources::role::check(text).is_ok();
                // A URL may name a file to read.
                taken | (!text.trim().starts_with("file:") && coordination::Place::parse(text).is_ok())
            }),
        ),
        Target { share: 10, ..target("http and libprocess", heads(), http()) },
        Target { share: 100, ..target("journal file", journal_files(), journal_file()) },
    ]
}

/// Captured messages that end so.
fn vectors(suffix: &str) -> Vec<Vec<u8>> {
    const LONGEST: usize = 4000;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/testdata/vectors");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    let all = paths.iter().filter_map(|path| std::fs::read(path).ok());
    all.filter(|bytes| bytes.len() <= LONGEST).collect()
}

const CALLS: &[&str] = &[
    r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"n","roles":["a"],"failover_timeout":1e3}}}"#,
    r#"{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"true"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}}]}]}}]}}"#,
    r#"{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{"container_id":{"value":"a","parent":{"value":"b","parent":{"value":"c"}}}}}"#,
    r#"{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"r","limits":{"cpus":{"value":"2"}}}]}}"#,
];

fn streams() -> Vec<Vec<u8>> {
    let stream = |records: &[&[u8]]| records.iter().flat_map(|record| proto::recordio::encode(record)).collect();
    let streams: [Vec<u8>; 3] =
        [stream(&[b"a", b"", b"abc"]), stream(&[&[7; 300], b"x"]), stream(&[b"{}".as_slice(); 5])];
    let pieces = |size: usize, stream: &[u8]| {
        stream.chunks(size).flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect()
    };
    [1, 7, 63, 255].iter().flat_map(|size| streams.iter().map(|stream| pieces(*size, stream))).collect()
}

/// Each kind of value that a registry of several masters is kept in.
fn registry_values() -> Vec<Vec<u8>> {
    let mut registry = registry::Registry::default();
    let weights = vec![v1::WeightInfo { weight: 2.0, role: Some("r".into()) }];
    let _ = registry::apply(&mut registry, &registry::Operation::UpdateWeights(weights));
    let entries = registry.entries().map(|(_, value)| value.to_vec());
    let operation = registry::Operation::UpdateWeights(Vec::new()).encode().to_vec();
    entries.chain([registry.encode().to_vec(), operation]).collect()
}

fn registry_value(rng: &mut Rng, input: &[u8]) -> bool {
    let whole = registry::Registry::decode(input).is_ok();
    let name = ["weights", "weights/r", "quotas/r", "agents/a", "frameworks/f"][rng.below(5) as usize];
    let part = registry::Registry::from_entries([(name, input)]).is_ok();
    whole | part | registry::Operation::decode(input).is_ok()
}

fn heads() -> Vec<Vec<u8>> {
    [
        "GET /state?jsonp=cb&x=%20+%zz HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip;q=0.5, *\r\n\r\n",
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: \r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"type\":\"SUBSCRIBE\"}",
        "POST /slave(1)/mesos.internal.RunTaskMessage HTTP/1.1\r\nUser-Agent: libprocess/master@127.0.0.1:5050\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
        "POST /teardown HTTP/1.1\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nOrigin: http://a\r\nContent-Length: 15\r\n\r\nframeworkId=a+b",
    ]
    .map(|head| head.as_bytes().to_vec())
    .to_vec()
}

/// Reads everything a peer can put into a request.
struct Inquisitive(Table<u8>);

impl Handler for Inquisitive {
    async fn handle(&self, request: Request) -> Response {
        let _ = negotiate::content_type(&request.headers);
        let _ = negotiate::accept(&request.headers);
        let _ = basic::parse(&request.headers);
        let _ = request.form_value("frameworkId");
        let _ = request.query_pairs().count();
        match self.0.find(request.path()) {
            Some(_) => jsonp::json(&request, request.body.clone()),
            None => refuse::not_found(),
        }
    }

    async fn deliver(&self, message: Message) -> bool {
        message.to == "slave(1)"
    }
}

/// A real server on loopback; a connection for each input.
fn http() -> Box<dyn FnMut(&mut Rng, &[u8]) -> bool> {
    let Ok(runtime) = Runtime::new() else { return Box::new(|_, _| panic!("no runtime")) };
    let table = Table::new("slave(1)").at("state", 1).at("api/v1/scheduler", 2).at("teardown", 3);
    let started = runtime.block_on(async {
        let limits = Limits {
            arrival: Duration::from_millis(100),
            half_closed: Duration::from_millis(100),
            ..Limits::default()
        };
        let server = Server::bind("127.0.0.1:0", limits).await?;
        Ok::<_, std::io::Error>((server.local_addr()?, server.serve(Arc::new(Inquisitive(table)))))
    });
    let Ok((address, running)) = started else { return Box::new(|_, _| panic!("no server")) };
    Box::new(move |_, input| {
        let _running = &running;
        runtime.block_on(async {
            let Ok(mut socket) = TcpStream::connect(address).await else { panic!("the server accepts no more") };
            let mut answer = Vec::new();
            // A server that has heard enough closes; then the rest cannot be written.
            let _ = socket.write_all(input).await;
            let _ = socket.shutdown().await;
            let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await;
            assert!(read.is_ok(), "a connection without an end");
            answer.starts_with(b"HTTP/1.1 2")
        })
    })
}

fn journal_files() -> Vec<Vec<u8>> {
    let Ok(home) = tempfile::tempdir() else { return Vec::new() };
    let path = home.path().join("journal");
    if let Ok(opened) = open_journal(&path, true) {
        for i in 0..20u8 {
            let _ = opened.journal.append(None, vec![i; usize::from(i) * 7].into());
        }
    }
    std::fs::read(&path).into_iter().collect()
}

fn journal_file() -> Box<dyn FnMut(&mut Rng, &[u8]) -> bool> {
    let home = tempfile::tempdir();
    Box::new(move |_, input| {
        let Ok(home) = &home else { panic!("no directory") };
        let path = home.path().join("journal");
        assert!(std::fs::write(&path, input).is_ok(), "no file");
        let taken = open_journal(&path, true).is_ok();
        assert!(std::fs::write(&path, input).is_ok(), "no file");
        let _ = open_journal(&path, false);
        taken
    })
}

fn open_journal(path: &Path, strict: bool) -> Result<journal::Opened, journal::JournalError> {
    let options = journal::Options { durability: journal::Durability::Kernel, boot: "this one".to_owned(), strict };
    journal::Journal::open(path, &options, Box::new(|_, _| {}))
}
