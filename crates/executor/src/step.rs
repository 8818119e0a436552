//! The face of an executor's decisions: events in, actions out. `command` and `pod` implement `Machine`, `run` drives
//! it.

use std::time::Duration;

use proto::v1;
use stdx::Tick;

use crate::checks::{ProbeResult, Target, Which};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deadline passed.
    Wake,
    /// The agent accepted the subscription, the first one or one after a restart.
    Subscribed(Box<v1::executor::event::Subscribed>),
    /// The agent is gone and is expected back. Nothing was lost: updates wait in the outbox.
    Disconnected,
    /// The agent is gone for good; whatever runs must end now.
    Orphaned,
    Launch(Vec<v1::TaskInfo>),
    Kill {
        task: String,
        grace: Option<Duration>,
    },
    Shutdown,
    /// The agent has acknowledged every update sent so far for `task`.
    Settled {
        task: String,
    },
    /// Outcome of `Action::Spawn`.
    Spawned(Result<(), String>),
    /// The process of `Action::Spawn` ended with this wait(2) word.
    Exited(i32),
    /// Outcome of `Action::LaunchContainer`.
    ContainerLaunched {
        task: String,
        outcome: Result<(), String>,
    },
    /// Outcome of `Action::WaitContainer`.
    ContainerEnded {
        task: String,
        outcome: Ended,
    },
    /// Outcome of `Action::KillContainer`.
    ContainerSignalled {
        task: String,
        outcome: Result<(), String>,
    },
    /// Outcome of `Action::Probe`.
    Probed {
        task: String,
        which: Which,
        result: ProbeResult,
    },
}

/// How a nested container ended, as the agent tells.
#[derive(Clone, Debug)]
pub enum Ended {
    Known(Box<v1::agent::response::WaitContainer>),
    /// The agent does not know the container.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this update; its uuid and timestamp are filled in on the way.
    Update(Box<v1::TaskStatus>),
    /// Start the command as a child process.
    Spawn(Box<v1::CommandInfo>),
    /// Signal every process below the executor.
    Signal(Signal),
    LaunchContainer {
        task: String,
        call: Box<v1::agent::call::LaunchContainer>,
    },
    WaitContainer {
        task: String,
        container: Box<v1::ContainerId>,
    },
    KillContainer {
        task: String,
        container: Box<v1::ContainerId>,
        signal: Signal,
    },
    /// Run one check of `task`; `container` is set where a command must run inside a nested container.
    Probe {
        task: String,
        which: Which,
        target: Box<Target>,
        timeout: Option<Duration>,
        container: Option<Box<v1::ContainerId>>,
    },
    /// Forget the checks of `task` that are under way.
    DropProbes {
        task: String,
    },
    /// Say this in the sandbox's `stderr`.
    Log(String),
    /// End the executor with this exit code.
    Exit(u8),
}

/// A pure state machine.
pub trait Machine {
    fn handle(&mut self, now: Tick, event: Event, out: &mut Vec<Action>);

    /// When `Event::Wake` is due.
    fn next_deadline(&self) -> Option<Tick>;
}

/// "exited with status 1" or "terminated with signal Killed", for a wait(2) word.
pub fn describe_wait(status: i32) -> String {
    if libc::WIFEXITED(status) {
        format!("exited with status {}", libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        let core = if libc::WCOREDUMP(status) { " (core dumped)" } else { "" };
        format!("terminated with signal {}{core}", signal_name(libc::WTERMSIG(status)))
    } else {
        format!("ended with wait status {status}")
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => "Hangup",
        libc::SIGINT => "Interrupt",
        libc::SIGQUIT => "Quit",
        libc::SIGILL => "Illegal instruction",
        libc::SIGTRAP => "Trace/breakpoint trap",
        libc::SIGABRT => "Aborted",
        libc::SIGBUS => "Bus error",
        libc::SIGFPE => "Floating point exception",
        libc::SIGKILL => "Killed",
        libc::SIGUSR1 => "User defined signal 1",
        libc::SIGSEGV => "Segmentation fault",
        libc::SIGUSR2 => "User defined signal 2",
        libc::SIGPIPE => "Broken pipe",
        libc::SIGALRM => "Alarm clock",
        libc::SIGTERM => "Terminated",
        libc::SIGSTKFLT => "Stack fault",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "File size limit exceeded",
        libc::SIGVTALRM => "Virtual timer expired",
        libc::SIGPROF => "Profiling timer expired",
        libc::SIGIO => "I/O possible",
        libc::SIGPWR => "Power failure",
        libc::SIGSYS => "Bad system call",
        _ => "Unknown signal",
    }
}

/// The duration of a `DurationInfo`, never negative.
pub fn duration(info: &v1::DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A machine whose every action is compared as a line of text.
    pub struct Script<M> {
        pub machine: M,
    }

    impl<M: Machine> Script<M> {
        pub fn new(machine: M) -> Script<M> {
            Script { machine }
        }

        /// What `event`, at `second`, makes the machine do.
        pub fn run(&mut self, second: u64, event: Event) -> Vec<String> {
            let mut out = Vec::new();
            self.machine.handle(Tick(second * 1_000_000_000), event, &mut out);
            out.iter().map(line).collect()
        }

        #[track_caller]
        pub fn does(&mut self, second: u64, event: Event, lines: &[&str]) {
            assert_eq!(self.run(second, event), lines);
        }

        /// `does` for a deadline; if something is expected, the machine must have asked for it by then.
        #[track_caller]
        pub fn wakes(&mut self, second: u64, lines: &[&str]) {
            let due = self.machine.next_deadline().is_some_and(|at| at <= Tick(second * 1_000_000_000));
            assert!(due || lines.is_empty(), "{:?}", self.machine.next_deadline());
            self.does(second, Event::Wake, lines);
        }
    }

    pub fn task(id: &str) -> v1::TaskInfo {
        v1::TaskInfo {
            task_id: v1::TaskId { value: id.into() },
            command: Some(v1::CommandInfo { value: Some("run".into()), ..Default::default() }),
            ..Default::default()
        }
    }

    pub fn subscribed(tells_killing: bool) -> v1::executor::event::Subscribed {
        use v1::framework_info::{Capability, capability::Type};
        let capability = Capability { r#type: Some(Type::TaskKillingState as i32) };
        v1::executor::event::Subscribed {
            framework_info: v1::FrameworkInfo {
                capabilities: tells_killing.then_some(capability).into_iter().collect(),
                ..Default::default()
            },
            container_id: Some(v1::ContainerId { value: "root".into(), parent: None }),
            ..Default::default()
        }
    }

    fn line(action: &Action) -> String {
        match action {
            Action::Update(status) => {
                let state = status.state().as_str_name().trim_start_matches("TASK_");
                let mut line = format!("{} {state}", status.task_id.value);
                match status.healthy {
                    Some(true) => line += " healthy",
                    Some(false) => line += " unhealthy",
                    None => {}
                }
                if status.reason.is_some() {
                    line += &format!(" ({:?})", status.reason());
                }
                if let Some(message) = &status.message {
                    line += &format!(": {message}");
                }
                line
            }
            Action::Spawn(command) => format!("spawn {}", command.value()),
            Action::Signal(signal) => format!("signal {signal:?}"),
            Action::LaunchContainer { task, .. } => format!("launch container of {task}"),
            Action::WaitContainer { task, .. } => format!("wait for container of {task}"),
            Action::KillContainer { task, signal, .. } => format!("signal container of {task}: {signal:?}"),
            Action::Probe { task, which, container: None, .. } => format!("probe {task} {which:?}"),
            Action::Probe { task, which, .. } => format!("probe {task} {which:?} inside its container"),
            Action::DropProbes { task } => format!("drop probes of {task}"),
            Action::Log(text) => format!("log {text}"),
            Action::Exit(code) => format!("exit {code}"),
        }
    }

    #[test]
    fn wait_words_read_as_mesos_writes_them() {
        assert_eq!(describe_wait(0), "exited with status 0");
        assert_eq!(describe_wait(3 << 8), "exited with status 3");
        assert_eq!(describe_wait(9), "terminated with signal Killed");
        assert_eq!(describe_wait(15), "terminated with signal Terminated");
        assert_eq!(describe_wait(11 | 0x80), "terminated with signal Segmentation fault (core dumped)");
    }
}
