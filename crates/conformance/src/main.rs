//! `cargo run -p conformance`: runs the scripts against a cluster, prints a table and every difference from what a real
//! Apache Mesos answered; `--record` makes what the cluster answers the new recording.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use conformance::{
    play::{self, Target, play},
    suite::{self, Suite},
};
use testkit::{Cluster, Options};

const USAGE: &str = "\
usage: conformance [--master HOST:PORT [--agent HOST:PORT]] [--scripts PART_OF_NAME] [--record]

Without --master, a cluster is started and stopped. Without --agent, the master is asked for one.
Scripts whose numbers begin with 9 leave the cluster useless. Those that begin with 3 want a cluster of three agents with
cpus:8;mem:8192;disk:10000;ports:[31000-32000] and, of Meseta, --allocation_compatibility; one is started for them.
--record  writes what the cluster answers to recorded/ (meant for a real Apache Mesos)";

#[derive(Default)]
struct Arguments {
    master: Option<String>,
    agent: Option<String>,
    scripts: String,
    record: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = read_arguments()?;
    let suite = Suite::default();
    let mut scripts = suite.scripts(&arguments.scripts)?;
    if !arguments.scripts.starts_with('3') {
        scripts.retain(|script| !script.name.starts_with('3'));
    }
    let mut _cluster = None;
    let (master, agent) = match (arguments.master, arguments.agent) {
        (Some(master), Some(agent)) => (master, agent),
        (Some(master), None) => {
            let agent = play::agent_of(&master)?;
            (master, agent)
        }
        (None, _) => {
            let about_offers = arguments.scripts.starts_with('3');
            let options = if about_offers { Options::allocation() } else { Options::conformance() };
            let cluster = _cluster.insert(Cluster::start(options));
            (cluster.master_address(), cluster.agent_address(0))
        }
    };
    let is_meseta = play::is_meseta(&master)?;
    let (patience, settle) = match is_meseta {
        true => (Duration::from_secs(5), Duration::from_millis(200)),
        // A Mesos allocates once a second, so silence there means nothing before that.
        false => (Duration::from_secs(15), Duration::from_millis(1500)),
    };
    let target = Target { master, agent, patience, settle };
    if arguments.record {
        if is_meseta {
            bail!("{} is no Apache Mesos: what Meseta answers is not recorded", target.master);
        }
        for script in &scripts {
            suite.record(script, &target)?;
            println!("recorded {}", script.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut deliberate = suite.deliberate()?;
    let checked = scripts.iter().map(|script| suite.compare(script, &play(script, &target), &mut deliberate));
    let outcomes = checked.collect::<Result<Vec<_>>>()?;
    println!("{}", suite::report(&outcomes));
    let same = outcomes.iter().all(|outcome| outcome.differing.is_empty());
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_arguments() -> Result<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let (name, inline) =
            word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value.to_owned())));
        let mut value = || inline.clone().or_else(|| words.next());
        match name {
            "--master" => arguments.master = value(),
            "--agent" => arguments.agent = value(),
            "--scripts" => arguments.scripts = value().unwrap_or_default(),
            "--record" => arguments.record = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            _ => bail!("what is {word:?}?\n{USAGE}"),
        }
    }
    Ok(arguments)
}
