//! The tasks of a run: in which state each is, where, what it prints, how it ended.

use std::{future::Future, sync::Arc};

use model::task_state::is_terminal;
use proto::v1::{TaskState, TaskStatus, task_status::Source};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    exit,
    follow::{self, Lines},
    framework::{AgentPlace, Unit},
    printer::{Printer, Stream, Written},
    progress::{Counts, Progress},
    sandbox::{self, Place, Sandboxes},
};

pub struct Watch {
    /// Known once the framework is subscribed.
    pub framework_id: String,
    /// By number of the unit, then of the part.
    units: Vec<Vec<Track>>,
    several: bool,
    progress: Progress,
    printer: Printer,
    sandboxes: Arc<Sandboxes>,
    started: Instant,
    last_words: Option<LastWords>,
}

/// How a task ended, in a sentence.
struct LastWords {
    good: bool,
    text: String,
}

impl LastWords {
    fn say(&self, progress: &Progress) {
        match self.good {
            true => progress.plain(&self.text),
            false => progress.note(&self.text),
        }
    }
}

struct Track {
    name: String,
    agent: Option<Arc<AgentPlace>>,
    in_pod: bool,
    last: Option<TaskStatus>,
    over: bool,
    ended: watch::Sender<bool>,
    follower: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn new(units: &[Unit], progress: Progress) -> (Watch, Written) {
        let (printer, written) = Printer::start(progress.clone());
        let track = |unit: &Unit| {
            unit.parts
                .iter()
                .map(|part| Track {
                    name: part.task.name.clone(),
                    agent: None,
                    in_pod: unit.pod.is_some(),
                    last: None,
                    over: false,
                    ended: watch::channel(false).0,
                    follower: None,
                })
                .collect()
        };
        let units: Vec<Vec<Track>> = units.iter().map(track).collect();
        let several = units.iter().map(Vec::len).sum::<usize>() > 1;
        let watch = Watch {
            framework_id: String::new(),
            units,
            several,
            progress,
            printer,
            sandboxes: Arc::default(),
            started: Instant::now(),
            last_words: None,
        };
        watch.show();
        (watch, written)
    }

    pub fn is_over(&self) -> bool {
        self.tracks().all(|track| track.over)
    }

    pub fn nothing_runs(&self) -> bool {
        self.tracks().all(|track| track.over || track.agent.is_none())
    }

    /// The number of a unit that is not launched yet.
    pub fn first_waiting(&self) -> Option<usize> {
        self.units.iter().position(|unit| unit.iter().any(|track| track.agent.is_none() && !track.over))
    }

    pub fn exit_code(&self) -> u8 {
        let ends: Vec<&TaskStatus> = self.tracks().filter_map(|track| track.last.as_ref()).collect();
        exit::code_of_all(ends.into_iter())
    }

    pub fn on_launched(&mut self, unit: &Unit, agent: &Arc<AgentPlace>) {
        for track in self.units.get_mut(unit.number).into_iter().flatten() {
            track.agent = Some(agent.clone());
        }
    }

    pub fn on_requeued(&mut self, unit: &Unit, why: &str) {
        for track in self.units.get_mut(unit.number).into_iter().flatten() {
            track.agent = None;
            self.progress.note(&format!("{} is launched again, for its launch got lost: {why}", track.name));
        }
    }

    pub fn on_update(&mut self, unit: usize, part: usize, status: TaskStatus) {
        let Some(track) = self.units.get_mut(unit).and_then(|unit| unit.get_mut(part)) else { return };
        if track.over {
            return;
        }
        let state = status.state();
        let host = track.agent.as_ref().map(|agent| agent.hostname.clone()).unwrap_or_default();
        let before = track.last.as_ref().map(TaskStatus::state);
        let ran = !matches!(status.source(), Source::Master) || before.is_some();
        let follows = state == TaskState::TaskRunning || (is_terminal(state) && ran);
        if follows && track.follower.is_none() {
            let place = place(track, &self.framework_id, &status);
            track.follower = place.map(|place| {
                let prefix = self.several.then(|| format!("[{}] ", track.name));
                let output = Output {
                    name: track.name.clone(),
                    sandboxes: self.sandboxes.clone(),
                    printer: self.printer.clone(),
                    progress: self.progress.clone(),
                    prefix,
                };
                tokio::spawn(output.follow(place, track.ended.subscribe()))
            });
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
            track.over = true;
            track.ended.send_replace(true);
            let told = LastWords { good: state == TaskState::TaskFinished, text: describe_end(name, &host, &status) };
            match self.several {
                true => told.say(&self.progress),
                // After the rest of the output.
                false => self.last_words = Some(told),
            }
        }
        track.last = Some(status);
    }

    pub fn show(&self) {
        let counts = self.counts();
        if self.several {
            self.progress.show(counts.describe(), counts.ended());
            return;
        }
        let text = match self.tracks().next() {
            Some(Track { agent: Some(agent), last, .. }) => match last.as_ref().map(TaskStatus::state) {
                Some(TaskState::TaskRunning) => format!("running on {}", agent.hostname),
                _ => format!("starting on {}", agent.hostname),
            },
            _ => "waiting for an offer".to_owned(),
        };
        self.progress.show(text, 0);
    }

    /// Waits for the `goodbye` to the master and for the rest of the output.
    pub async fn drain(self, goodbye: impl Future<Output = ()>) {
        let counts = self.counts();
        let followers: Vec<_> = self.units.into_iter().flatten().filter_map(|track| track.follower).collect();
        drop(self.printer);
        let output = async {
            for follower in followers {
                let _ = follower.await;
            }
        };
        tokio::join!(output, goodbye);
        if let Some(told) = self.last_words {
            told.say(&self.progress);
        }
        if self.several {
            self.progress.note(&format!("{} in {:.1} s", counts.describe(), self.started.elapsed().as_secs_f64()));
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for track in self.tracks() {
            counts.total += 1;
            match (track.over, &track.agent, &track.last) {
                (true, _, Some(last)) if last.state() == TaskState::TaskFinished => counts.finished += 1,
                (true, ..) => counts.failed += 1,
                (false, None, _) => counts.waiting += 1,
                (false, Some(_), _) => counts.running += 1,
            }
        }
        counts
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.units.iter().flatten()
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

/// What one task prints, on its way to the terminal.
struct Output {
    name: String,
    sandboxes: Arc<Sandboxes>,
    printer: Printer,
    progress: Progress,
    prefix: Option<String>,
}

impl Output {
    async fn follow(self, place: Place, ended: watch::Receiver<bool>) {
        let sandbox = match self.sandboxes.open(&place).await {
            Ok(sandbox) => sandbox,
            Err(error) => return self.complain(&error),
        };
        let (out, err) = tokio::join!(
            self.follow_one(&sandbox, "stdout", Stream::Stdout, ended.clone()),
            self.follow_one(&sandbox, "stderr", Stream::Stderr, ended),
        );
        if let Err(error) = out.and(err) {
            self.complain(&error);
        }
    }

    async fn follow_one(
        &self,
        sandbox: &sandbox::Sandbox,
        file: &str,
        stream: Stream,
        ended: watch::Receiver<bool>,
    ) -> Result<(), client::Error> {
        let mut lines = self.prefix.as_deref().map(Lines::new);
        let result = follow::follow(sandbox, file, 0, ended, |data| {
            let text = match &mut lines {
                Some(lines) => lines.push(&data),
                None => {
                    // The output of a single task takes the place of the spinner.
                    self.progress.clear();
                    data.to_vec()
                }
            };
            self.printer.print(stream, text)
        })
        .await;
        if let Some(mut lines) = lines {
            self.printer.print(stream, lines.finish()).await;
        }
        result
    }

    fn complain(&self, error: &client::Error) {
        self.progress.warn(&format!("cannot read what {} prints: {error}", self.name));
    }
}
