//! The tasks of a run: in which state each is, where, what it prints, how it ended.

use std::{future::Future, sync::Arc};

use client::Options;
use model::task_state::is_terminal;
use proto::v1::{TaskState, TaskStatus, task_status::Source};
use tokio::time::Instant;

use crate::{
    exit,
    framework::{AgentPlace, Unit},
    printer::{Printer, Written},
    progress::{Counts, Progress},
    sandbox::{self, Place},
    tails::{Tail, Tails},
};

/// Failures that are told again at the end.
const FAILURES_MAX: usize = 20;

pub struct Watch {
    /// Known once the framework is subscribed.
    pub framework_id: String,
    /// By number of the unit, then of the part.
    units: Vec<Vec<Track>>,
    several: bool,
    counts: Counts,
    progress: Progress,
    printer: Printer,
    tails: Tails,
    started: Instant,
    /// Of a single task, for after the rest of its output.
    last_words: Option<LastWords>,
    failures: Vec<LastWords>,
}

/// How a task ended, in a sentence.
struct LastWords {
    good: bool,
    /// The exit code tells it, too: `--quiet` may leave it out.
    told_by_code: bool,
    text: String,
}

impl LastWords {
    fn say(&self, progress: &Progress) {
        match (self.good, self.told_by_code) {
            (true, _) => progress.plain(&self.text),
            (false, true) => progress.note(&self.text),
            (false, false) => progress.warn(&self.text),
        }
    }
}

/// Where a task is in its life, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Finished,
    Failed,
}

struct Track {
    /// Unlike that of any other.
    number: usize,
    name: String,
    agent: Option<Arc<AgentPlace>>,
    in_pod: bool,
    last: Option<TaskStatus>,
    phase: Phase,
    tail: Option<Tail>,
}

impl Track {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Failed)
    }

    fn enter(&mut self, phase: Phase, counts: &mut Counts) {
        *count_of(counts, self.phase) -= 1;
        *count_of(counts, phase) += 1;
        self.phase = phase;
    }
}

fn count_of(counts: &mut Counts, phase: Phase) -> &mut usize {
    match phase {
        Phase::Waiting => &mut counts.waiting,
        Phase::Running => &mut counts.running,
        Phase::Finished => &mut counts.finished,
        Phase::Failed => &mut counts.failed,
    }
}

impl Watch {
    /// `options` say who asks agents for what tasks print.
    pub fn new(units: &[Unit], options: Options, progress: Progress) -> (Watch, Written) {
        let (printer, written) = Printer::start(progress.clone());
        let mut numbers = 0..;
        let mut track = |unit: &Unit, name: &str| Track {
            number: numbers.next().unwrap_or_default(),
            name: name.to_owned(),
            agent: None,
            in_pod: unit.pod.is_some(),
            last: None,
            phase: Phase::Waiting,
            tail: None,
        };
        let units: Vec<Vec<Track>> =
            units.iter().map(|unit| unit.parts.iter().map(|part| track(unit, &part.task.name)).collect()).collect();
        let total = units.iter().map(Vec::len).sum();
        let watch = Watch {
            framework_id: String::new(),
            units,
            several: total > 1,
            counts: Counts { total, waiting: total, ..Counts::default() },
            tails: Tails::new(options, printer.clone(), progress.clone()),
            progress,
            printer,
            started: Instant::now(),
            last_words: None,
            failures: Vec::new(),
        };
        watch.show();
        (watch, written)
    }

    /// Waits until nobody reads what is printed.
    pub async fn broken(&self) {
        tokio::select! {
            () = self.printer.broken() => {}
            () = self.progress.broken() => {}
        }
    }

    pub fn is_over(&self) -> bool {
        self.counts.ended() == self.counts.total
    }

    pub fn nothing_runs(&self) -> bool {
        self.counts.running == 0
    }

    /// The number of a unit that is not launched yet.
    pub fn first_waiting(&self) -> Option<usize> {
        self.units.iter().position(|unit| unit.iter().any(|track| track.phase == Phase::Waiting))
    }

    pub fn exit_code(&self) -> u8 {
        let ends: Vec<&TaskStatus> = self.units.iter().flatten().filter_map(|track| track.last.as_ref()).collect();
        exit::code_of_all(ends.into_iter())
    }

    pub fn on_launched(&mut self, unit: &Unit, agent: &Arc<AgentPlace>) {
        for track in self.units.get_mut(unit.number).into_iter().flatten() {
            track.agent = Some(agent.clone());
            track.enter(Phase::Running, &mut self.counts);
        }
    }

    pub fn on_requeued(&mut self, unit: &Unit, why: &str) {
        for track in self.units.get_mut(unit.number).into_iter().flatten() {
            track.agent = None;
            track.enter(Phase::Waiting, &mut self.counts);
            self.progress.note(&format!("{} is launched again, because its launch got lost: {why}", track.name));
        }
    }

    pub fn on_update(&mut self, unit: usize, part: usize, status: TaskStatus) {
        let Some(track) = self.units.get_mut(unit).and_then(|unit| unit.get_mut(part)) else { return };
        if track.is_over() {
            return;
        }
        let state = status.state();
        let host = track.agent.as_ref().map(|agent| agent.hostname.clone()).unwrap_or_default();
        let before = track.last.as_ref().map(TaskStatus::state);
        let ran = !matches!(status.source(), Source::Master) || before.is_some();
        let follows = state == TaskState::TaskRunning || (is_terminal(state) && ran);
        if follows
            && track.tail.is_none()
            && let Some(place) = place(track, &self.framework_id, &status)
        {
            let prefix = self.several.then(|| format!("[{}] ", track.name));
            track.tail = Some(self.tails.follow(track.number, place, prefix));
        }
        let name = &track.name;
        match state {
            TaskState::TaskRunning if before != Some(state) => {
                self.progress.plain(&format!("{name} runs on {host}"));
            }
            TaskState::TaskUnreachable if before != Some(state) => {
                self.progress.note(&format!("{name}: its agent {host} is away; waiting for it to come back"));
            }
            _ => {}
        }
        if status.healthy == Some(false) && track.last.as_ref().and_then(|last| last.healthy) != Some(false) {
            self.progress.note(&format!("{name} is unhealthy: {}", status.message()));
        }
        if is_terminal(state) || state == TaskState::TaskUnknown {
            let good = state == TaskState::TaskFinished;
            let told =
                LastWords { good, told_by_code: exit::is_told(&status), text: describe_end(name, &host, &status) };
            if let Some(tail) = track.tail.take() {
                tail.ended();
            }
            track.enter(if good { Phase::Finished } else { Phase::Failed }, &mut self.counts);
            match self.several {
                true => {
                    told.say(&self.progress);
                    if !good && self.failures.len() < FAILURES_MAX {
                        self.failures.push(told);
                    }
                }
                false => self.last_words = Some(told),
            }
        }
        track.last = Some(status);
    }

    pub fn show(&self) {
        if self.several {
            self.progress.show(self.counts.describe(), self.counts.ended());
            return;
        }
        let text = match self.units.iter().flatten().next() {
            Some(Track { agent: Some(agent), last, .. }) => match last.as_ref().map(TaskStatus::state) {
                Some(TaskState::TaskRunning) => format!("running on {}", agent.hostname),
                _ => format!("starting on {}", agent.hostname),
            },
            _ => "waiting for an offer".to_owned(),
        };
        self.progress.show(text, 0);
    }

    /// Waits for the `goodbye` to the master and for the rest of the output; then says how it went.
    pub async fn drain(self, goodbye: impl Future<Output = ()>) {
        // Tasks whose end nobody heard of are not waited for.
        drop(self.units);
        drop(self.printer);
        tokio::join!(self.tails.finish(), goodbye);
        if let Some(told) = self.last_words {
            told.say(&self.progress);
        }
        if !self.several {
            return;
        }
        let secs = self.started.elapsed().as_secs_f64();
        self.progress.note(&format!("{} in {secs:.1} s", self.counts.describe()));
        // Among many tasks they would be far up on the screen.
        for failure in &self.failures {
            failure.say(&self.progress);
        }
        if self.counts.failed > self.failures.len() {
            self.progress.note(&format!("and {} more failed", self.counts.failed - self.failures.len()));
        }
    }
}

/// Where the task's files are, if its agent can be asked.
fn place(track: &Track, framework_id: &str, status: &TaskStatus) -> Option<Place> {
    let agent = track.agent.as_ref()?;
    let container = sandbox::container_of(status);
    if track.in_pod && container.as_ref().is_none_or(|container| container.parent.is_none()) {
        return None;
    }
    Some(Place {
        address: agent.address.clone()?,
        agent_id: agent.id.value.clone(),
        framework_id: framework_id.to_owned(),
        executor_id: sandbox::executor_of(&status.task_id.value, status.executor_id.as_ref()),
        container,
    })
}

fn describe_end(name: &str, host: &str, status: &TaskStatus) -> String {
    let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
    let word = match status.state() {
        TaskState::TaskFinished => return format!("{name} finished{on}"),
        TaskState::TaskFailed => "failed",
        TaskState::TaskKilled => "was killed",
        TaskState::TaskError => "was refused",
        _ => "is lost",
    };
    let reason = status.reason.map(|_| status.reason().as_str_name());
    match (status.message.as_deref().filter(|message| !message.is_empty()), reason) {
        (Some(message), Some(reason)) => format!("{name} {word}{on}: {message} ({reason})"),
        (Some(told), None) | (None, Some(told)) => format!("{name} {word}{on}: {told}"),
        (None, None) => format!("{name} {word}{on}"),
    }
}
