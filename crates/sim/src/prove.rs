//! The proof of the simulator: mistakes that are put back into the cores one at a time, and how many seeds it takes to
//! find each. Only a build with the feature `mistakes` holds them.

mod bugs;

use std::fmt::Write;

pub use bugs::{BUGS, Bug};

use crate::{
    run::{Failure, Watch, run},
    scenario::Scenario,
};

/// Within how many seeds each mistake must be found.
pub const SEEDS_MAX: u64 = 200;

/// How a mistake was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub bug: &'static Bug,
    /// How many seeds that took, and what the last of them said; `None` if no seed found it.
    pub by: Option<(u64, Failure)>,
}

/// Runs seeds with one mistake until one of them fails.
pub fn find(bug: &'static Bug) -> Found {
    for seed in 0..SEEDS_MAX {
        let mut scenario = Scenario::of_seed(seed, None, None);
        scenario.bug = Some(bug.name.to_owned());
        scenario.heal_secs = 1500.0;
        if let Some(failure) = run(&scenario, Watch { every: 23, loud: false }).failure {
            return Found { bug, by: Some((seed + 1, failure)) };
        }
    }
    Found { bug, by: None }
}

/// How many seeds a mistake of a sample may take, as the table says.
const QUICK: u64 = 3;

/// A few mistakes that `table` says are found quickly, beginning after so many of them, round and round.
pub fn sample(table: &str, count: usize, after: usize) -> Vec<&'static Bug> {
    let quick = |bug: &&Bug| seeds_of(table, bug.name).is_some_and(|seeds| seeds <= QUICK);
    let quick: Vec<&Bug> = BUGS.iter().filter(quick).collect();
    quick.iter().cycle().skip(after % quick.len().max(1)).take(count.min(quick.len())).copied().collect()
}

/// How many seeds a mistake took, in a table.
pub fn seeds_of(table: &str, bug: &str) -> Option<u64> {
    let row = table.lines().find_map(|line| line.strip_prefix(&format!("| `{bug}` |")))?;
    row.split('|').nth(2)?.trim().parse().ok()
}

/// The table of `docs/simulation-bugs.md`.
pub fn table(found: &[Found]) -> String {
    let mut text = format!(
        "# Mistakes that the simulator finds\n\n\
         Each is one line in a core, `stdx::bug!(\"name\", MISTAKE);` at the head of a function, built in by the feature `mistakes` only.\n\
         `cargo xtask sim --prove` switches them on one at a time, runs seeds from 0 on until one fails, and writes this table. \"Seeds\" is how many that took; the\n\
         bound is {SEEDS_MAX}.\n\n\
         | name | mistake | kind | seeds | found by |\n|---|---|---|---|---|\n",
    );
    for Found { bug, by } in found {
        let (seeds, check) = match by {
            Some((seeds, failure)) => (seeds.to_string(), failure.check.as_str()),
            None => ("not found".to_owned(), "-"),
        };
        let _ = writeln!(text, "| `{}` | {} | {} | {seeds} | {check} |", bug.name, bug.what, bug.kind);
    }
    text
}
