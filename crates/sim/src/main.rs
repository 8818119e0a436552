//! The simulator as a program: runs seeds or a scenario, and says in one line how a failure is reproduced.
//! Exit codes: 0 all is well, 127 a crash, 128 the cluster did not heal, 129 a law was broken.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sim::{
    prove::{BUGS, Bug, SEEDS_MAX, find, sample, table},
    replay::replay,
    run::{Report, Watch, run},
    scenario::Scenario,
    shrink::shrink,
};

/// Simulates whole clusters in virtual time, with faults and checkers.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// One seed, or a range of them: 7, 0..100.
    #[arg(long, default_value = "0..20")]
    seed: String,
    /// How many agents, whatever the seed says.
    #[arg(long)]
    agents: Option<u32>,
    /// How long faults last, in virtual minutes, whatever the seed says.
    #[arg(long)]
    minutes: Option<f64>,
    /// A scenario in TOML, instead of seeds.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Look for a smaller scenario that fails in the same way, and write it here.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "smaller.toml")]
    shrink: Option<PathBuf>,
    /// Print everything that happens.
    #[arg(long)]
    loud: bool,
    /// Print the scenario, and do not run it.
    #[arg(long)]
    show: bool,
    /// Stop after this many seconds of real time.
    #[arg(long)]
    budget: Option<u64>,
    /// How many seeds run at a time.
    #[arg(long)]
    jobs: Option<usize>,
    /// Run everything twice, and compare.
    #[arg(long)]
    twice: bool,
    /// Step through what a master's flight recorder kept.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Stop at inputs of this kind, such as ReregisterSlaveMessage, ACCEPT or Elected.
    #[arg(long = "break", value_name = "KIND")]
    breakpoint: Option<String>,
    /// Switch on every built-in mistake in turn, and write how many seeds found each to this file.
    #[arg(long, value_name = "FILE")]
    prove: Option<PathBuf>,
    /// Only the mistakes whose names contain this.
    #[arg(long, default_value = "", hide_default_value = true)]
    bug: String,
    /// Of the mistakes that the table says are found within a few seeds, this many, and those after the first so many.
    #[arg(long, num_args = 2, value_names = ["N", "AFTER"])]
    sample: Vec<usize>,
    /// Steps between two looks at the cores' own laws.
    #[arg(long, default_value_t = 97)]
    every: u32,
}

fn main() -> ExitCode {
    kernel::memory::prefer_huge_pages();
    match go(&Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn go(arguments: &Arguments) -> Result<u8> {
    if let Some(path) = &arguments.replay {
        replay(path, arguments.breakpoint.as_deref(), &mut std::io::stdin().lock())?;
        return Ok(0);
    }
    if let Some(path) = &arguments.prove {
        return prove(arguments, path);
    }
    let scenarios = scenarios(arguments)?;
    if arguments.show {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.to_toml()));
        return Ok(0);
    }
    let begun = Instant::now();
    let outcome = run_all(arguments, &scenarios);
    println!(
        "{} runs, {:.1} h of virtual time in {:.1} s: {} steps, {:.2} runs/s, {} failed",
        outcome.runs,
        outcome.virtual_time.as_secs_f64() / 3600.0,
        begun.elapsed().as_secs_f64(),
        outcome.steps,
        outcome.runs as f64 / begun.elapsed().as_secs_f64(),
        outcome.failed.len()
    );
    let Some((scenario, report)) = outcome.failed.first() else { return Ok(0) };
    if let Some(path) = &arguments.shrink {
        let smaller = shrink(scenario, report, &mut |line| println!("{line}"));
        std::fs::write(path, smaller.to_toml()).with_context(|| format!("cannot write {}", path.display()))?;
        println!("smaller: cargo xtask sim --scenario {}", path.display());
    }
    Ok(report.failure.as_ref().map_or(0, |failure| failure.kind.exit_code()))
}

/// Every mistake must be found.
fn prove(arguments: &Arguments, path: &std::path::Path) -> Result<u8> {
    if !stdx::bug::ARE_BUILT_IN {
        bail!("this build holds no mistakes; `cargo xtask sim --prove` makes one that does");
    }
    let mut bugs: Vec<&'static Bug> = BUGS.iter().filter(|bug| bug.name.contains(&arguments.bug)).collect();
    if let [count, after] = arguments.sample[..] {
        let known = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        bugs = sample(&known, count, after);
    }
    let next = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)) {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let one = find(bug);
                    match &one.by {
                        Some((seeds, failure)) => {
                            println!("{:36} {seeds:4}  {}: {}", bug.name, failure.check, failure.why)
                        }
                        None => println!("{:36} NOT FOUND", bug.name),
                    }
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(one);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|found| BUGS.iter().position(|bug| bug == found.bug));
    // A sample makes no table.
    if arguments.sample.is_empty() {
        std::fs::write(path, table(&found)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let missed = found.iter().filter(|found| found.by.is_none()).count();
    println!("{} mistakes, {missed} not found within {SEEDS_MAX} seeds", found.len());
    Ok(if missed == 0 { 0 } else { 1 })
}

fn scenarios(arguments: &Arguments) -> Result<Vec<Scenario>> {
    if let Some(path) = &arguments.scenario {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(vec![Scenario::from_toml(&text).with_context(|| path.display().to_string())?]);
    }
    let seeds = match arguments.seed.split_once("..") {
        Some((from, to)) => from.trim().parse()?..to.trim_start_matches('=').trim().parse()?,
        None => {
            let seed: u64 = arguments.seed.parse().context("a seed is a number, or a range like 0..100")?;
            seed..seed + 1
        }
    };
    if seeds.is_empty() {
        bail!("there is no seed in {}", arguments.seed);
    }
    Ok(seeds.map(|seed| Scenario::of_seed(seed, arguments.agents, arguments.minutes)).collect())
}

#[derive(Default)]
struct Outcome {
    runs: u64,
    steps: u64,
    virtual_time: Duration,
    failed: Vec<(Scenario, Report)>,
}

fn run_all(arguments: &Arguments, scenarios: &[Scenario]) -> Outcome {
    let watch = Watch { every: arguments.every, loud: arguments.loud };
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let outcome = Mutex::new(Outcome::default());
    let over = || arguments.budget.is_some_and(|budget| begun.elapsed() >= Duration::from_secs(budget));
    let threads = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(scenarios.len()).max(1) {
            scope.spawn(|| {
                while !over()
                    && let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                {
                    let report = run(scenario, watch);
                    if arguments.twice && run(scenario, watch).hash != report.hash {
                        println!("seed {}: two runs differ", scenario.seed);
                    }
                    tell(arguments, scenario, &report);
                    let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    outcome.runs += 1;
                    outcome.steps += report.steps;
                    outcome.virtual_time += report.virtual_time;
                    if report.failure.is_some() {
                        outcome.failed.push((scenario.clone(), report));
                    }
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcome.failed.sort_by_key(|(scenario, _)| scenario.seed);
    outcome
}

/// One line for a failure: what, when, and how to see it again.
fn tell(arguments: &Arguments, scenario: &Scenario, report: &Report) {
    let Some(failure) = &report.failure else { return };
    let again = match &arguments.scenario {
        Some(path) => format!("--scenario {}", path.display()),
        None => {
            let agents = arguments.agents.map(|agents| format!(" --agents {agents}")).unwrap_or_default();
            let minutes = arguments.minutes.map(|minutes| format!(" --minutes {minutes}")).unwrap_or_default();
            format!("--seed {}{agents}{minutes}", scenario.seed)
        }
    };
    println!(
        "FAILED {:?}, {} at {:.3} s: {} | cargo xtask sim {again}",
        failure.kind,
        failure.check,
        failure.at.as_secs_f64(),
        failure.why.replace('\n', " "),
    );
}
