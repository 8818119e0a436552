//! `cargo xtask test`, `conformance` and `ci`: every ring of tests that fits CI's time, with one closing line.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    chaos, check, hostile, prepare, programs,
    shell::{build_debug, built, cargo, is_root, run},
    sim,
    supervise::supervised,
    tally::Tally,
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
    build_debug()?;
    let written = tempfile::NamedTempFile::new().context("no temporary file")?;
    let mut tally = Tally::default();
    programs::run_all(programs::build(arguments.filter.as_deref())?, written.path(), |outcome| {
        println!("\n{} ({:.1} s)", outcome.name, outcome.took.as_secs_f64());
        print!("{}", outcome.output);
        tally.add(&outcome.name, &outcome.output, outcome.succeeded);
    });
    doc_tests(&mut tally, arguments.filter.as_deref())?;
    if arguments.filter.is_none() {
        smokes(&mut tally);
    }
    tally.add_written(written.path());
    close(&tally)
}

/// How long the tests of docs may take, which are compiled one by one.
const LIMIT_OF_DOCS: Duration = Duration::from_secs(15 * 60);

fn doc_tests(tally: &mut Tally, filter: Option<&str>) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--doc", "--quiet", "--workspace"]);
    println!("running docs");
    let output = supervised(command.args(filter), LIMIT_OF_DOCS).output().context("cannot start cargo test --doc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("\ndocs\n{text}{}", String::from_utf8_lossy(&output.stderr));
    tally.add("docs", &text, output.status.success());
    Ok(())
}

/// A few minutes of each slow ring.
fn smokes(tally: &mut Tally) {
    let smokes = [
        ("sim", sim::smoke as fn() -> Result<()>),
        ("mistakes", sim::smoke_of_mistakes),
        ("hostile", hostile::smoke),
        ("chaos", chaos::smoke),
    ];
    for (name, smoke) in smokes {
        println!("\nrunning {name}");
        let started = Instant::now();
        let outcome = smoke();
        println!("{name} ({:.1} s)", started.elapsed().as_secs_f64());
        match outcome {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                println!("{name}: {error:#}");
                tally.failed += 1;
            }
        }
    }
}

/// Says what was skipped and why; an error if a test failed, or on CI if one was skipped that should run there.
fn close(tally: &Tally) -> Result<()> {
    println!();
    for (test, reason) in &tally.skipped {
        println!("skipped: {test}: {reason}");
    }
    let unexpected = tally.unexpected().count();
    if env::var_os("CI").is_some() && unexpected > 0 {
        bail!("{unexpected} tests were skipped that must run on CI\n\n{}", tally.closing());
    }
    if tally.failed > 0 {
        bail!("\n{}", tally.closing());
    }
    println!("\n{}", tally.closing());
    Ok(())
}

pub fn conformance(arguments: &ConformanceArguments) -> Result<()> {
    prepare::prepare()?;
    build_debug()?;
    let mut command = Command::new(built("debug", "conformance"));
    if let Some(master) = &arguments.master {
        command.args(["--master", master]);
    }
    run(command.args(&arguments.rest))
}
