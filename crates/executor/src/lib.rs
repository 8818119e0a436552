//! Knows how to run one container's work for an agent: a command task (`Kind::Command`) or pods (`Kind::Pod`), speaking
//! Mesos's v1 executor API. Knows nothing about masters, offers, cgroups or images.
//!
//! Decisions are pure: `command` and `pod` take an event and return actions (`step`), helped by `kill`, `checks`,
//! `environment`, `redirect` and `outbox`. `run` is the loop around them; it owns the agent's connections (`link`,
//! `containers`, `http`), the processes (`process`) and the checks under way (`probe`). One executor is started per
//! task, so everything here is small: no threads, no async runtime, a handful of system calls.

#![forbid(unsafe_code)]

pub mod checks;
pub mod command;
mod containers;
pub mod environment;
mod http;
pub mod kill;
mod link;
pub mod outbox;
pub mod pod;
mod probe;
mod process;
pub mod redirect;
mod run;
pub mod settings;
pub mod step;
mod task_links;

use std::process::ExitCode;

/// Which executor to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One command task, run as a child process.
    Command,
    /// Any number of task groups, run as nested containers through the agent.
    Pod,
}

/// Serves the agent named by the `MESOS_*` environment until the work is done; the exit code comes back. The current
/// directory is the sandbox and the standard streams are already the sandbox's files.
pub fn run_as(kind: Kind) -> u8 {
    let settings = match settings::Settings::from_lookup(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("executor: {error}");
            return 2;
        }
    };
    let result = match kind {
        Kind::Command => run::run(&settings, &mut command::Command::new(settings.shutdown_grace)),
        Kind::Pod => run_pod(&settings),
    };
    result.unwrap_or_else(|error| {
        eprintln!("executor: {error}");
        1
    })
}

/// `run_as` for a process of its own.
pub fn main(kind: Kind) -> ExitCode {
    ExitCode::from(run_as(kind))
}

fn run_pod(settings: &settings::Settings) -> std::io::Result<u8> {
    let mut seed = [0; 8];
    kernel::random(&mut seed)?;
    run::run(settings, &mut pod::Pod::new(settings, stdx::Rng::new(u64::from_ne_bytes(seed))))
}
