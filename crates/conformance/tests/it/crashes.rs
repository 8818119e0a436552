//! kill -9 of the master, of an agent, of both, at random moments during a run of 500 tasks: each task runs once and
//! ends once with its true state, none is lost, and running tasks survive the restart of their agent.
//!
//! `MESETA_CRASH_TASKS` and `MESETA_CRASH_SEED` make longer and other runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use client::{Incoming, Masters, SchedulerClient, Subscription};
use proto::v1::{self, TaskState, scheduler::call::reconcile};
use stdx::Rng;
use testkit::{Cluster, Options, processes};

const AGENTS: usize = 2;
const TASK_CPUS: f64 = 0.5;
/// How long the whole run may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often the scheduler asks after tasks it has not heard of.
const RECONCILE_EVERY: Duration = Duration::from_secs(3);

#[test]
fn every_task_runs_once_and_ends_once_whatever_is_killed() {
    let tasks = number("MESETA_CRASH_TASKS", 500) as usize;
    let seed = number("MESETA_CRASH_SEED", 1);
    println!("{tasks} tasks, seed {seed}");
    let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
    let cluster = Cluster::start(Options {
        agents: AGENTS,
        agent_flags: vec![format!("--isolation={isolation}"), "--executor_reregistration_timeout=10secs".into()],
        ..Options::default()
    });
    let traces = cluster.home().join("traces");
    fs::create_dir(&traces).unwrap();
    let address = cluster.master_address();
    let done = Arc::new(AtomicBool::new(false));
    let cluster = Arc::new(Mutex::new(cluster));

    let crasher = {
        let (cluster, done) = (cluster.clone(), done.clone());
        move || crash_until(&cluster, &done, Rng::new(seed))
    };
    let (outcome, crashes) = std::thread::scope(|scope| {
        let crasher = scope.spawn(crasher);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = runtime.block_on(async {
            let mut framework = Framework::new(&address, &traces, tasks, seed);
            let ended = tokio::time::timeout(PATIENCE, framework.run()).await.is_ok();
            (ended, framework)
        });
        done.store(true, Ordering::Relaxed);
        (run, crasher.join().expect("the crasher"))
    });
    let (ended, framework) = outcome;
    println!("{crashes:?}");
    assert!(ended, "not done after {PATIENCE:?}: {}", framework.summary());
    framework.check(&traces);
    assert!(crashes.values().sum::<u32>() >= 3, "too few crashes to prove anything: {crashes:?}");
}

/// Kills and restarts servers until the run is done; says how often each.
fn crash_until(cluster: &Mutex<Cluster>, done: &AtomicBool, mut rng: Rng) -> BTreeMap<&'static str, u32> {
    let mut crashes = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(400 + rng.below(900)));
        let agent = rng.below(AGENTS as u64) as usize;
        let pause = Duration::from_millis(rng.below(300));
        let (name, master, agents) = match rng.below(3) {
            0 => ("master", true, false),
            1 => ("agent", false, true),
            _ => ("both", true, true),
        };
        let mut cluster = cluster.lock().unwrap();
        if master {
            cluster.masters[0].kill();
        }
        if agents {
            cluster.agents[agent].kill();
        }
        std::thread::sleep(pause);
        // These start from this thread, which outlives the run.
        if agents {
            cluster.start_agent(agent);
        }
        if master {
            cluster.start_master(0);
        }
        *crashes.entry(name).or_insert(0) += 1;
    }
    crashes
}

/// A scheduler that keeps its books: each wanted task, its attempts, and what was said of each attempt.
struct Framework {
    client: SchedulerClient,
    subscription: Subscription,
    traces: std::path::PathBuf,
    wanted: usize,
    rng: Rng,
    /// Tasks that have no attempt under way.
    waiting: BTreeSet<usize>,
    /// Attempts under way, by task id.
    under_way: BTreeMap<String, Attempt>,
    /// Ended tasks and their states.
    ended: BTreeMap<usize, TaskState>,
    problems: Vec<String>,
    relaunched: usize,
    updates: usize,
}

struct Attempt {
    task: usize,
    number: usize,
    launched: Instant,
}

impl Framework {
    fn new(address: &str, traces: &Path, wanted: usize, seed: u64) -> Framework {
        let client = SchedulerClient::new(address.parse::<Masters>().unwrap());
        let info = v1::FrameworkInfo {
            user: "root".into(),
            name: "crashes".into(),
            checkpoint: Some(true),
            failover_timeout: Some(600.0),
            ..Default::default()
        };
        Framework {
            subscription: Subscription::new(client.clone(), info),
            client,
            traces: traces.to_owned(),
            wanted,
            rng: Rng::new(seed).fork("framework"),
            waiting: (0..wanted).collect(),
            under_way: BTreeMap::new(),
            ended: BTreeMap::new(),
            problems: Vec::new(),
            relaunched: 0,
            updates: 0,
        }
    }

    async fn run(&mut self) {
        let mut reconcile_at = Instant::now() + RECONCILE_EVERY;
        while self.ended.len() < self.wanted {
            let wait = reconcile_at.saturating_duration_since(Instant::now());
            match tokio::time::timeout(wait, self.subscription.next()).await {
                Ok(Ok(Incoming::Event(event))) => self.on_event(*event).await,
                Ok(Ok(Incoming::Subscribed { .. } | Incoming::Lost(_))) => {}
                Ok(Err(error)) => panic!("the subscription ended: {error}"),
                Err(_) => {
                    self.reconcile().await;
                    reconcile_at = Instant::now() + RECONCILE_EVERY;
                }
            }
        }
    }

    async fn on_event(&mut self, event: v1::scheduler::Event) {
        if let Some(offers) = event.offers {
            for offer in offers.offers {
                self.on_offer(offer).await;
            }
        } else if let Some(update) = event.update {
            self.on_update(update.status).await;
        }
    }

    /// Calls may be lost with their master; the books are put right by reconciliation.
    async fn on_offer(&mut self, offer: v1::Offer) {
        let cpus = offer.resources.iter().filter(|r| r.name == "cpus");
        let cpus: f64 = cpus.filter_map(|r| Some(r.scalar.as_ref()?.value)).sum();
        let room = (cpus / TASK_CPUS) as usize;
        let chosen: Vec<usize> = self.waiting.iter().copied().take(room).collect();
        let tasks: Vec<v1::TaskInfo> = chosen.into_iter().map(|task| self.attempt(task, &offer.agent_id)).collect();
        let _ = match tasks.is_empty() {
            true => self.client.decline(vec![offer.id], Some(v1::Filters { refuse_seconds: Some(1.0) })).await,
            false => self.client.launch(vec![offer.id], tasks).await,
        };
    }

    fn attempt(&mut self, task: usize, agent: &v1::AgentId) -> v1::TaskInfo {
        self.waiting.remove(&task);
        let number = self.relaunched;
        let id = format!("task-{task}-{number}");
        self.under_way.insert(id.clone(), Attempt { task, number, launched: Instant::now() });
        let seconds = self.rng.below(800) as f64 / 1000.0;
        let command = format!("echo {id} >> {}/{task}; sleep {seconds}; exit {}", self.traces.display(), code(task));
        let scalar = |name: &str, value| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: agent.clone(),
            resources: vec![scalar("cpus", TASK_CPUS), scalar("mem", 32.0)],
            command: Some(v1::CommandInfo { value: Some(command), ..Default::default() }),
            ..Default::default()
        }
    }

    async fn on_update(&mut self, status: v1::TaskStatus) {
        self.updates += 1;
        if status.uuid.is_some() {
            let _ = self.client.acknowledge(&status).await;
        }
        let id = status.task_id.value.clone();
        match status.state() {
            TaskState::TaskFinished | TaskState::TaskFailed => self.on_end(&id, &status),
            TaskState::TaskLost | TaskState::TaskDropped | TaskState::TaskGone | TaskState::TaskUnknown => {
                self.on_never_started(&id, &status);
            }
            TaskState::TaskKilled | TaskState::TaskError => {
                self.problems.push(format!("{id} was told {:?}: {}", status.state(), status.message()));
            }
            _ => {}
        }
    }

    fn on_end(&mut self, id: &str, status: &v1::TaskStatus) {
        let Some(task) = id.split('-').nth(1).and_then(|n| n.parse::<usize>().ok()) else { return };
        let expected = if code(task) == 0 { TaskState::TaskFinished } else { TaskState::TaskFailed };
        if status.state() != expected {
            let (state, reason, message) = (status.state(), status.reason(), status.message());
            let ran = self.traces.join(task.to_string()).exists();
            self.problems.push(format!("{id} (ran: {ran}) ended {state:?} ({reason:?}: {message}), not {expected:?}"));
        }
        self.under_way.remove(id);
        match self.ended.insert(task, status.state()) {
            Some(before) if before != status.state() => {
                self.problems.push(format!("{id} ended twice: {before:?}, then {:?}", status.state()));
            }
            _ => {}
        }
    }

    /// A launch that was lost on its way; it may be tried again only if nothing of it ever ran.
    fn on_never_started(&mut self, id: &str, status: &v1::TaskStatus) {
        let Some(attempt) = self.under_way.remove(id) else { return };
        if fs::read_to_string(self.traces.join(attempt.task.to_string())).is_ok() {
            let (state, reason, message) = (status.state(), status.reason(), status.message());
            self.problems
                .push(format!("{id} (attempt {}) ran but was told {state:?} ({reason:?}: {message})", attempt.number));
        }
        self.relaunched += 1;
        self.waiting.insert(attempt.task);
    }

    /// Asks after attempts that should have been heard of.
    async fn reconcile(&mut self) {
        let old = self.under_way.iter().filter(|(_, attempt)| attempt.launched.elapsed() > RECONCILE_EVERY);
        let task = |id: &String| reconcile::Task { task_id: v1::TaskId { value: id.clone() }, agent_id: None };
        let tasks: Vec<_> = old.map(|(id, _)| task(id)).collect();
        if !tasks.is_empty() {
            let _ = self.client.reconcile(tasks).await;
        }
        let _ = self.client.revive(Vec::new()).await;
    }

    fn check(&self, traces: &Path) {
        println!("{}", self.summary());
        assert_eq!(self.problems, Vec::<String>::new());
        assert_eq!(self.ended.len(), self.wanted);
        for task in 0..self.wanted {
            let trace = fs::read_to_string(traces.join(task.to_string())).unwrap_or_default();
            assert_eq!(trace.lines().count(), 1, "task {task} ran as: {trace:?}");
        }
    }

    fn summary(&self) -> String {
        format!(
            "{} of {} ended, {} under way, {} waiting, {} relaunched, {} updates, problems: {:?}",
            self.ended.len(),
            self.wanted,
            self.under_way.len(),
            self.waiting.len(),
            self.relaunched,
            self.updates,
            self.problems
        )
    }
}

/// One task in seven fails on purpose.
fn code(task: usize) -> i32 {
    if task % 7 == 3 { 3 } else { 0 }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
