//! How fast a task goes from ACCEPT to FINISHED through master, agent and executor, and what that costs: `sh -c true`,
//! command executor, all isolation that the host allows, real processes on loopback. Prints one JSON object a figure.
//!
//! The scheduler is in this process: one stream, one keep-alive connection for calls, protobuf.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use proto::{
    recordio, v1,
    v1::scheduler::{Call, Event, call, event},
    wire,
};
use testkit::{Cluster, Options, processes};

const TASKS: usize = 2_000;
const SAMPLES: usize = 200;
const TASK_CPUS: f64 = 0.5;
const TASK_MEM: f64 = 32.0;
const AGENT_CPUS: f64 = 16.0;

fn main() {
    let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
    let place = std::env::temp_dir();
    let conditions = format!(
        "release, 1 master + 1 agent, --isolation={isolation}, files in {}, cores shared with the scheduler",
        place.display()
    );
    start_to_first_offer(&conditions);

    let cluster = Cluster::start(Options {
        resources: format!("cpus:{AGENT_CPUS};mem:16384;disk:10000;ports:[31000-32000]"),
        agent_flags: vec![format!("--isolation={isolation}")],
        ..Options::default()
    });
    let (master, agent) = (cluster.masters[0].pid().expect("a master"), cluster.agents[0].pid().expect("an agent"));
    std::thread::sleep(Duration::from_secs(1));
    let mib = |pid| processes::rss_bytes(pid).unwrap_or(0) as f64 / f64::from(1 << 20);
    figure("idle.master_rss_mib", mib(master), "MiB", "an agent registered, no framework", None);
    figure("idle.agent_rss_mib", mib(agent), "MiB", "registered, no task", None);

    let floor = floor();
    let mut scheduler = Scheduler::subscribe(&cluster.master_address());
    executor_rss(&mut scheduler, agent);
    latency(&mut scheduler, &conditions);
    throughput(&mut scheduler, master, agent, &conditions, floor);
}

/// A floor measured by the `containers` crate: launches per second and CPU milliseconds each.
fn floor() -> Option<(f64, f64)> {
    let program = std::env::current_exe().ok()?.with_file_name("launch_floor");
    let output = Command::new(program).stderr(Stdio::inherit()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    Some((value("floor.isolated.per_s")?, value("floor.isolated.cpu_ms")?))
}

fn start_to_first_offer(conditions: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let port = processes::free_port();
    let started = Instant::now();
    let mut dev = Command::new(processes::meseta())
        .args(["dev", "--agents", "1", "--port", &port.to_string(), "--work-dir"])
        .arg(home.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("meseta dev");
    let address = format!("127.0.0.1:{port}");
    let mut scheduler = loop {
        match Scheduler::try_subscribe(&address) {
            Some(scheduler) => break scheduler,
            None if started.elapsed() > Duration::from_secs(30) => panic!("{address} lets nobody subscribe"),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    scheduler.next_offer();
    let elapsed = started.elapsed();
    figure("start.first_offer_ms", millis(elapsed), "ms", &format!("{conditions}; meseta dev"), None);
    drop(scheduler);
    // SAFETY: a signal to our own child, which is not waited for yet.
    unsafe { libc::kill(dev.id() as i32, libc::SIGTERM) };
    let _ = dev.wait();
}

fn executor_rss(scheduler: &mut Scheduler, agent: u32) {
    let (offer, agent_id) = scheduler.next_offer();
    scheduler.accept(&[offer], &agent_id, 1, "sleep 1000");
    let task = scheduler.wait_state(v1::TaskState::TaskRunning);
    let executor = children(agent).into_iter().filter_map(processes::rss_bytes).max().unwrap_or(0);
    figure("idle.executor_rss_mib", executor as f64 / f64::from(1 << 20), "MiB", "one command task running", None);
    scheduler.call(call::Type::Kill, |call| {
        call.kill = Some(call::Kill { task_id: v1::TaskId { value: task }, ..Default::default() });
    });
    scheduler.wait_state(v1::TaskState::TaskKilled);
}

fn latency(scheduler: &mut Scheduler, conditions: &str) {
    let (mut running, mut finished) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let (offer, agent_id) = scheduler.next_offer();
        let accepted = Instant::now();
        scheduler.accept(&[offer], &agent_id, 1, "true");
        scheduler.wait_state(v1::TaskState::TaskRunning);
        running.push(millis(accepted.elapsed()));
        scheduler.wait_state(v1::TaskState::TaskFinished);
        finished.push(millis(accepted.elapsed()));
    }
    let conditions = format!("{conditions}; one task at a time, {SAMPLES} samples");
    for (name, values) in [("running", &mut running), ("finished", &mut finished)] {
        values.sort_by(f64::total_cmp);
        for (percentile, at) in [("p50", 0.5), ("p99", 0.99)] {
            let value = values[((values.len() - 1) as f64 * at) as usize];
            figure(&format!("launch.accept_to_{name}_{percentile}_ms"), value, "ms", &conditions, None);
        }
    }
}

fn throughput(scheduler: &mut Scheduler, master: u32, agent: u32, conditions: &str, floor: Option<(f64, f64)>) {
    let cpu = |pid| processes::cpu_time(pid).unwrap_or_default();
    let before = cpu(master) + cpu(agent);
    let started = Instant::now();
    let (mut launched, mut finished) = (0, 0);
    while finished < TASKS {
        match scheduler.next_event() {
            News::Offer(offer, agent_id, cpus) => {
                let room = ((cpus / TASK_CPUS) as usize).min(TASKS - launched);
                if room > 0 {
                    scheduler.accept(&[offer], &agent_id, room, "true");
                    launched += room;
                }
            }
            News::Update(_, state) => match state {
                v1::TaskState::TaskFinished => finished += 1,
                v1::TaskState::TaskStarting | v1::TaskState::TaskRunning => {}
                other => panic!("a task ended as {other:?}"),
            },
            News::Other => {}
        }
    }
    let wall = started.elapsed();
    std::thread::sleep(Duration::from_millis(300));
    let used = cpu(master) + cpu(agent) - before;
    let conditions = format!("{conditions}; {TASKS} tasks, {} at a time", (AGENT_CPUS / TASK_CPUS) as usize);
    let rate = TASKS as f64 / wall.as_secs_f64();
    figure("launch.tasks_per_s", rate, "tasks/s", &conditions, floor.map(|(rate, _)| rate));
    let each = millis(used) / TASKS as f64;
    let conditions = format!("{conditions}; master, agent, executors and tasks together");
    figure("launch.cpu_ms_per_task", each, "ms", &conditions, floor.map(|(_, cpu)| cpu));
}

fn figure(name: &str, value: f64, unit: &str, conditions: &str, reference: Option<f64>) {
    let reference = reference.map_or(String::new(), |value| {
        format!(r#","reference":{{"name":"fork+exec of sh -c true, four namespaces, a cgroup","value":{value}}}"#)
    });
    println!(r#"{{"name":"{name}","value":{value:.4},"unit":"{unit}","conditions":"{conditions}"{reference}}}"#);
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// What the benchmark wants to know of an event.
enum News {
    Offer(v1::OfferId, v1::AgentId, f64),
    Update(String, v1::TaskState),
    Other,
}

/// The leanest scheduler that is still one: a thread reads the stream, calls are written without waiting for answers.
struct Scheduler {
    events: Receiver<Event>,
    calls: TcpStream,
    stream_id: String,
    framework: v1::FrameworkId,
    next_task: usize,
    /// What came while something else was waited for.
    offers: Vec<(v1::OfferId, v1::AgentId, f64)>,
    states: HashMap<i32, Vec<String>>,
}

impl Scheduler {
    fn subscribe(address: &str) -> Scheduler {
        Scheduler::try_subscribe(address).expect("a subscription")
    }

    fn try_subscribe(address: &str) -> Option<Scheduler> {
        let info = v1::FrameworkInfo { user: "root".into(), name: "launch".into(), ..Default::default() };
        let subscribe = call::Subscribe { framework_info: info, ..Default::default() };
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(Box::new(subscribe)),
            ..Default::default()
        };
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        post(&mut stream, &wire::encode(&call), None).ok()?;
        let mut reader = BufReader::new(stream);
        let mut stream_id = String::new();
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if !line.contains(" 200 ") {
            return None;
        }
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok()?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("mesos-stream-id")
            {
                stream_id = value.trim().to_owned();
            }
        }
        let (sender, events) = channel();
        std::thread::spawn(move || read_events(reader, &sender));
        let calls = TcpStream::connect(address).ok()?;
        calls.set_nodelay(true).ok()?;
        let mut answers = calls.try_clone().ok()?;
        std::thread::spawn(move || {
            let mut sink = [0; 65_536];
            while answers.read(&mut sink).is_ok_and(|count| count > 0) {}
        });
        let mut scheduler = Scheduler {
            events,
            calls,
            stream_id,
            framework: v1::FrameworkId::default(),
            next_task: 0,
            offers: Vec::new(),
            states: HashMap::new(),
        };
        while scheduler.framework.value.is_empty() {
            scheduler.next_event();
        }
        Some(scheduler)
    }

    /// Reads one event; updates are acknowledged at once.
    fn next_event(&mut self) -> News {
        if let Some((offer, agent, cpus)) = self.offers.pop() {
            return News::Offer(offer, agent, cpus);
        }
        let event = self.events.recv_timeout(Duration::from_secs(30)).expect("an event within 30 s");
        match event.r#type() {
            event::Type::Subscribed => {
                self.framework = event.subscribed.map(|s| s.framework_id).unwrap_or_default();
            }
            event::Type::Offers => {
                let offers = event.offers.map(|o| o.offers).unwrap_or_default();
                for offer in offers {
                    let of_cpus = offer.resources.iter().filter(|r| r.name == "cpus");
                    let cpus = of_cpus.filter_map(|r| Some(r.scalar.as_ref()?.value)).sum();
                    self.offers.push((offer.id, offer.agent_id, cpus));
                }
                if let Some((offer, agent, cpus)) = self.offers.pop() {
                    return News::Offer(offer, agent, cpus);
                }
            }
            event::Type::Update => {
                let status = event.update.map(|u| u.status).unwrap_or_default();
                let news = News::Update(status.task_id.value.clone(), status.state());
                self.acknowledge(status);
                return news;
            }
            event::Type::Error => panic!("the master says: {:?}", event.error),
            _ => {}
        }
        News::Other
    }

    fn acknowledge(&mut self, status: v1::TaskStatus) {
        let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) else { return };
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
        self.call(call::Type::Acknowledge, |call| call.acknowledge = Some(acknowledge));
    }

    fn next_offer(&mut self) -> (v1::OfferId, v1::AgentId) {
        loop {
            match self.next_event() {
                News::Offer(offer, agent, _) => return (offer, agent),
                News::Update(task, state) => self.states.entry(state as i32).or_default().push(task),
                News::Other => {}
            }
        }
    }

    /// The next task that reaches `state`.
    fn wait_state(&mut self, state: v1::TaskState) -> String {
        if let Some(task) = self.states.get_mut(&(state as i32)).and_then(Vec::pop) {
            return task;
        }
        let mut kept = Vec::new();
        let task = loop {
            match self.next_event() {
                News::Update(task, now) if now == state => break task,
                News::Update(task, other) => self.states.entry(other as i32).or_default().push(task),
                News::Offer(offer, agent, cpus) => kept.push((offer, agent, cpus)),
                News::Other => {}
            }
        };
        self.offers.extend(kept);
        task
    }

    fn accept(&mut self, offers: &[v1::OfferId], agent: &v1::AgentId, count: usize, command: &str) {
        let task_infos = (0..count).map(|_| self.task(agent, command)).collect();
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: offers.to_vec(),
            operations: vec![operation],
            filters: Some(v1::Filters { refuse_seconds: Some(0.0) }),
        };
        self.call(call::Type::Accept, |call| call.accept = Some(accept));
    }

    fn task(&mut self, agent: &v1::AgentId, command: &str) -> v1::TaskInfo {
        self.next_task += 1;
        let scalar = |name: &str, value| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        v1::TaskInfo {
            name: "launch".into(),
            task_id: v1::TaskId { value: format!("t{}", self.next_task) },
            agent_id: agent.clone(),
            resources: vec![scalar("cpus", TASK_CPUS), scalar("mem", TASK_MEM)],
            command: Some(v1::CommandInfo { value: Some(command.into()), ..Default::default() }),
            ..Default::default()
        }
    }

    fn call(&mut self, kind: call::Type, fill: impl FnOnce(&mut Call)) {
        let mut call =
            Call { r#type: Some(kind as i32), framework_id: Some(self.framework.clone()), ..Default::default() };
        fill(&mut call);
        post(&mut self.calls, &wire::encode(&call), Some(&self.stream_id)).expect("a call");
    }
}

fn post(stream: &mut TcpStream, body: &[u8], stream_id: Option<&str>) -> std::io::Result<()> {
    let id = stream_id.map(|id| format!("Mesos-Stream-Id: {id}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n\
         Accept: application/x-protobuf\r\n{id}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    stream.write_all(&message)
}

/// Undoes HTTP's chunks and RecordIO, and hands on the events.
fn read_events(mut reader: BufReader<TcpStream>, events: &std::sync::mpsc::Sender<Event>) {
    let mut decoder = recordio::Decoder::default();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).is_err() {
            return;
        }
        let Ok(size) = usize::from_str_radix(line.trim(), 16) else { return };
        let mut chunk = vec![0; size + 2];
        if size == 0 || reader.read_exact(&mut chunk).is_err() {
            return;
        }
        decoder.push(&chunk[..size]);
        while let Ok(Some(record)) = decoder.next() {
            let Ok(event) = wire::decode::<Event>(&record) else { return };
            if events.send(event).is_err() {
                return;
            }
        }
    }
}
