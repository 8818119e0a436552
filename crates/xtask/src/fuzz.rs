//! `cargo xtask fuzz`: damaged input for every decoder, from a seed (`crates/conformance/examples/fuzz.rs`), or for
//! every endpoint of running servers (`crates/conformance/tests/it/survive.rs`).

use std::process::Command;

use anyhow::Result;

use crate::shell::{built, cargo, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// For how long; without it, a thousand inputs for each decoder.
    #[arg(long)]
    minutes: Option<u64>,
    /// For the endpoints of a running master and agent, 200,000 inputs each.
    #[arg(long, conflicts_with = "minutes")]
    servers: bool,
    /// Arguments for the program itself, such as `--only DECODER` and `--seed N`.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn fuzz(arguments: &Arguments) -> Result<()> {
    if arguments.servers {
        run(cargo().args(["build", "--quiet", "--release", "--package", "meseta"]))?;
        let mut test = cargo();
        test.args(["test", "--release", "--package", "conformance", "--test", "it", "survive", "--", "--nocapture"]);
        return run(test.env("MESETA_DAMAGED_INPUTS", "200000"));
    }
    // Unoptimised code would damage a tenth of the inputs in the same time.
    run(cargo().args(["build", "--quiet", "--release", "--package", "conformance", "--example", "fuzz"]))?;
    let mut program = Command::new(built("release", "examples/fuzz"));
    match arguments.minutes {
        Some(minutes) => program.args(["--minutes", &minutes.to_string()]),
        None => program.args(["--inputs", "1000"]),
    };
    run(program.args(&arguments.rest))
}
