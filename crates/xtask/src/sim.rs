//! `cargo xtask sim`: builds the simulator as fast as it can be and hands it the arguments; its exit code is ours.

use std::{process::Command, time::Duration};

use anyhow::Result;

use crate::shell::{built, cargo, command, root, run, run_within};

#[derive(clap::Args)]
pub struct Arguments {
    /// What `sim --help` lists: --seed N | A..B, --agents N, --minutes M, --scenario FILE, --replay FILE, --shrink, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// How long the smoke in `cargo xtask test` may take, in seconds.
const SMOKE_SECS: &str = "60";

/// When a smoke is given up.
const LIMIT: Duration = Duration::from_secs(10 * 60);

pub fn sim(arguments: &Arguments) -> Result<()> {
    if arguments.rest.first().is_some_and(|first| first == "--prove") {
        build(Mistakes::BuiltIn)?;
        return run(prover().args(&arguments.rest[1..]));
    }
    build(Mistakes::LeftOut)?;
    let status = command(&program()).args(&arguments.rest).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// As many seeds as a minute holds, and each of them twice the same. With the mistakes built in but switched off, so
/// that this and the next need one build.
pub fn smoke() -> Result<()> {
    build(Mistakes::BuiltIn)?;
    run_within(command(&program()).args(["--seed", "0..2000", "--budget", SMOKE_SECS, "--twice"]), LIMIT)
}

/// How many mistakes one run of the tests has found, of those that take a few seeds.
const SAMPLE: &str = "4";

/// A few of the mistakes are found; which, goes with the number of commits.
pub fn smoke_of_mistakes() -> Result<()> {
    let counted = command("git").args(["rev-list", "--count", "HEAD"]).current_dir(root()).output();
    let commits = counted.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let after: u64 = commits.parse::<u64>().unwrap_or(0) * 4;
    build(Mistakes::BuiltIn)?;
    run_within(prover().args(["--sample", SAMPLE, &after.to_string()]), LIMIT)
}

/// A simulator that has the mistakes found.
fn prover() -> Command {
    let mut prover = command(&program());
    prover.args(["--prove", "docs/simulation-bugs.md"]);
    prover
}

/// Whether a simulator has the planted mistakes, each behind a switch.
#[derive(PartialEq)]
enum Mistakes {
    BuiltIn,
    LeftOut,
}

fn build(mistakes: Mistakes) -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", "sim", "--package", "sim"]);
    if mistakes == Mistakes::BuiltIn {
        command.args(["--features", "mistakes"]);
    }
    run(&mut command)
}

fn program() -> String {
    built("sim", "sim").to_string_lossy().into_owned()
}
