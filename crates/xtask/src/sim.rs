//! `cargo xtask sim`: builds the simulator as fast as it can be and hands it the arguments; its exit code is ours.

use anyhow::Result;

use crate::shell::{built, cargo, command, root, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// What `sim --help` lists: --seed N | A..B, --agents N, --minutes M, --scenario FILE, --replay FILE, --shrink, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// How long the smoke in `cargo xtask test` may take, in seconds.
const SMOKE_SECS: &str = "60";

pub fn sim(arguments: &Arguments) -> Result<()> {
    if arguments.rest.first().is_some_and(|first| first == "--prove") {
        return prove(&arguments.rest[1..]);
    }
    build(&[])?;
    let status = command(&program()).args(&arguments.rest).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// As many seeds as a minute holds, and each of them twice the same.
pub fn smoke() -> Result<()> {
    build(&[])?;
    run(command(&program()).args(["--seed", "0..2000", "--budget", SMOKE_SECS, "--twice"]))
}

/// How many mistakes one run of the tests has found, of those that take a few seeds.
const SAMPLE: &str = "4";

/// A few of the mistakes are found; which, goes with the number of commits.
pub fn smoke_of_mistakes() -> Result<()> {
    let counted = command("git").args(["rev-list", "--count", "HEAD"]).current_dir(root()).output();
    let commits = counted.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let after: u64 = commits.parse::<u64>().unwrap_or(0) * 4;
    prove(&["--sample".to_owned(), SAMPLE.to_owned(), after.to_string()])
}

/// Builds the mistakes in, in a target directory of their own, and has each found.
fn prove(rest: &[String]) -> Result<()> {
    let target = root().join("target/sim-bugs");
    let mut command = cargo();
    command.args(["run", "--quiet", "--profile", "sim", "--package", "sim", "--"]);
    command.args(["--prove", "docs/simulation-bugs.md"]).args(rest);
    run(command.env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", "--cfg sim_bugs"))
}

fn build(flags: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--quiet", "--profile", "sim", "--package", "sim"]).args(flags))
}

fn program() -> String {
    built("sim", "sim").to_string_lossy().into_owned()
}
