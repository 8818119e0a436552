//! The pod executor's decisions: groups of tasks, each task a nested container of the agent. Pure.

use std::{collections::BTreeSet, time::Duration};

use proto::v1::{self, TaskState, task_status::Reason};
use stdx::{Rng, Tick};

use crate::{
    checks::{Checks, Verdict},
    command, environment,
    kill::{self, Kill},
    settings::Settings,
    step::{Action, Ended, Event, Machine, Signal, describe_wait, duration},
};

/// How long the executor stays for the acknowledgements of terminal updates.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a signal that the agent did not deliver waits for the next attempt.
const SIGNAL_RETRY: Duration = Duration::from_secs(1);

/// The pod executor.
#[derive(Debug)]
pub struct Pod {
    shutdown_grace: Duration,
    container_ip: Option<String>,
    rng: Rng,
    tells_killing: bool,
    root: Option<v1::ContainerId>,
    groups: u64,
    tasks: Vec<Task>,
    /// Tasks whose terminal update is on its way.
    unsettled: BTreeSet<String>,
    give_up: Option<Tick>,
    leaving: bool,
    gone: bool,
}

#[derive(Debug)]
struct Task {
    info: v1::TaskInfo,
    group: u64,
    container: v1::ContainerId,
    running: bool,
    checks: Checks,
    complete_by: Option<Tick>,
    overdue: bool,
    /// The grace of a kill that waits for the launch to end.
    doomed: Option<Duration>,
    kill: Option<Kill>,
    resend: Option<(Tick, Signal)>,
}

impl Pod {
    /// `rng` names the containers; seed it with real randomness.
    pub fn new(settings: &Settings, rng: Rng) -> Pod {
        Pod {
            shutdown_grace: settings.shutdown_grace,
            container_ip: settings.container_ip.clone(),
            rng,
            tells_killing: false,
            root: None,
            groups: 0,
            tasks: Vec::new(),
            unsettled: BTreeSet::new(),
            give_up: None,
            leaving: false,
            gone: false,
        }
    }

    fn on_subscribed(&mut self, now: Tick, subscribed: v1::executor::event::Subscribed, out: &mut Vec<Action>) {
        self.tells_killing = command::tells_killing(&subscribed.framework_info);
        self.root = subscribed.container_id.or_else(|| self.root.take());
        // The answers of the agent that went away are lost: ask again.
        for task in &mut self.tasks {
            if !task.running {
                out.push(task.launch(self.container_ip.as_deref()));
                continue;
            }
            out.push(task.wait());
            match &task.kill {
                None => task.checks.resume(now),
                Some(kill) if kill.is_forced() => out.push(task.signal(Signal::Kill)),
                Some(_) => out.push(task.signal(Signal::Terminate)),
            }
        }
    }

    fn on_launch(&mut self, tasks: Vec<v1::TaskInfo>, out: &mut Vec<Action>) {
        self.groups += 1;
        let first = self.tasks.len();
        for info in tasks {
            let id = &info.task_id.value;
            if self.tasks.iter().any(|task| task.info.task_id.value == *id) || self.unsettled.contains(id) {
                out.push(Action::Log(format!("ignoring a second launch of task '{id}'")));
                continue;
            }
            let container = v1::ContainerId { value: self.rng.uuid_text(), parent: self.root.clone().map(Box::new) };
            let task = Task {
                checks: Checks::new(&info),
                info,
                group: self.groups,
                container,
                running: false,
                complete_by: None,
                overdue: false,
                doomed: None,
                kill: None,
                resend: None,
            };
            task.update(TaskState::TaskStarting, out);
            self.tasks.push(task);
        }
        self.give_up = None;
        for task in self.tasks.iter().skip(first) {
            out.push(task.launch(self.container_ip.as_deref()));
        }
    }

    fn on_launched(&mut self, now: Tick, id: &str, outcome: Result<(), String>, out: &mut Vec<Action>) {
        let tells_killing = self.tells_killing;
        let Some(task) = self.find_task(id).filter(|task| !task.running) else { return };
        match outcome {
            Ok(()) => {
                task.running = true;
                task.complete_by = task.info.max_completion_time.as_ref().map(|time| now + duration(time));
                task.checks.start(now);
                task.update(TaskState::TaskRunning, out);
                out.push(task.wait());
                if let Some(grace) = task.doomed.take() {
                    task.kill(now, grace, tells_killing, out);
                }
            }
            Err(why) => {
                let doomed = task.doomed.is_some();
                let mut status = task.status(if doomed { TaskState::TaskKilled } else { TaskState::TaskFailed });
                status.reason = Some(Reason::ContainerLaunchFailed as i32);
                status.message = Some(why);
                self.end(now, status, out);
            }
        }
    }

    fn on_ended(&mut self, now: Tick, id: &str, ended: Ended, out: &mut Vec<Action>) {
        let Some(task) = self.find_task(id) else { return };
        task.checks.stop();
        let killed = task.kill.is_some() || task.doomed.is_some();
        let told = match ended {
            Ended::Known(told) => *told,
            Ended::Unknown => v1::agent::response::WaitContainer {
                message: Some("The agent does not know the container any more".to_owned()),
                ..Default::default()
            },
        };
        let state = match (task.overdue, killed, told.exit_status) {
            (true, ..) => TaskState::TaskFailed,
            (_, true, _) => TaskState::TaskKilled,
            (_, _, Some(0)) => TaskState::TaskFinished,
            _ => TaskState::TaskFailed,
        };
        let mut status = task.status(state);
        if task.overdue {
            status.reason = Some(Reason::MaxCompletionTimeReached as i32);
        }
        let exit = told.exit_status.map(|word| format!("Command {}", describe_wait(word)));
        status.message = match (exit, told.message) {
            (Some(exit), Some(message)) => Some(format!("{exit}: {message}")),
            (exit, message) => exit.or(message),
        };
        // A container that the agent destroyed, say for its memory: the agent knows better.
        if let Some(state) = told.state.and_then(|state| TaskState::try_from(state).ok()).filter(is_end) {
            status.state = state as i32;
        }
        status.reason = told.reason.or(status.reason);
        status.limitation = told.limitation;
        self.end(now, status, out);
    }

    /// Takes a task off the list; what failed or was killed takes the rest of its group along.
    fn end(&mut self, now: Tick, status: v1::TaskStatus, out: &mut Vec<Action>) {
        let id = status.task_id.value.clone();
        let Some(index) = self.tasks.iter().position(|task| task.info.task_id.value == id) else { return };
        let task = self.tasks.remove(index);
        let finished = status.state() == TaskState::TaskFinished;
        out.push(Action::DropProbes { task: id.clone() });
        out.push(Action::Update(Box::new(status)));
        self.unsettled.insert(id);
        if !finished {
            for other in self.tasks.iter_mut().filter(|other| other.group == task.group) {
                let grace = kill::grace(None, &other.info);
                other.kill(now, grace, self.tells_killing, out);
            }
        }
        if self.tasks.is_empty() {
            let patience = if self.leaving { command::SETTLE_TIMEOUT_IN_SHUTDOWN } else { SETTLE_TIMEOUT };
            self.give_up = Some(now + patience);
        }
    }

    fn on_shutdown(&mut self, now: Tick, out: &mut Vec<Action>) {
        self.leaving = true;
        // The agent destroys the containers when the whole grace is over; the forced signal comes before that.
        let most = self.shutdown_grace.mul_f64(0.6);
        for task in &mut self.tasks {
            let grace = kill::grace(None, &task.info).min(most);
            task.kill(now, grace, self.tells_killing, out);
        }
        if let Some(give_up) = &mut self.give_up {
            *give_up = (*give_up).min(now + command::SETTLE_TIMEOUT_IN_SHUTDOWN);
        }
        self.leave_if_done(out);
    }

    fn on_wake(&mut self, now: Tick, out: &mut Vec<Action>) {
        for task in &mut self.tasks {
            task.on_wake(now, self.tells_killing, out);
        }
        if self.tasks.is_empty() && self.give_up.is_some_and(|at| at <= now) {
            if !self.leaving {
                out.push(Action::Log("the agent never acknowledged a terminal update".to_owned()));
            }
            self.leave(u8::from(!self.leaving), out);
        }
    }

    fn on_verdict(&mut self, now: Tick, id: &str, verdict: Verdict, out: &mut Vec<Action>) {
        let tells_killing = self.tells_killing;
        let Some(task) = self.find_task(id) else { return };
        let (reason, message, deadly) = match verdict {
            Verdict::Report { reason, message } => (reason, message, false),
            Verdict::Kill { reason, message } => (reason, message, true),
        };
        let mut status = task.status(TaskState::TaskRunning);
        status.reason = Some(reason as i32);
        status.message = message;
        out.push(Action::Update(Box::new(status)));
        if deadly {
            let grace = kill::grace(None, &task.info);
            task.kill(now, grace, tells_killing, out);
        }
    }

    /// Leaves once nothing runs and nothing waits for an acknowledgement.
    fn leave_if_done(&mut self, out: &mut Vec<Action>) {
        let had_work = self.groups > 0 || self.leaving;
        if had_work && self.tasks.is_empty() && self.unsettled.is_empty() {
            self.leave(0, out);
        }
    }

    fn leave(&mut self, code: u8, out: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.gone, true) {
            out.push(Action::Exit(code));
        }
    }

    fn find_task(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.info.task_id.value == id)
    }
}

impl Task {
    fn id(&self) -> String {
        self.info.task_id.value.clone()
    }

    fn status(&self, state: TaskState) -> v1::TaskStatus {
        let mut status = command::status(&self.info, state);
        status.healthy = self.checks.healthy();
        status.check_status = self.checks.check_status().cloned();
        status.container_status =
            Some(v1::ContainerStatus { container_id: Some(self.container.clone()), ..Default::default() });
        status
    }

    fn update(&self, state: TaskState, out: &mut Vec<Action>) {
        out.push(Action::Update(Box::new(self.status(state))));
    }

    fn launch(&self, container_ip: Option<&str>) -> Action {
        Action::LaunchContainer { task: self.id(), call: Box::new(launch_call(self, container_ip)) }
    }

    fn wait(&self) -> Action {
        Action::WaitContainer { task: self.id(), container: Box::new(self.container.clone()) }
    }

    fn signal(&self, signal: Signal) -> Action {
        Action::KillContainer { task: self.id(), container: Box::new(self.container.clone()), signal }
    }

    fn kill(&mut self, now: Tick, grace: Duration, tells: bool, out: &mut Vec<Action>) {
        if let Some(kill) = &mut self.kill {
            kill.shorten(grace);
            return;
        }
        if !self.running {
            self.doomed = Some(self.doomed.map_or(grace, |earlier| earlier.min(grace)));
            return;
        }
        if tells {
            self.update(TaskState::TaskKilling, out);
        }
        self.checks.stop();
        out.push(Action::DropProbes { task: self.id() });
        out.push(self.signal(Signal::Terminate));
        self.kill = Some(Kill::new(now, grace));
    }

    fn on_wake(&mut self, now: Tick, tells: bool, out: &mut Vec<Action>) {
        if self.complete_by.is_some_and(|by| by <= now) {
            self.complete_by = None;
            if self.kill.is_none() {
                self.overdue = true;
                self.kill(now, Duration::ZERO, tells, out);
            }
        }
        if self.kill.as_mut().is_some_and(|kill| kill.take_force(now)) {
            self.resend = None;
            out.push(self.signal(Signal::Kill));
        }
        if let Some((_, signal)) = self.resend.take_if(|(at, _)| *at <= now) {
            out.push(self.signal(signal));
        }
        for (which, target, timeout) in self.checks.take_due(now) {
            let container = Some(Box::new(self.container.clone()));
            out.push(Action::Probe { task: self.id(), which, target: Box::new(target), timeout, container });
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        let kill = self.kill.as_ref().and_then(Kill::next_deadline);
        let resend = self.resend.map(|(at, _)| at);
        [self.complete_by, kill, resend, self.checks.next_deadline()].into_iter().flatten().min()
    }
}

impl Machine for Pod {
    fn handle(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Wake => self.on_wake(now, out),
            Event::Subscribed(subscribed) => self.on_subscribed(now, *subscribed, out),
            Event::Disconnected => {
                for task in &mut self.tasks {
                    task.checks.stop();
                    task.resend = None;
                    out.push(Action::DropProbes { task: task.id() });
                }
            }
            Event::Orphaned => self.leave(1, out),
            Event::Launch(tasks) => self.on_launch(tasks, out),
            Event::Kill { task: id, grace } => {
                let tells_killing = self.tells_killing;
                if let Some(task) = self.find_task(&id) {
                    let grace = kill::grace(grace, &task.info);
                    task.kill(now, grace, tells_killing, out);
                }
            }
            Event::Shutdown => self.on_shutdown(now, out),
            Event::Settled { task } => {
                self.unsettled.remove(&task);
                self.leave_if_done(out);
            }
            Event::ContainerLaunched { task, outcome } => self.on_launched(now, &task, outcome, out),
            Event::ContainerEnded { task, outcome } => self.on_ended(now, &task, outcome, out),
            Event::ContainerSignalled { task: id, outcome } => {
                if let Some(task) = self.find_task(&id)
                    && let (Err(why), Some(kill)) = (outcome, &task.kill)
                {
                    let signal = if kill.is_forced() { Signal::Kill } else { Signal::Terminate };
                    task.resend = Some((now + SIGNAL_RETRY, signal));
                    out.push(Action::Log(format!("task '{id}' was not signalled, trying again: {why}")));
                }
            }
            Event::Probed { task: id, which, result } => {
                let verdict = self.find_task(&id).and_then(|task| task.checks.on_result(now, which, &result));
                if let Some(verdict) = verdict {
                    self.on_verdict(now, &id, verdict, out);
                }
            }
            Event::Spawned(_) | Event::Exited(_) => {}
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        if self.gone {
            return None;
        }
        self.tasks.iter().filter_map(Task::next_deadline).chain(self.give_up.filter(|_| self.tasks.is_empty())).min()
    }
}

/// Whether a task in this state is over.
fn is_end(state: &TaskState) -> bool {
    use TaskState::{TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskLost};
    matches!(state, TaskFinished | TaskFailed | TaskKilled | TaskError | TaskLost | TaskDropped | TaskGone)
}

fn launch_call(task: &Task, container_ip: Option<&str>) -> v1::agent::call::LaunchContainer {
    let info = &task.info;
    let mut call = v1::agent::call::LaunchContainer {
        container_id: task.container.clone(),
        command: info.command.clone(),
        container: info.container.as_deref().cloned(),
        ..Default::default()
    };
    if let Some(command) = &mut call.command {
        command.environment = Some(v1::Environment { variables: environment::of_task(info, container_ip) });
    }
    // A container inside its parent's cgroups cannot have resources of its own.
    let shares_cgroups = info
        .container
        .as_ref()
        .and_then(|container| container.linux_info.as_ref())
        .is_none_or(|linux| linux.share_cgroups());
    if !shares_cgroups {
        call.resources = info.resources.clone();
        call.limits = info.limits.clone();
    }
    // Persistent volumes are mounted in the executor's sandbox; each task reaches its own through its parent.
    for disk in info.resources.iter().filter_map(|resource| resource.disk.as_ref()) {
        let (Some(_), Some(volume)) = (&disk.persistence, &disk.volume) else { continue };
        let container = call.container.get_or_insert_with(|| v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos as i32,
            ..Default::default()
        });
        container.volumes.push(parent_volume(volume));
    }
    call
}

/// The parent's directory at `volume`'s path, at the same path of the nested container.
fn parent_volume(volume: &v1::Volume) -> v1::Volume {
    use v1::volume::{Source, source};
    v1::Volume {
        mode: volume.mode,
        container_path: volume.container_path.clone(),
        source: Some(Source {
            r#type: Some(source::Type::SandboxPath as i32),
            sandbox_path: Some(source::SandboxPath {
                r#type: Some(source::sandbox_path::Type::Parent as i32),
                path: volume.container_path.clone(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checks::ProbeResult,
        settings::Endpoint,
        step::tests::{Script, subscribed, task},
    };

    fn pod() -> Script<Pod> {
        let settings = Settings {
            framework_id: "f".into(),
            executor_id: "e".into(),
            endpoint: Endpoint::Unix("/nowhere".into()),
            host: "localhost".into(),
            checkpoint: true,
            recovery_timeout: Duration::ZERO,
            backoff_max: Duration::ZERO,
            shutdown_grace: Duration::from_secs(5),
            token: None,
            container_ip: Some("10.0.0.7".into()),
        };
        let mut script = Script::new(Pod::new(&settings, Rng::new(1)));
        script.does(0, Event::Subscribed(Box::new(subscribed(true))), &[]);
        script
    }

    fn launched(task: &str) -> Event {
        Event::ContainerLaunched { task: task.into(), outcome: Ok(()) }
    }

    fn ended(task: &str, word: i32) -> Event {
        let told = v1::agent::response::WaitContainer { exit_status: Some(word), ..Default::default() };
        Event::ContainerEnded { task: task.into(), outcome: Ended::Known(Box::new(told)) }
    }

    fn settled(task: &str) -> Event {
        Event::Settled { task: task.into() }
    }

    #[test]
    fn a_group_runs_and_the_executor_leaves_when_all_is_acknowledged() {
        let mut script = pod();
        script.does(
            0,
            Event::Launch(vec![task("a"), task("b")]),
            &["a STARTING", "b STARTING", "launch container of a", "launch container of b"],
        );
        script.does(1, launched("b"), &["b RUNNING", "wait for container of b"]);
        script.does(1, launched("a"), &["a RUNNING", "wait for container of a"]);
        script.does(2, ended("a", 0), &["drop probes of a", "a FINISHED: Command exited with status 0"]);
        script.does(2, settled("a"), &[]);
        script.does(3, ended("b", 0), &["drop probes of b", "b FINISHED: Command exited with status 0"]);
        script.does(3, settled("b"), &["exit 0"]);
    }

    #[test]
    fn what_fails_takes_its_own_group_along_and_no_other() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a"), task("b"), task("c")]));
        script.run(0, Event::Launch(vec![task("x")]));
        for id in ["a", "b", "x"] {
            script.run(0, launched(id));
        }
        script.does(
            5,
            ended("a", 1 << 8),
            &[
                "drop probes of a",
                "a FAILED: Command exited with status 1",
                "b KILLING",
                "drop probes of b",
                "signal container of b: Terminate",
            ],
        );
        // c was still being launched: it dies as soon as it runs.
        script.does(
            6,
            launched("c"),
            &[
                "c RUNNING",
                "wait for container of c",
                "c KILLING",
                "drop probes of c",
                "signal container of c: Terminate",
            ],
        );
        script.wakes(8, &["signal container of b: Kill"]);
        script.does(8, ended("b", 9), &["drop probes of b", "b KILLED: Command terminated with signal Killed"]);
        script.does(8, ended("c", 0), &["drop probes of c", "c KILLED: Command exited with status 0"]);
        script.does(9, ended("x", 0), &["drop probes of x", "x FINISHED: Command exited with status 0"]);
    }

    #[test]
    fn a_launch_that_fails_is_told_and_kills_the_group() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a"), task("b")]));
        script.run(0, launched("b"));
        let failed = Event::ContainerLaunched { task: "a".into(), outcome: Err("no".into()) };
        script.does(
            1,
            failed,
            &[
                "drop probes of a",
                "a FAILED (ContainerLaunchFailed): no",
                "b KILLING",
                "drop probes of b",
                "signal container of b: Terminate",
            ],
        );
    }

    #[test]
    fn the_agent_knows_better_how_a_container_ended() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a"), task("b")]));
        script.run(0, launched("a"));
        script.run(0, launched("b"));
        let told = v1::agent::response::WaitContainer {
            exit_status: Some(9),
            state: Some(TaskState::TaskFailed as i32),
            reason: Some(Reason::ContainerLimitationMemory as i32),
            message: Some("Memory limit exceeded".into()),
            ..Default::default()
        };
        let outcome = Ended::Known(Box::new(told));
        let lines = script.run(1, Event::ContainerEnded { task: "a".into(), outcome });
        assert_eq!(
            lines[1],
            "a FAILED (ContainerLimitationMemory): Command terminated with signal Killed: Memory limit exceeded"
        );
        let lines = script.run(1, Event::ContainerEnded { task: "b".into(), outcome: Ended::Unknown });
        assert_eq!(lines[1], "b KILLED: The agent does not know the container any more");
    }

    #[test]
    fn everything_is_asked_again_after_the_agent_came_back() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a"), task("b"), task("c")]));
        script.run(0, launched("a"));
        script.run(0, launched("b"));
        script.run(0, Event::Kill { task: "b".into(), grace: Some(Duration::from_secs(1)) });
        script.does(0, Event::Disconnected, &["drop probes of a", "drop probes of b", "drop probes of c"]);
        script.wakes(1, &["signal container of b: Kill"]);
        script.does(
            2,
            Event::Subscribed(Box::new(subscribed(true))),
            &[
                "wait for container of a",
                "wait for container of b",
                "signal container of b: Kill",
                "launch container of c",
            ],
        );
    }

    #[test]
    fn an_undelivered_signal_is_repeated() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a")]));
        script.run(0, launched("a"));
        script.run(0, Event::Kill { task: "a".into(), grace: None });
        let failed = Event::ContainerSignalled { task: "a".into(), outcome: Err("busy".into()) };
        script.does(0, failed, &["log task 'a' was not signalled, trying again: busy"]);
        script.wakes(1, &["signal container of a: Terminate"]);
        script.wakes(3, &["signal container of a: Kill"]);
    }

    #[test]
    fn a_shutdown_kills_all_within_its_grace_and_without_tasks_leaves() {
        let mut script = pod();
        script.does(0, Event::Shutdown, &["exit 0"]);

        let mut script = pod();
        let mut patient = task("a");
        patient.kill_policy =
            Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: 600_000_000_000 }) });
        script.run(0, Event::Launch(vec![patient]));
        script.run(0, launched("a"));
        script.does(0, Event::Shutdown, &["a KILLING", "drop probes of a", "signal container of a: Terminate"]);
        script.wakes(3, &["signal container of a: Kill"]);
        script.run(3, ended("a", 9));
        script.wakes(4, &["exit 0"]);
    }

    #[test]
    fn checks_run_inside_the_container_and_stop_with_the_kill() {
        let mut script = pod();
        let mut checked = task("a");
        checked.health_check = Some(Box::new(v1::HealthCheck {
            command: Some(v1::CommandInfo::default()),
            delay_seconds: Some(0.0),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(1),
            ..Default::default()
        }));
        script.run(0, Event::Launch(vec![checked]));
        script.run(0, launched("a"));
        script.wakes(0, &["probe a Health inside its container"]);
        let result = ProbeResult::Command(256);
        script.does(
            1,
            Event::Probed { task: "a".into(), which: crate::checks::Which::Health, result },
            &[
                "a RUNNING unhealthy (TaskHealthCheckStatusUpdated): Command exited with status 1",
                "a KILLING unhealthy",
                "drop probes of a",
                "signal container of a: Terminate",
            ],
        );
        script.does(
            2,
            ended("a", 15),
            &["drop probes of a", "a KILLED unhealthy: Command terminated with signal Terminated"],
        );
    }

    #[test]
    fn unacknowledged_ends_keep_the_executor_for_a_minute() {
        let mut script = pod();
        script.run(0, Event::Launch(vec![task("a")]));
        script.run(0, launched("a"));
        script.run(0, ended("a", 0));
        script.wakes(59, &[]);
        script.wakes(60, &["log the agent never acknowledged a terminal update", "exit 1"]);
    }

    #[test]
    fn a_launch_names_the_parent_and_carries_what_the_container_needs() {
        let mut script = pod();
        let mut info = task("a");
        info.resources = vec![v1::Resource {
            name: "disk".into(),
            disk: Some(Box::new(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence { id: "p".into(), ..Default::default() }),
                volume: Some(v1::Volume {
                    mode: v1::volume::Mode::Rw as i32,
                    container_path: "data".into(),
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..Default::default()
        }];
        let mut out = Vec::new();
        script.machine.handle(Tick(0), Event::Launch(vec![info]), &mut out);
        let Some(Action::LaunchContainer { call, .. }) = out.pop() else { panic!("no launch") };
        assert_eq!(call.container_id.parent.as_ref().map(|parent| parent.value.as_str()), Some("root"));
        assert!(call.resources.is_empty(), "it shares the executor's cgroups");
        let volume = &call.container.as_ref().expect("for the volume").volumes[0];
        assert_eq!(volume.source.as_ref().and_then(|s| s.sandbox_path.as_ref()).map(|s| s.path.as_str()), Some("data"));
        let environment = call.command.as_ref().and_then(|command| command.environment.as_ref()).expect("set");
        assert_eq!(environment.variables[0].name, "MESOS_CONTAINER_IP");
    }
}
