//! The executor as a program: `executor_alone command|pod`, with the environment an agent gives it. For the tests only.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("pod") => executor::main(executor::Kind::Pod),
        _ => executor::main(executor::Kind::Command),
    }
}
