//! Tasks and peers that attack a real cluster: each kind once, beside a neighbour that must not notice. After each,
//! agent, master and neighbour live, the task ended as it must, nothing of it is left, and nothing escaped. `cargo
//! xtask hostile` runs it, for tasks of root, tasks of another user, and below an agent of an ordinary user.
//!
//! A script prints `ESCAPED what` where an attack succeeds. `hostile/kinds.rs` has the tasks, `hostile/peers.rs` what
//! peers and pages do, `hostile/world.rs` the cluster and what is looked at.

#[path = "hostile/kinds.rs"]
mod kinds;
#[path = "hostile/peers.rs"]
mod peers;
#[path = "hostile/world.rs"]
mod world;

use anyhow::{Context, Result, bail};
use testkit::processes;

use crate::{
    kinds::{KINDS, Kind, Needs},
    world::World,
};

struct Arguments {
    /// Whose tasks they are; without a root agent, whoever runs this.
    user: String,
    /// Only kinds whose names contain this.
    filter: Option<String>,
    /// Every n-th kind only, beginning after so many.
    every: usize,
    after: usize,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut world = World::start(&runtime, &arguments.user)?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let wanted = |name: &str| arguments.filter.as_deref().is_none_or(|filter| name.contains(filter));
    for kind in KINDS.iter().filter(|kind| wanted(kind.name)).skip(arguments.after).step_by(arguments.every) {
        if let Some(why) = passed_over(kind, &arguments.user) {
            println!("test {} ... skipped: {why}", kind.name);
            skipped += 1;
            continue;
        }
        let wrong = world.suffer(kind).unwrap_or_else(|error| vec![format!("{error:#}")]);
        tell(kind.name, &wrong, &mut passed, &mut failed);
    }
    for (name, attack) in
        peers::ATTACKS.iter().filter(|(name, _)| wanted(name)).skip(arguments.after).step_by(arguments.every)
    {
        let wrong = world.bear(attack).unwrap_or_else(|error| vec![format!("{error:#}")]);
        tell(name, &wrong, &mut passed, &mut failed);
    }
    let left = world.end();
    tell("nothing_is_left", &left, &mut passed, &mut failed);
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; {skipped} ignored");
    if failed > 0 {
        bail!("{failed} attacks succeeded");
    }
    Ok(())
}

fn tell(name: &str, wrong: &[String], passed: &mut usize, failed: &mut usize) {
    if wrong.is_empty() {
        *passed += 1;
        println!("test {name} ... ok");
        return;
    }
    *failed += 1;
    println!("test {name} ... FAILED");
    wrong.iter().for_each(|line| println!("  {line}"));
}

/// Why this kind says nothing here.
fn passed_over(kind: &Kind, user: &str) -> Option<&'static str> {
    match kind.needs {
        Needs::Isolation if !processes::is_root() => Some("needs the isolation of an agent that is root"),
        Needs::OtherUser if !processes::is_root() || user == "root" => {
            Some("needs a task of another user than the agent's")
        }
        _ => None,
    }
}

fn arguments() -> Result<Arguments> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| given.iter().position(|arg| arg == name).and_then(|at| given.get(at + 1)).cloned();
    let number = |name: &str| -> Result<Option<usize>> {
        value(name).map(|text| text.parse().with_context(|| format!("{name} {text}"))).transpose()
    };
    Ok(Arguments {
        user: value("--user").unwrap_or_else(|| "root".into()),
        filter: value("--filter"),
        every: number("--every")?.unwrap_or(1).max(1),
        after: number("--after")?.unwrap_or(0),
    })
}
