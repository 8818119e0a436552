//! The one executable. Knows which program a subcommand means, and nothing else.

use std::{ffi::OsStr, process::ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next();
    // Every container starts here, so this path touches nothing else.
    if verb.as_deref() == Some("containerizer".as_ref()) {
        return containers::launcher::main(run_executor);
    }
    if verb.as_deref() == Some("executor".as_ref()) {
        return run_executor_alone(args.next().as_deref());
    }
    cli::main()
}

/// `meseta executor [command | pod]`: an executor in a process of its own, configured by the `MESOS_*` environment.
fn run_executor_alone(kind: Option<&OsStr>) -> ExitCode {
    match kind.map(OsStr::to_str) {
        None | Some(Some("command")) => executor::main(executor::Kind::Command),
        Some(Some("pod")) => executor::main(executor::Kind::Pod),
        Some(_) => {
            eprintln!("meseta executor: give `command` (the default) or `pod`; an agent sets the MESOS_* environment");
            ExitCode::from(2)
        }
    }
}

/// Serves the agent as one of the built-in executors, in the container's first process.
fn run_executor(kind: containers::ExecutorKind) -> u8 {
    let kind = match kind {
        containers::ExecutorKind::Command => executor::Kind::Command,
        containers::ExecutorKind::Pod => executor::Kind::Pod,
    };
    executor::run_as(kind)
}
