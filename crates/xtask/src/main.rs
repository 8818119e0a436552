//! Developer commands: `cargo xtask …`. Each command is one file; `shell` runs other programs for all of them.

mod bench;
mod chaos;
mod charts;
mod check;
mod cluster;
mod demo;
mod fuzz;
mod groups;
mod hostile;
mod mutants;
mod prepare;
mod programs;
mod shell;
mod sim;
mod supervise;
mod tally;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Meseta.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Format, lints, the laws of the house: reads only, changes nothing.
    Check,
    /// Mends what `check` finds and a machine can mend.
    Fix,
    /// Installs what the tests need, then runs all of them.
    Test(test::Arguments),
    /// The laws of the house that no compiler sees: floors, layout, pure crates, unused `pub`, docs. Part of `check`.
    Tidy,
    /// Prints the figures of a suite beside its floor or peer.
    Bench(bench::Arguments),
    /// Draws the charts of docs/figures from a suite's figures.
    Charts(charts::Arguments),
    /// How resource groups keep to the law of their competition, as a table, and a run of theirs as a chart.
    Groups(groups::Arguments),
    /// The scripted exchanges against a running master, or against a cluster of its own.
    Conformance(test::ConformanceArguments),
    /// A cluster of real processes on loopback: up, status, down.
    Cluster(cluster::Arguments),
    /// Several masters under faults: kill -9, pauses, a store that loses servers.
    Chaos(chaos::Arguments),
    /// Damaged input for every decoder.
    Fuzz(fuzz::Arguments),
    /// Small changes to the code, one at a time: does a test notice?
    Mutants(mutants::Arguments),
    /// Hostile tasks and peers against a real cluster, as root and as an ordinary user.
    Hostile(hostile::Arguments),
    /// Builds, starts an embedded cluster, and runs two frameworks at once on real input.
    Demo(demo::Arguments),
    /// Whole clusters in virtual time, with faults and checkers.
    Sim(sim::Arguments),
    /// Exactly what CI runs.
    Ci,
    /// Runs one program of tests; ends and names what hangs or is left behind.
    #[command(hide = true)]
    Supervise(supervise::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check => check::check(),
        Command::Fix => check::fix(),
        Command::Test(arguments) => test::test(&arguments),
        Command::Tidy => tidy::tidy(),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Charts(arguments) => charts::charts(&arguments),
        Command::Groups(arguments) => groups::groups(&arguments),
        Command::Conformance(arguments) => test::conformance(&arguments),
        Command::Cluster(arguments) => cluster::cluster(&arguments),
        Command::Chaos(arguments) => chaos::chaos(&arguments),
        Command::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Command::Mutants(arguments) => mutants::mutants(&arguments),
        Command::Hostile(arguments) => hostile::hostile(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Sim(arguments) => sim::sim(&arguments),
        Command::Ci => test::ci(),
        Command::Supervise(arguments) => supervise::supervise(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why:#}");
            ExitCode::FAILURE
        }
    }
}
