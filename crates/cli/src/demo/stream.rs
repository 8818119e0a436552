//! The second framework: a stream of small tasks and pods, always more of them than there is room for.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use client::{Masters, SchedulerClient};
use model::task_state::is_terminal;
use proto::v1::TaskState;
use tokio::sync::watch;

use super::{STREAM, UNIT_CPUS, ledger::Ledger};
use crate::{
    compose::Wish,
    fit,
    framework::{self, Framework, News, Order, Unit},
};

/// Units that wait or run at a time.
const OUTSTANDING: usize = 24;
const FAILOVER: Duration = Duration::from_secs(60);
const EXECUTOR_CPUS: f64 = 0.1;
/// In turn: the commands of a unit. Several are the containers of a pod.
const UNITS: [&[&str]; 6] = [
    &["sleep 0.3"],
    &["seq 1 5000 | sort -r | md5sum"],
    &["echo one; sleep 0.2", "echo two; sleep 0.3"],
    &["awk 'BEGIN { for (i = 0; i < 100000; i++) s += i * i; print s }'"],
    &["ls -l / | wc -l; sleep 0.1"],
    &["sleep 0.1", "sleep 0.2", "pwd; id; env | sort"],
];

pub struct Stream {
    pub masters: Masters,
    pub user: String,
    pub ledger: Arc<Ledger>,
    /// How long to go on even if the other framework is done.
    pub at_least: Duration,
}

impl Stream {
    /// Streams until the other framework is done, and `at_least` for its time.
    pub async fn run(self, other_is_done: watch::Receiver<bool>) -> Result<(), String> {
        let info = framework::info(STREAM.to_owned(), self.user.clone(), vec!["*".to_owned()], true, FAILOVER);
        let mut framework = Framework::start(SchedulerClient::new(self.masters.clone()), info);
        let end = Instant::now() + self.at_least;
        let mut next = OUTSTANDING;
        framework.order(Order::Add((0..next).map(unit).collect())).await;
        let mut open: BTreeMap<usize, usize> = (0..next).map(|number| (number, parts_of(number))).collect();
        while !open.is_empty() {
            match framework.news.recv().await {
                Some(News::Launched { unit, agent }) => self.ledger.launched(STREAM, &agent, unit.parts.len()),
                Some(News::Update { unit: done, status, .. }) if is_terminal(status.state()) => {
                    let good = status.state() == TaskState::TaskFinished;
                    self.ledger.end(STREAM, good);
                    if !good {
                        return Err(format!("{} failed: {}", status.task_id.value, status.message()));
                    }
                    let left = open.entry(done.number).or_insert(1);
                    *left = left.saturating_sub(1);
                    if *left > 0 {
                        continue;
                    }
                    open.remove(&done.number);
                    if Instant::now() < end || !*other_is_done.borrow() {
                        framework.order(Order::Add(vec![unit(next)])).await;
                        open.insert(next, parts_of(next));
                        next += 1;
                    }
                }
                Some(News::Over(Err(error))) => return Err(error.to_string()),
                Some(News::Over(Ok(()))) | None => return Err("the framework ended by itself".to_owned()),
                Some(_) => {}
            }
        }
        framework.finish().await;
        Ok(())
    }
}

fn commands_of(number: usize) -> &'static [&'static str] {
    UNITS.get(number % UNITS.len()).copied().unwrap_or_default()
}

fn parts_of(number: usize) -> usize {
    commands_of(number).len()
}

fn unit(number: usize) -> Unit {
    let commands = commands_of(number);
    let in_pod = commands.len() > 1;
    let left = if in_pod { UNIT_CPUS - EXECUTOR_CPUS } else { UNIT_CPUS };
    let cpus = left / commands.len() as f64;
    let part = |(i, command): (usize, &&str)| {
        let needs = fit::quantities([("cpus", cpus), ("mem", 16.0)]);
        let wish = Wish { command: vec![(*command).to_owned()], needs, ..Wish::default() };
        let name = format!("stream-{number}.{i}");
        wish.part(&name, &name)
    };
    let executor = fit::quantities([("cpus", EXECUTOR_CPUS), ("mem", 32.0), ("disk", 1.0)]);
    Unit { number, parts: commands.iter().enumerate().map(part).collect(), pod: in_pod.then_some(executor) }
}
