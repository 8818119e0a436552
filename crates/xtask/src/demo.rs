//! `cargo xtask demo`: builds, then runs the demonstration program, which starts an embedded cluster and two
//! frameworks. It is built as the tests are, since a newcomer waits for it: optimising takes minutes, and the
//! demonstration seconds.

use std::process::Command;

use anyhow::Result;

use crate::shell::{built, cargo, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// Arguments for the demonstration itself; `-- --help` lists them.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn demo(arguments: &Arguments) -> Result<()> {
    run(cargo().args(["build", "--package", "meseta"]))?;
    run(Command::new(built("debug", "meseta")).arg("demo").args(&arguments.rest))
}
