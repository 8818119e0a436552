//! The one executable. Knows which program a subcommand means, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next();
    // Every container starts here, so this path touches nothing else.
    if verb.as_deref() == Some("containerizer".as_ref()) {
        return containers::launcher::main(run_executor);
    }
    cli::main()
}

/// Serves the agent as one of the built-in executors, in the container's first process.
fn run_executor(kind: containers::ExecutorKind) -> u8 {
    let kind = match kind {
        containers::ExecutorKind::Command => executor::Kind::Command,
        containers::ExecutorKind::Pod => executor::Kind::Pod,
    };
    executor::run_as(kind)
}
