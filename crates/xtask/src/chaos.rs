//! `cargo xtask chaos --store zk|etcd`: three masters, three servers of a store and three agents under faults, with
//! frameworks that run tasks all the while. One of them is on PyMesos, and one on Mesos's own driver where
//! `MESETA_LIBMESOS` names a program that runs it.

use std::{process::Command, time::Duration};

use anyhow::Result;

use crate::{
    prepare,
    shell::{build_debug, built, cargo, run, run_within},
};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the masters meet.
    #[arg(long, default_value = "zk", value_parser = ["zk", "etcd"])]
    pub store: String,
    /// For how long; without it, as many rounds as are asked for.
    #[arg(long)]
    pub minutes: Option<u64>,
    /// How many faults; one of each kind without it and --minutes.
    #[arg(long)]
    pub rounds: Option<u64>,
    /// Draws the same faults again.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many tasks the frameworks run at most.
    #[arg(long, default_value_t = 2_000)]
    pub tasks: u64,
    /// Runs optimised programs.
    #[arg(long)]
    pub release: bool,
    /// Agents, frameworks and operators must prove who they are.
    #[arg(long)]
    pub authenticate: bool,
}

/// A few rounds on each store, for `cargo xtask test`.
pub fn smoke() -> Result<()> {
    // With and without proofs: each store sees one of them.
    for (store, authenticate) in [("zk", true), ("etcd", false)] {
        chaos(&Arguments {
            store: store.to_owned(),
            minutes: None,
            rounds: Some(5),
            seed: Some(1),
            tasks: 100,
            release: false,
            authenticate,
        })?;
    }
    Ok(())
}

pub fn chaos(arguments: &Arguments) -> Result<()> {
    prepare::python()?;
    let profile = if arguments.release {
        run(cargo().args(["build", "--quiet", "--release", "--package", "meseta"]))?;
        run(cargo().args(["build", "--quiet", "--release", "--package", "conformance", "--example", "chaos"]))?;
        "release"
    } else {
        build_debug()?;
        "debug"
    };
    let mut program = Command::new(built(profile, "examples/chaos"));
    program.args(["--store", &arguments.store, "--tasks", &arguments.tasks.to_string()]);
    for (name, value) in [("--minutes", arguments.minutes), ("--rounds", arguments.rounds), ("--seed", arguments.seed)]
    {
        if let Some(value) = value {
            program.args([name, &value.to_string()]);
        }
    }
    if arguments.authenticate {
        program.arg("--authenticate");
    }
    run_within(&program, limit(arguments))
}

/// When a run is given up: a round takes some twenty seconds, and the start of three servers of a store a minute.
fn limit(arguments: &Arguments) -> Duration {
    let minutes = arguments.minutes.unwrap_or(2 * arguments.rounds.unwrap_or(20));
    Duration::from_secs(60 * (minutes + 10))
}
