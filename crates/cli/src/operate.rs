//! `meseta quota | weights | maintenance | reserve | unreserve | agents drain` and its kin: what operators set. One
//! file per command below; here is how they read amounts and say what went wrong.

pub mod agents;
mod maintenance;
mod quota;
mod reserve;
mod weights;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;
use client::{Error, MasterClient};
use proto::v1::value::Scalar;

use crate::connect::{self, Connect};

#[derive(clap::Args, Debug)]
pub struct QuotaArguments {
    #[command(subcommand)]
    verb: quota::Verb,
}

#[derive(clap::Args, Debug)]
pub struct WeightsArguments {
    #[command(subcommand)]
    verb: weights::Verb,
}

#[derive(clap::Args, Debug)]
pub struct MaintenanceArguments {
    #[command(subcommand)]
    verb: maintenance::Verb,
}

pub use reserve::ReserveArguments;

#[derive(Subcommand, Debug)]
pub enum Operate {
    /// What roles are promised and what they may have at most.
    Quota(QuotaArguments),
    /// How much roles count in fair sharing.
    Weights(WeightsArguments),
    /// Machines that will be, or are, out of service.
    Maintenance(MaintenanceArguments),
    /// Sets free resources of an agent apart for a role.
    Reserve(ReserveArguments),
    /// Takes a reservation back; what it held is anybody's again.
    Unreserve(ReserveArguments),
}

pub fn operate(command: Operate) -> ExitCode {
    connect::run(async {
        match command {
            Operate::Quota(arguments) => quota::quota(arguments.verb).await,
            Operate::Weights(arguments) => weights::weights(arguments.verb).await,
            Operate::Maintenance(arguments) => maintenance::maintenance(arguments.verb).await,
            Operate::Reserve(arguments) => reserve::reserve(arguments).await,
            Operate::Unreserve(arguments) => reserve::unreserve(arguments).await,
        }
    })
}

/// Sends a change; a refusal comes back with what to do about it.
async fn change(
    connect: &Connect,
    next_step: &str,
    send: impl AsyncFnOnce(MasterClient) -> Result<(), Error>,
) -> Result<(), String> {
    match send(connect.client()?).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let text = connect.explain(&error);
            Err(if next_step.is_empty() { text } else { format!("{text}\n{next_step}") })
        }
    }
}

/// `cpus:4;mem:1024`, in any order, separated by semicolons or commas.
fn amounts(text: &str) -> Result<BTreeMap<String, Scalar>, String> {
    let mut amounts = BTreeMap::new();
    for part in text.split([';', ',']).map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || format!("'{part}' is not name:amount, as in cpus:4;mem:1024");
        let (name, amount) = part.split_once(':').ok_or_else(wrong)?;
        let value: f64 = amount.trim().parse().map_err(|_| wrong())?;
        crate::compose::check_amount(name.trim(), value)?;
        if amounts.insert(name.trim().to_owned(), Scalar { value }).is_some() {
            return Err(format!("'{}' is named twice in '{text}'", name.trim()));
        }
    }
    Ok(amounts)
}

/// Warns of names that no agent has a resource of: a quota for them is legal, and of no effect.
pub async fn warn_of_unknown<'a>(connect: &Connect, names: impl Iterator<Item = &'a String>) {
    let Ok(client) = connect.client() else { return };
    // Who may set quotas may not be allowed to see agents.
    let Ok(agents) = client.get_agents().await else { return };
    let resources = agents.agents.iter().flat_map(|agent| &agent.total_resources);
    let known: BTreeSet<&str> = resources.map(|resource| resource.name.as_str()).collect();
    names.filter_map(|name| unknown(name, &known)).for_each(|sentence| crate::output::complain(&sentence));
}

/// What is odd about a name of a resource, if anything is. Without agents nothing is known.
fn unknown(name: &str, known: &BTreeSet<&str>) -> Option<String> {
    if known.is_empty() || known.contains(name) {
        return None;
    }
    let near = known.iter().map(|known| (stdx::flags::distance(known, name), known)).min();
    let hint = near.filter(|(distance, _)| *distance <= 2).map(|(_, near)| format!("; did you mean {near}?"));
    Some(format!("no agent has a resource '{name}'{}", hint.unwrap_or_default()))
}

fn time(text: &str) -> Result<Duration, String> {
    stdx::units::parse_duration(text).map_err(|_| format!("'{text}' is not a duration, as in 30mins"))
}

fn print_amounts(amounts: &BTreeMap<String, Scalar>) -> String {
    if amounts.is_empty() {
        return "-".to_owned();
    }
    amounts.iter().map(|(name, scalar)| format!("{name}:{}", scalar.value)).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_no_agent_has_is_told_with_the_nearest() {
        let known = BTreeSet::from(["cpus", "mem"]);
        assert_eq!(unknown("cpu", &known).unwrap(), "no agent has a resource 'cpu'; did you mean cpus?");
        assert_eq!(unknown("network", &known).unwrap(), "no agent has a resource 'network'");
        assert_eq!((unknown("mem", &known), unknown("cpu", &BTreeSet::new())), (None, None));
    }

    #[test]
    fn amounts_are_read_and_printed() {
        let read = amounts("mem:1024; cpus:0.5").unwrap();
        assert_eq!(print_amounts(&read), "cpus:0.5;mem:1024");
        assert_eq!(print_amounts(&amounts("").unwrap()), "-");
        for wrong in ["cpus", "cpus:x", "cpus:1;cpus:2", "cpus:1e20", "cpus:nan", "cpus:-1"] {
            assert!(amounts(wrong).is_err(), "{wrong}");
        }
    }
}
