//! The command executor's decisions: one task, run as a child process. Pure.

use std::time::Duration;

use proto::v1::{self, TaskState, task_status::Reason};
use stdx::{Tick, never};

use crate::{
    checks::{Checks, Verdict},
    kill::{self, Kill},
    step::{Action, Event, Machine, Signal, describe_wait, duration},
};

/// How long the executor stays for the acknowledgement of the terminal update.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The command executor.
#[derive(Debug)]
pub struct Command {
    shutdown_grace: Duration,
    tells_killing: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing to run yet.
    Idle,
    Live(Box<Live>),
    /// The terminal update is on its way.
    Ended {
        task: String,
        give_up: Tick,
    },
    Gone,
}

#[derive(Debug)]
struct Live {
    task: v1::TaskInfo,
    running: bool,
    checks: Checks,
    complete_by: Option<Tick>,
    overdue: bool,
    kill: Option<Kill>,
}

impl Command {
    pub fn new(shutdown_grace: Duration) -> Command {
        Command { shutdown_grace, tells_killing: false, stage: Stage::Idle }
    }

    fn on_launch(&mut self, tasks: Vec<v1::TaskInfo>, out: &mut Vec<Action>) {
        for task in tasks {
            if !matches!(self.stage, Stage::Idle) {
                let mut status = status(&task, TaskState::TaskFailed);
                status.message = Some("Attempted to run multiple tasks using a \"command\" executor".to_owned());
                out.push(Action::Update(Box::new(status)));
                continue;
            }
            let live = Box::new(Live {
                checks: Checks::new(&task),
                task,
                running: false,
                complete_by: None,
                overdue: false,
                kill: None,
            });
            live.update(TaskState::TaskStarting, out);
            let command = live.task.command.clone().unwrap_or_default();
            self.stage = Stage::Live(live);
            out.push(Action::Spawn(Box::new(command)));
        }
    }

    fn on_spawned(&mut self, now: Tick, outcome: Result<(), String>, out: &mut Vec<Action>) {
        let Stage::Live(live) = &mut self.stage else { return };
        match outcome {
            Ok(()) => {
                live.running = true;
                live.complete_by = live.task.max_completion_time.as_ref().map(|time| now + duration(time));
                live.checks.start(now);
                live.update(TaskState::TaskRunning, out);
            }
            Err(why) => {
                let mut status = live.status(TaskState::TaskFailed);
                status.message = Some(why);
                self.end(now, status, out);
            }
        }
    }

    fn on_exited(&mut self, now: Tick, word: i32, out: &mut Vec<Action>) {
        let Stage::Live(live) = &mut self.stage else { return };
        live.checks.stop();
        let state = match (live.overdue, &live.kill, word) {
            (true, ..) => TaskState::TaskFailed,
            (_, Some(_), _) => TaskState::TaskKilled,
            (_, None, 0) => TaskState::TaskFinished,
            (_, None, _) => TaskState::TaskFailed,
        };
        let mut status = live.status(state);
        if live.overdue {
            status.reason = Some(Reason::MaxCompletionTimeReached as i32);
        }
        status.message = Some(format!("Command {}", describe_wait(word)));
        self.end(now, status, out);
    }

    fn end(&mut self, now: Tick, status: v1::TaskStatus, out: &mut Vec<Action>) {
        let task = status.task_id.value.clone();
        out.push(Action::DropProbes { task: task.clone() });
        out.push(Action::Update(Box::new(status)));
        self.stage = Stage::Ended { task, give_up: now + SETTLE_TIMEOUT };
    }

    fn on_kill(&mut self, now: Tick, task: Option<&str>, grace: Duration, out: &mut Vec<Action>) {
        match &mut self.stage {
            Stage::Idle => self.leave(0, out),
            Stage::Live(live) if task.is_none_or(|task| task == live.task.task_id.value) => {
                live.kill(now, grace, self.tells_killing, out);
            }
            Stage::Live(_) | Stage::Ended { .. } | Stage::Gone => {}
        }
    }

    fn on_wake(&mut self, now: Tick, out: &mut Vec<Action>) {
        match &mut self.stage {
            Stage::Live(live) => {
                if live.complete_by.is_some_and(|by| by <= now) {
                    live.complete_by = None;
                    if live.kill.is_none() {
                        live.overdue = true;
                        live.kill(now, Duration::ZERO, self.tells_killing, out);
                    }
                }
                if live.kill.as_mut().is_some_and(|kill| kill.take_force(now)) {
                    out.push(Action::Signal(Signal::Kill));
                }
                for (which, target, timeout) in live.checks.take_due(now) {
                    let task = live.task.task_id.value.clone();
                    out.push(Action::Probe { task, which, target: Box::new(target), timeout, container: None });
                }
            }
            Stage::Ended { give_up, .. } if *give_up <= now => {
                out.push(Action::Log("the agent never acknowledged the terminal update".to_owned()));
                self.leave(1, out);
            }
            Stage::Idle | Stage::Ended { .. } | Stage::Gone => {}
        }
    }

    fn on_verdict(&mut self, now: Tick, verdict: Verdict, out: &mut Vec<Action>) {
        let Stage::Live(live) = &mut self.stage else { return };
        let (reason, message, deadly) = match verdict {
            Verdict::Report { reason, message } => (reason, message, false),
            Verdict::Kill { reason, message } => (reason, message, true),
        };
        let mut status = live.status(TaskState::TaskRunning);
        status.reason = Some(reason as i32);
        status.message = message;
        out.push(Action::Update(Box::new(status)));
        if deadly {
            let grace = kill::grace(None, &live.task);
            live.kill(now, grace, self.tells_killing, out);
        }
    }

    fn leave(&mut self, code: u8, out: &mut Vec<Action>) {
        self.stage = Stage::Gone;
        out.push(Action::Exit(code));
    }
}

impl Live {
    fn status(&self, state: TaskState) -> v1::TaskStatus {
        let mut status = status(&self.task, state);
        status.healthy = self.checks.healthy();
        status.check_status = self.checks.check_status().cloned();
        status
    }

    fn update(&self, state: TaskState, out: &mut Vec<Action>) {
        out.push(Action::Update(Box::new(self.status(state))));
    }

    fn kill(&mut self, now: Tick, grace: Duration, tells: bool, out: &mut Vec<Action>) {
        if let Some(kill) = &mut self.kill {
            kill.shorten(grace);
            return;
        }
        if !self.running {
            never!("a kill between the launch of a task and the start of its process");
            return;
        }
        if tells {
            self.update(TaskState::TaskKilling, out);
        }
        self.checks.stop();
        out.push(Action::DropProbes { task: self.task.task_id.value.clone() });
        out.push(Action::Signal(Signal::Terminate));
        self.kill = Some(Kill::new(now, grace));
    }
}

impl Machine for Command {
    fn handle(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Wake => self.on_wake(now, out),
            Event::Subscribed(subscribed) => self.tells_killing = tells_killing(&subscribed.framework_info),
            Event::Disconnected => {}
            Event::Orphaned => {
                out.push(Action::Signal(Signal::Kill));
                self.leave(1, out);
            }
            Event::Launch(tasks) => self.on_launch(tasks, out),
            Event::Kill { task, grace } => {
                let grace = match &self.stage {
                    Stage::Live(live) => kill::grace(grace, &live.task),
                    _ => Duration::ZERO,
                };
                self.on_kill(now, Some(&task), grace, out);
            }
            Event::Shutdown => {
                // The agent destroys the container when the whole grace is over; the forced signal comes before that.
                let most = self.shutdown_grace.mul_f64(0.6);
                let grace = match &self.stage {
                    Stage::Live(live) => kill::grace(None, &live.task).min(most),
                    _ => Duration::ZERO,
                };
                self.on_kill(now, None, grace, out);
            }
            Event::Settled { task } => {
                if matches!(&self.stage, Stage::Ended { task: ended, .. } if *ended == task) {
                    self.leave(0, out);
                }
            }
            Event::Spawned(outcome) => self.on_spawned(now, outcome, out),
            Event::Exited(word) => self.on_exited(now, word, out),
            Event::Probed { which, result, .. } => {
                let Stage::Live(live) = &mut self.stage else { return };
                if let Some(verdict) = live.checks.on_result(now, which, &result) {
                    self.on_verdict(now, verdict, out);
                }
            }
            Event::ContainerLaunched { .. } | Event::ContainerEnded { .. } | Event::ContainerSignalled { .. } => {}
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        match &self.stage {
            Stage::Live(live) => {
                let kill = live.kill.as_ref().and_then(Kill::next_deadline);
                [live.complete_by, kill, live.checks.next_deadline()].into_iter().flatten().min()
            }
            Stage::Ended { give_up, .. } => Some(*give_up),
            Stage::Idle | Stage::Gone => None,
        }
    }
}

/// Whether the framework wants to hear of TASK_KILLING.
pub(crate) fn tells_killing(framework: &v1::FrameworkInfo) -> bool {
    use v1::framework_info::capability::Type;
    framework.capabilities.iter().any(|capability| capability.r#type() == Type::TaskKillingState)
}

/// An update of `task`, without its uuid and timestamp.
pub(crate) fn status(task: &v1::TaskInfo, state: TaskState) -> v1::TaskStatus {
    v1::TaskStatus { task_id: task.task_id.clone(), state: state as i32, ..Default::default() }
}
