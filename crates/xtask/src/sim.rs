//! `cargo xtask sim`: builds the simulator as fast as it can be and hands it the arguments; its exit code is ours.

use anyhow::Result;

use crate::shell::{built, cargo, command, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// What `sim --help` lists: --seed N | A..B, --agents N, --minutes M, --scenario FILE, --replay FILE, --shrink, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// How long the smoke in `cargo xtask test` may take, in seconds.
const SMOKE_SECS: &str = "60";

pub fn sim(arguments: &Arguments) -> Result<()> {
    build(&[])?;
    let status = command(&program()).args(&arguments.rest).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// As many seeds as a minute holds, and each of them twice the same.
pub fn smoke() -> Result<()> {
    build(&[])?;
    run(command(&program()).args(["--seed", "0..2000", "--budget", SMOKE_SECS, "--twice"]))
}

fn build(flags: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--quiet", "--profile", "sim", "--package", "sim"]).args(flags))
}

fn program() -> String {
    built("sim", "sim").to_string_lossy().into_owned()
}
