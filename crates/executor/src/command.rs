//! The command executor's decisions: one task, run as a child process. Pure.

use std::time::Duration;

use proto::v1::{self, TaskState, task_status::Reason};
use stdx::{Tick, never};

use crate::{
    checks::{Checks, Verdict},
    environment,
    kill::{self, Kill},
    step::{Action, Event, Machine, Signal, describe_wait, duration},
};

/// How long the executor stays for the acknowledgement of the terminal update.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same once it was told to shut down: its framework may be gone, and then nobody acknowledges anything.
pub(crate) const SETTLE_TIMEOUT_IN_SHUTDOWN: Duration = Duration::from_secs(1);

/// The command executor.
#[derive(Debug)]
pub struct Command {
    shutdown_grace: Duration,
    tells_killing: bool,
    leaving: bool,
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
        Command { shutdown_grace, tells_killing: false, leaving: false, stage: Stage::Idle }
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
            let variables = environment::of_task(&live.task, None);
            let mut command = live.task.command.clone().unwrap_or_default();
            command.environment = Some(v1::Environment { variables });
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
        let patience = if self.leaving { SETTLE_TIMEOUT_IN_SHUTDOWN } else { SETTLE_TIMEOUT };
        self.stage = Stage::Ended { task, give_up: now + patience };
    }

    fn on_shutdown(&mut self, now: Tick, out: &mut Vec<Action>) {
        self.leaving = true;
        // The agent destroys the container when the whole grace is over; the forced signal comes before that.
        let most = self.shutdown_grace.mul_f64(0.6);
        match &mut self.stage {
            Stage::Live(live) => {
                let grace = kill::grace(None, &live.task).min(most);
                self.on_kill(now, None, grace, out);
            }
            Stage::Ended { give_up, .. } => *give_up = (*give_up).min(now + SETTLE_TIMEOUT_IN_SHUTDOWN),
            Stage::Idle | Stage::Gone => self.on_kill(now, None, Duration::ZERO, out),
        }
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
                if !self.leaving {
                    out.push(Action::Log("the agent never acknowledged the terminal update".to_owned()));
                }
                self.leave(u8::from(!self.leaving), out);
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
            Event::Shutdown => self.on_shutdown(now, out),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks::{ProbeResult, Which},
        step::tests::{Script, subscribed, task},
    };

    fn executor(tells_killing: bool) -> Script<Command> {
        let mut script = Script::new(Command::new(Duration::from_secs(5)));
        script.does(0, Event::Subscribed(Box::new(subscribed(tells_killing))), &[]);
        script
    }

    fn running(tells_killing: bool, task: v1::TaskInfo) -> Script<Command> {
        let mut script = executor(tells_killing);
        script.does(0, Event::Launch(vec![task]), &["t STARTING", "spawn run"]);
        script.does(0, Event::Spawned(Ok(())), &["t RUNNING"]);
        script
    }

    fn kill(grace: u64) -> Event {
        Event::Kill { task: "t".into(), grace: Some(Duration::from_secs(grace)) }
    }

    #[test]
    fn a_task_that_exits_cleanly_finishes_and_its_acknowledgement_ends_the_executor() {
        let mut script = running(true, task("t"));
        script.does(1, Event::Settled { task: "t".into() }, &[]);
        script.does(2, Event::Exited(0), &["drop probes of t", "t FINISHED: Command exited with status 0"]);
        script.does(2, Event::Settled { task: "other".into() }, &[]);
        script.does(3, Event::Settled { task: "t".into() }, &["exit 0"]);
        script.does(3, Event::Shutdown, &[]);
    }

    #[test]
    fn a_terminal_update_that_nobody_acknowledges_keeps_the_executor_for_a_minute() {
        let mut script = running(true, task("t"));
        script.run(2, Event::Exited(9));
        script.wakes(61, &[]);
        script.wakes(62, &["log the agent never acknowledged the terminal update", "exit 1"]);
    }

    #[test]
    fn a_kill_escalates_after_the_grace_and_later_kills_only_hasten_it() {
        let mut script = running(true, task("t"));
        script.does(10, kill(30), &["t KILLING", "drop probes of t", "signal Terminate"]);
        script.does(11, kill(60), &[]);
        script.does(11, kill(5), &[]);
        script.wakes(14, &[]);
        script.wakes(15, &["signal Kill"]);
        script.does(15, Event::Exited(0), &["drop probes of t", "t KILLED: Command exited with status 0"]);
        script.does(15, kill(0), &[]);
    }

    #[test]
    fn the_grace_is_the_requests_then_the_tasks_then_three_seconds() {
        let mut script = running(false, task("t"));
        script.does(0, Event::Kill { task: "t".into(), grace: None }, &["drop probes of t", "signal Terminate"]);
        script.wakes(3, &["signal Kill"]);
        let mut patient = task("t");
        patient.kill_policy =
            Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 7_000_000_000 }) });
        let mut script = running(false, patient);
        script.run(0, Event::Kill { task: "t".into(), grace: None });
        script.wakes(6, &[]);
        script.wakes(7, &["signal Kill"]);
    }

    #[test]
    fn a_kill_without_a_task_ends_the_executor() {
        executor(false).does(0, kill(1), &["exit 0"]);
    }

    #[test]
    fn a_task_over_its_time_is_killed_at_once_and_fails() {
        let mut hasty = task("t");
        hasty.max_completion_time = Some(v1::DurationInfo { nanoseconds: 2_000_000_000 });
        let mut script = running(false, hasty);
        script.wakes(2, &["drop probes of t", "signal Terminate", "signal Kill"]);
        script.does(
            2,
            Event::Exited(9),
            &["drop probes of t", "t FAILED (MaxCompletionTimeReached): Command terminated with signal Killed"],
        );
    }

    #[test]
    fn a_second_task_is_refused() {
        let mut script = running(false, task("t"));
        script.does(
            1,
            Event::Launch(vec![task("u")]),
            &["u FAILED: Attempted to run multiple tasks using a \"command\" executor"],
        );
    }

    #[test]
    fn a_shutdown_leaves_time_before_the_agents_own_end() {
        let mut script = running(false, task("t"));
        script.does(0, Event::Shutdown, &["drop probes of t", "signal Terminate"]);
        script.wakes(3, &["signal Kill"]);
    }

    #[test]
    fn a_shutdown_waits_a_second_for_an_acknowledgement_that_may_never_come() {
        let mut script = running(false, task("t"));
        script.run(0, Event::Shutdown);
        script.does(1, Event::Exited(15), &["drop probes of t", "t KILLED: Command terminated with signal Terminated"]);
        script.wakes(2, &["exit 0"]);
        let mut script = running(false, task("t"));
        script.run(1, Event::Exited(0));
        script.does(5, Event::Shutdown, &[]);
        script.wakes(6, &["exit 0"]);
    }

    #[test]
    fn the_command_is_told_the_role_of_its_resources() {
        let mut machine = Command::new(Duration::from_secs(5));
        let mut out = Vec::new();
        let role = v1::resource::AllocationInfo { role: Some("eng".into()) };
        let resource = v1::Resource { name: "cpus".into(), allocation_info: Some(role), ..Default::default() };
        let task = v1::TaskInfo { resources: vec![resource], ..task("t") };
        machine.handle(Tick(0), Event::Launch(vec![task]), &mut out);
        let Some(Action::Spawn(command)) = out.pop() else { panic!("nothing starts") };
        let variables = &command.environment.as_ref().expect("set").variables;
        assert_eq!((variables[0].name.as_str(), variables[0].value()), ("MESOS_ALLOCATION_ROLE", "eng"));
    }

    #[test]
    fn an_orphan_takes_its_task_along() {
        running(false, task("t")).does(1, Event::Orphaned, &["signal Kill", "exit 1"]);
        running(false, task("t")).does(1, Event::Disconnected, &[]);
    }

    #[test]
    fn health_is_carried_on_and_failing_it_kills() {
        let mut checked = task("t");
        checked.health_check = Some(Box::new(v1::HealthCheck {
            command: Some(v1::CommandInfo::default()),
            delay_seconds: Some(0.0),
            consecutive_failures: Some(2),
            ..Default::default()
        }));
        let probed =
            |word| Event::Probed { task: "t".into(), which: Which::Health, result: ProbeResult::Command(word) };
        let mut script = running(false, checked);
        script.wakes(0, &["probe t Health"]);
        script.does(0, probed(0), &["t RUNNING healthy (TaskHealthCheckStatusUpdated)"]);
        script.wakes(10, &["probe t Health"]);
        script.does(
            10,
            probed(256),
            &["t RUNNING unhealthy (TaskHealthCheckStatusUpdated): Command exited with status 1"],
        );
        script.wakes(20, &["probe t Health"]);
        script.does(
            20,
            probed(9),
            &[
                "t RUNNING unhealthy (TaskHealthCheckStatusUpdated): Command terminated with signal Killed",
                "drop probes of t",
                "signal Terminate",
            ],
        );
        script.does(
            21,
            Event::Exited(15),
            &["drop probes of t", "t KILLED unhealthy: Command terminated with signal Terminated"],
        );
    }

    #[test]
    fn a_process_that_does_not_start_fails_the_task() {
        let mut script = executor(false);
        script.run(0, Event::Launch(vec![task("t")]));
        script.does(0, Event::Spawned(Err("why".into())), &["drop probes of t", "t FAILED: why"]);
        script.does(0, Event::Settled { task: "t".into() }, &["exit 0"]);
    }
}
