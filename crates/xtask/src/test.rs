//! `cargo xtask test`, `conformance` and `ci`: every ring of tests that fits CI's time, with one closing line.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::{
    chaos, check, prepare,
    shell::{cargo, is_root, run},
    sim,
};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only tests whose names contain this.
    filter: Option<String>,
    /// Skip formats, lints and floors.
    #[arg(long)]
    no_check: bool,
}

#[derive(clap::Args)]
pub struct ConformanceArguments {
    /// The master to talk to, host:port; without it a cluster is started and stopped.
    #[arg(long)]
    master: Option<String>,
    /// Arguments for the runner itself.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// How many tests passed, failed, and were passed over.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

pub fn ci() -> Result<()> {
    test(&Arguments { filter: None, no_check: false })
}

pub fn test(arguments: &Arguments) -> Result<()> {
    prepare::prepare()?;
    if !arguments.no_check {
        check::check()?;
    }
    if !is_root() {
        println!("test: not root, so the tests of namespaces and cgroups will say what they leave out");
    }
    run(cargo().args(["build", "--quiet", "--package", "meseta"]))?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if let Some(filter) = &arguments.filter {
        command.arg(filter);
    }
    let mut tally = tally(&mut command)?;
    if arguments.filter.is_none() {
        let smokes =
            [("sim", sim::smoke as fn() -> Result<()>), ("mistakes", sim::smoke_of_mistakes), ("chaos", chaos::smoke)];
        for (name, smoke) in smokes {
            match smoke() {
                Ok(()) => tally.passed += 1,
                Err(error) => {
                    println!("{name}: {error:#}");
                    tally.failed += 1;
                }
            }
        }
    }
    let closing = format!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed > 0 {
        bail!("\n{closing}");
    }
    println!("\n{closing}");
    Ok(())
}

pub fn conformance(arguments: &ConformanceArguments) -> Result<()> {
    prepare::prepare()?;
    run(cargo().args(["build", "--quiet", "--package", "meseta"]))?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "conformance", "--"]);
    if let Some(master) = &arguments.master {
        command.args(["--master", master]);
    }
    run(command.args(&arguments.rest))
}

/// Runs `cargo test`, passes its output on, and adds up its closing lines. A test program that dies without one, or
/// does not compile, counts as a failure.
fn tally(command: &mut std::process::Command) -> Result<Tally> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            add(&mut tally, result);
        }
    }
    if !child.wait()?.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// Adds a line such as `ok. 5 passed; 0 failed; 1 ignored; …`.
fn add(tally: &mut Tally, result: &str) {
    for part in result.split([';', '.']) {
        let mut words = part.split_whitespace();
        let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
        match word {
            "passed" => tally.passed += count,
            "failed" => tally.failed += count,
            "ignored" => tally.skipped += count,
            _ => {}
        }
    }
}
