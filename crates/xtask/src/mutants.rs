//! `cargo xtask mutants`: changes the code in small ways, one at a time (cargo-mutants), and asks whether a test
//! notices. A drawn part of all changes is tried, since each costs a build; the same seed draws the same. Survivors are
//! listed.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell::{cargo, command, find, output, root, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// About how many changes to try.
    #[arg(long, default_value_t = 300)]
    draw: usize,
    /// Which part is drawn.
    #[arg(long, default_value_t = 0)]
    seed: usize,
    /// The least part that must be noticed, in percent; 95, or 60 with --simulator.
    #[arg(long)]
    least: Option<f64>,
    /// Only the simulator's tests look, and only at the cores.
    #[arg(long)]
    simulator: bool,
    /// Only these crates.
    #[arg(long)]
    package: Vec<String>,
}

/// Where a decision, a sum or a byte is wrong or right.
const CRATES: [&str; 6] = ["master_core", "agent_core", "allocator", "registry", "resources", "proto"];
const CORES: [&str; 2] = ["master_core", "agent_core"];
const VERSION: &str = "27.1.0";

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: serde_json::Value,
    summary: String,
}

pub fn mutants(arguments: &Arguments) -> Result<()> {
    let program = installed()?;
    let crates: Vec<&str> = match arguments.package.is_empty() {
        false => arguments.package.iter().map(String::as_str).collect(),
        true if arguments.simulator => CORES.to_vec(),
        true => CRATES.to_vec(),
    };
    let packages = crates.iter().flat_map(|name| ["--package", name]);
    let mut list = command(&program.to_string_lossy());
    list.args(["mutants", "--list"]).args(packages.clone());
    let total = output(&mut list).context("cargo mutants --list failed")?.lines().count();
    let parts = total.div_ceil(arguments.draw.max(1)).max(1);
    println!("mutants: {total} changes are possible in {}; one in {parts} is tried", crates.join(", "));

    let out = root().join("target/mutants");
    let mut tries = command(&program.to_string_lossy());
    tries.args(["mutants", "--no-shuffle", "--colors", "never", "--jobs", "1", "--output"]).arg(&out);
    tries.args(["--shard", &format!("{}/{parts}", arguments.seed % parts), "--sharding", "round-robin"]);
    if arguments.simulator {
        tries.args(["--test-package", "sim"]);
    }
    // It ends with an error when something survives; what survived is judged below.
    let _ = tries.args(packages).status().context("cannot start cargo mutants")?;
    judge(&out.join("mutants.out/outcomes.json"), arguments)
}

/// Counts what was noticed. What does not compile says nothing, and what runs for ever was noticed.
fn judge(path: &PathBuf, arguments: &Arguments) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    let outcomes: Outcomes = serde_json::from_str(&text).context("outcomes.json")?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in outcomes.outcomes.iter().filter(|outcome| outcome.scenario.get("Mutant").is_some()) {
        *counts.entry(outcome.summary.as_str()).or_default() += 1;
        if outcome.summary == "MissedMutant" {
            let name = outcome.scenario["Mutant"]["name"].as_str().unwrap_or("a change without a name");
            println!("survives: {name}");
        }
    }
    let count = |name: &str| counts.get(name).copied().unwrap_or(0) as f64;
    let noticed = count("CaughtMutant") + count("Timeout");
    let all = noticed + count("MissedMutant");
    if all == 0.0 {
        bail!("mutants: nothing was tried");
    }
    let percent = 100.0 * noticed / all;
    let least = arguments.least.unwrap_or(if arguments.simulator { 60.0 } else { 95.0 });
    println!("mutants: {noticed} of {all} changes were noticed, {percent:.1} %; {counts:?}");
    if percent < least {
        bail!("mutants: {percent:.1} % is less than {least} %");
    }
    Ok(())
}

/// cargo-mutants, from crates.io into the target directory where it is not on PATH.
fn installed() -> Result<PathBuf> {
    if let Some(path) = find("cargo-mutants") {
        return Ok(path);
    }
    let home = root().join("target/tools");
    let path = home.join("bin/cargo-mutants");
    if !path.is_file() {
        println!("mutants: installing cargo-mutants {VERSION} into target/tools");
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "cargo-mutants", "--version", VERSION, "--root"]);
        // Our flags and targets are not its.
        run(install.arg(&home).current_dir(std::env::temp_dir()))?;
    }
    Ok(path)
}
