//! What runs inside a new container before, and for commands beside, the program.

use crate::ExecutorKind;
use std::process::ExitCode;

/// The first process of every container. Sets the container up as its launch record says, then either runs the program
/// and stays as its init, or calls `executor` in this very process (its environment is already the container's) and
/// records what it returns. To be called before any thread exists.
pub fn main(executor: impl FnOnce(ExecutorKind) -> u8) -> ExitCode {
    let _ = executor;
    ExitCode::FAILURE
}
