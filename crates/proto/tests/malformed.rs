//! Two hundred thousand broken inputs for each decoder: nothing panics, every refusal says why, memory stays in
//! proportion. The inputs are vectors with bytes flipped, cut, doubled and mixed, from a fixed seed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "vectors are files")]

#[path = "../fuzz/checks.rs"]
mod checks;

use proto::recordio::Decoder;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    error::Error,
    fs,
    path::Path,
};

const INPUTS: usize = 200_000;

/// Longer vectors would only make the test slow.
const MAX_SEED: usize = 1500;

/// An input may make a decoder take this many bytes at once for each of its own, beside what any takes.
const MEMORY_PER_BYTE: usize = 256;
const MEMORY_FOR_ANY: usize = 64 << 10;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn note(added: usize, removed: usize) {
    let held = HELD.get().wrapping_add(added).wrapping_sub(removed);
    HELD.set(held);
    // A thread may free what another one took: then it holds "less than nothing".
    if held < usize::MAX / 2 {
        PEAK.set(PEAK.get().max(held));
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller keeps what `alloc` asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `run` held at once.
fn peak_of(run: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    run();
    PEAK.get() - before
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        (one.min(other), one.max(other))
    }
}

/// Bytes that mean something to one of the decoders.
const TELLING: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b",",
    b":",
    b"null",
    b"true",
    b"-",
    b"1e999",
    b"0.1",
    b"99999999999999999999",
    b"\n",
    b"18446744073709551615\n",
    b"0\n",
    b"\xff",
    b"\x00",
    b"\x0a",
    b"\x12",
    b"\x0b",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\x80",
];

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.truncate(at),
            3 => {
                let (start, end) = random.range(input.len());
                input.drain(start..end.min(start + 40));
            }
            4 => {
                let (start, end) = random.range(input.len());
                let doubled = input[start..end.min(start + 200)].to_vec();
                input.splice(at..at, doubled);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let (start, end) = random.range(other.len());
                input.splice(at..at, other[start..end.min(start + 200)].iter().copied());
            }
            _ => {
                let telling = TELLING[random.below(TELLING.len())];
                let telling = telling.repeat(1 + random.below(3));
                input.splice(at..at, telling);
            }
        }
    }
    input
}

/// Vectors, and the records of streams, that end in `suffix`.
fn seeds(suffix: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut seeds = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        let name = path.to_string_lossy();
        if name.ends_with(&format!("{suffix}.recordio")) {
            let mut decoder = Decoder::default();
            decoder.push(&fs::read(&path)?);
            while let Some(record) = decoder.next()? {
                seeds.push(record.to_vec());
            }
        } else if name.ends_with(suffix) {
            seeds.push(fs::read(&path)?);
        }
    }
    seeds.retain(|seed| (8..=MAX_SEED).contains(&seed.len()));
    assert!(seeds.len() > 40, "{}", seeds.len());
    Ok(seeds)
}

/// Calls, as clients send them.
const CALLS: &[&str] = &[
    r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"n","roles":["a"],"failover_timeout":1e3,
        "capabilities":[{"type":"MULTI_ROLE"}],"labels":{"labels":[{"key":"k"}]}},"suppressed_roles":["a"]}}"#,
    r#"{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH",
        "launch":{"task_infos":[{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"true"},
        "resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}}],"limits":{"mem":{"value":"Infinity"}}}]}}],
        "filters":{"refuse_seconds":5.5}}}"#,
    r#"{"type":"MESSAGE","framework_id":{"value":"f"},"executor_id":{"value":"e"},"message":{"agent_id":{"value":"a"},
        "executor_id":{"value":"e"},"data":"aGVsbG8="}}"#,
    r#"{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"r","limits":{"cpus":{"value":"2"}}}]}}"#,
    r#"{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"a"},"max_grace_period":{"seconds":3},"mark_gone":"true"}}"#,
];

/// Runs `check` on all inputs; it tells whether the input was taken after all.
fn run(seeds: &[Vec<u8>], seed: u64, mut check: impl FnMut(u8, &[u8]) -> bool) {
    let mut random = Random(seed);
    let mut refused = 0;
    for number in 0..INPUTS {
        let input = mutate(&mut random, seeds);
        let which = random.next() as u8;
        let mut taken = false;
        let peak = peak_of(|| taken = check(which, &input));
        refused += usize::from(!taken);
        let allowed = MEMORY_FOR_ANY + MEMORY_PER_BYTE * input.len();
        assert!(peak < allowed, "input {number}: {peak} bytes held for {} bytes", input.len());
    }
    assert!(refused > INPUTS / 4, "{refused} of {INPUTS} inputs refused: hardly malformed");
}

#[test]
fn json() -> Result<(), Box<dyn Error>> {
    let mut seeds = seeds("json")?;
    seeds.extend(CALLS.iter().flat_map(|call| std::iter::repeat_n(call.as_bytes().to_vec(), 10)));
    run(&seeds, 1, checks::json);
    Ok(())
}

#[test]
fn wire() -> Result<(), Box<dyn Error>> {
    let mut seeds = seeds("pb")?;
    for call in CALLS {
        let call: proto::v1::scheduler::Call = proto::json::from_slice(call.as_bytes())?;
        seeds.extend(std::iter::repeat_n(proto::wire::encode(&call).to_vec(), 10));
    }
    run(&seeds, 2, checks::wire);
    Ok(())
}

#[test]
fn recordio() {
    let stream = |records: &[&[u8]]| records.iter().flat_map(|record| proto::recordio::encode(record)).collect();
    let streams: Vec<Vec<u8>> =
        vec![stream(&[b"a", b"", b"abc"]), stream(&[&[7; 300], b"x"]), stream(&[b"{}".as_slice(); 5])];
    // In pieces, each after its length.
    let seeds: Vec<Vec<u8>> = (1..=9)
        .flat_map(|size| streams.iter().map(move |stream| (size * 7, stream)))
        .map(|(size, stream)| stream.chunks(size).flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect())
        .collect();
    run(&seeds, 3, |_, input| checks::records(input));
}

/// As `field` of a message: its key, its length, and `payload`.
fn entry(field: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    let mut length = payload.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(payload);
    out
}

/// How much `decode` may take for `bytes` on the wire: the bound, and that lists double as they grow.
fn bound(bytes: usize) -> usize {
    3 * ((16 << 20) + 16 * bytes)
}

/// Whatever is small on the wire and large in memory is refused before it is large.
#[test]
fn a_message_takes_a_bounded_multiple_of_its_bytes() {
    use proto::{DecodeError, Message, v1, wire};

    const SIZE: usize = 4 << 20;

    fn refused<M: Message>(what: &str, bytes: &[u8]) {
        let mut refusal = None;
        let peak = peak_of(|| refusal = wire::decode::<M>(bytes).err());
        let error = refusal.unwrap_or_else(|| panic!("{what} was taken"));
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{what}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("a message of {} bytes", bytes.len())), "{text}");
        assert!(text.contains(&format!("more than {} bytes in memory", (16 << 20) + 16 * bytes.len())), "{text}");
        assert!(peak < bound(bytes.len()), "{what}: {peak} bytes held");
    }

    let filled = |unit: &[u8]| unit.repeat(SIZE / unit.len());
    // Tasks with nothing but what they must have.
    let task = [entry(1, b""), entry(2, &entry(1, b"")), entry(3, &entry(1, b""))].concat();
    let launch = entry(2, &filled(&entry(1, &task)));
    refused::<v1::scheduler::Call>("bare tasks", &entry(4, &entry(2, &launch)));
    // Messages that require nothing at all, deep in one that does.
    let networks = filled(&entry(7, b""));
    let container = [vec![8, 2], networks].concat();
    refused::<v1::TaskInfo>("empty networks", &[task.clone(), entry(9, &container)].concat());
    refused::<v1::Labels>("empty labels", &filled(&entry(1, &entry(1, b""))));
    refused::<v1::scheduler::call::Revive>("empty texts", &filled(&entry(1, b"")));
    // A message in parts: each is small, the sum is not.
    let part = entry(9, &[vec![8, 2], entry(7, b"").repeat(100)].concat());
    refused::<v1::TaskInfo>("networks in parts", &[task, filled(&part)].concat());
    // A map, whose entries hold messages.
    let limits = filled(&entry(3, &[entry(1, b""), entry(2, &[9, 0, 0, 0, 0, 0, 0, 0, 0])].concat()));
    let peak = peak_of(|| drop(wire::decode::<v1::quota::QuotaConfig>(&[entry(1, b"r"), limits].concat())));
    assert!(peak < bound(SIZE), "{peak} bytes held for a map");

    // The same said in JSON; in a list, all share one bound.
    let json = format!(r#"{{"type":"MESOS","network_infos":[{}{{}}]}}"#, "{},".repeat(SIZE / 3));
    let refusal = proto::json::from_slice::<v1::ContainerInfo>(json.as_bytes()).err();
    let text = refusal.map(|refusal| refusal.body("ContainerInfo", true)).unwrap_or_default();
    assert!(text.contains("bytes in memory"), "{text}");
    let json = format!("[{}{{}}]", "{},".repeat(SIZE / 3));
    let mut refusal = None;
    let peak = peak_of(|| refusal = proto::json::list_from_slice::<v1::NetworkInfo>(json.as_bytes()).err());
    assert!(matches!(refusal, Some(DecodeError::TooLarge { .. })), "a list was taken");
    assert!(peak < bound(json.len()), "{peak} bytes held for a list");
}

/// Looking at a message in parts, each of which is a message in parts, copies none of them.
#[test]
fn parts_in_parts_cost_no_copies() {
    let mut id = entry(1, &vec![b'x'; 1 << 20]);
    for _ in 0..90 {
        id = [entry(2, &id), entry(2, &entry(1, b"y")), entry(1, b"z")].concat();
    }
    let mut taken = false;
    let peak = peak_of(|| taken = proto::wire::decode::<proto::v1::ContainerId>(&id).is_ok());
    assert!(taken && peak < 4 << 20, "{peak} bytes held");
}

/// An agent with a hundred thousand tasks comes back, however it names them.
#[test]
fn large_registrations_are_no_attack() -> Result<(), Box<dyn Error>> {
    use proto::{internal, v1, wire};

    const TASKS: usize = 100_000;
    let resource = |name: &str, value: f64| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some("r".into()) }),
        ..Default::default()
    };
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "t".into() },
        state: v1::TaskState::TaskRunning.into(),
        timestamp: Some(1.5),
        uuid: Some(vec![7; 16].into()),
        ..Default::default()
    };
    let task = v1::Task {
        name: "t".into(),
        task_id: v1::TaskId { value: "t".into() },
        framework_id: v1::FrameworkId { value: "f".into() },
        agent_id: v1::AgentId { value: "a".into() },
        state: v1::TaskState::TaskRunning.into(),
        resources: vec![resource("cpus", 0.1), resource("mem", 1.0)],
        statuses: vec![status.clone(), status],
        labels: Some(v1::Labels { labels: vec![v1::Label { key: "k".into(), value: None }; 3] }),
        ..Default::default()
    };
    let agent = v1::AgentInfo { hostname: "h".into(), ..Default::default() };
    let mut message = internal::ReregisterSlaveMessage { agent, ..Default::default() };
    message.tasks = vec![task; TASKS];
    let bytes = wire::encode(&message);
    let read: internal::ReregisterSlaveMessage = wire::decode(&bytes)?;
    assert_eq!(read.tasks.len(), TASKS);
    Ok(())
}
