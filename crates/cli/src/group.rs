//! `meseta group`: the resource groups of a cluster, to see and to change. How a selector is written is in `selector`.

mod selector;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use proto::{
    meseta::v1::{GroupStatus, ResourceGroup, resource_group},
    v1::value::Scalar,
};
use serde::Serialize;

use crate::{
    connect::{self, Connect},
    files,
    operate::warn_of_unknown,
    output::{Column, Format, json, print, table},
};

/// Resource groups: parts of the cluster that agents compete to be in, each shared among some roles.
///
/// Roles that no group serves, and what no group claims, are the group 'default', which is always there.
#[derive(clap::Args, Debug)]
pub struct GroupArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// All groups and how they stand.
    List(ListArguments),
    /// One group in full.
    Show(NameArguments),
    Set(Box<SetArguments>),
    /// Takes a group away. Its roles and agents fall to the group 'default'; what runs goes on.
    Delete(NameArguments),
}

#[derive(clap::Args, Debug)]
struct ListArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(clap::Args, Debug)]
struct NameArguments {
    name: String,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

/// Adds a group, or puts it in place of the one of its name.
#[derive(clap::Args, Debug)]
struct SetArguments {
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// The roles that it serves, with commas between them; the roles below them come along.
    #[arg(long, value_delimiter = ',', required_unless_present = "file")]
    roles: Vec<String>,
    /// What is won or not: scalars such as 'cpus:1;mem:1024'.
    #[arg(long, required_unless_present = "file")]
    unit: Option<String>,
    /// Which agents it may draw units from, such as 'disk=ssd,@zone!=z1 | @hostname~big-.*'; all of them without it.
    #[arg(long, value_name = "CONDITIONS")]
    select: Option<String>,
    /// Its weight against other groups.
    #[arg(long, default_value_t = 1.0)]
    weight: f64,
    /// Units that are served before any group gets more than its own.
    #[arg(long, default_value_t = 0)]
    min: u64,
    /// Units that it holds at most.
    #[arg(long)]
    max: Option<u64>,
    /// How its roles and frameworks are sorted; the master's own way without it.
    #[arg(long, value_name = "drf|random")]
    sorter: Option<Sorter>,
    /// An agent serves nobody else while the group holds units of it.
    #[arg(long)]
    exclusive: bool,
    /// Takes the group from a file instead, in the JSON form that `meseta group show --json` prints under "group".
    #[arg(long, conflicts_with_all = ["name", "roles", "unit", "select", "weight", "min", "max", "sorter", "exclusive"])]
    file: Option<PathBuf>,
    /// Even if the cluster is too small for what groups are guaranteed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Sorter {
    Drf,
    Random,
}

pub fn group(arguments: GroupArguments) -> ExitCode {
    connect::run(async {
        match arguments.command {
            Command::List(list) => {
                let groups = fetch(&list.connect).await?;
                let rows: Vec<Row> = groups.iter().map(row).collect();
                list.format.print(&Groups { groups: rows }, |groups| overview(&groups.groups))?;
            }
            Command::Show(show) => {
                let groups = fetch(&show.connect).await?;
                let found = groups.iter().find(|status| status.group.name == show.name);
                let found = found.ok_or_else(|| match show.name.as_str() {
                    "default" => "the group 'default' is what no group claims; it has no definition".to_owned(),
                    name => format!("there is no resource group '{name}'; `meseta group list` shows those there are"),
                })?;
                show.format.print(&row(found), details)?;
            }
            Command::Set(set) => {
                let group = definition(&set)?;
                let client = set.connect.client()?;
                let name = group.name.clone();
                warn_of_unknown(&set.connect, group.unit.keys()).await;
                client.set_group(group, set.force).await.map_err(|error| set.connect.explain(&error))?;
                done(set.format, &name, "set")?;
            }
            Command::Delete(delete) => {
                let client = delete.connect.client()?;
                client.remove_group(&delete.name).await.map_err(|error| delete.connect.explain(&error))?;
                done(delete.format, &delete.name, "deleted")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn fetch(connect: &Connect) -> Result<Vec<GroupStatus>, String> {
    connect.client()?.get_groups().await.map_err(|error| connect.explain(&error))
}

fn done(format: Format, name: &str, what: &str) -> Result<(), String> {
    match format.is_json() {
        true => print(&json(&BTreeMap::from([("name", name), ("outcome", what)]))?),
        false => print(&format!("resource group '{name}' {what}")),
    }
    Ok(())
}

fn definition(set: &SetArguments) -> Result<ResourceGroup, String> {
    if let Some(path) = &set.file {
        let text = files::read(path, files::WRITTEN_MAX)?;
        return proto::json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()));
    }
    Ok(ResourceGroup {
        name: set.name.clone().unwrap_or_default(),
        selector: set.select.as_deref().map(selector::parse).transpose()?,
        roles: set.roles.clone(),
        weight: Some(set.weight),
        unit: unit(set.unit.as_deref().unwrap_or_default())?,
        capacity: Some(resource_group::Capacity { min: Some(set.min), max: set.max }),
        sorter: set.sorter.map(|sorter| match sorter {
            Sorter::Drf => resource_group::Sorter::Drf as i32,
            Sorter::Random => resource_group::Sorter::Random as i32,
        }),
        exclusive: Some(set.exclusive),
    })
}

/// `cpus:1;mem:1024`
fn unit(text: &str) -> Result<BTreeMap<String, Scalar>, String> {
    let one = |part: &str| {
        let wrong = || format!("--unit: '{part}' is not name:amount, such as cpus:1");
        let (name, amount) = part.split_once(':').ok_or_else(wrong)?;
        let value = amount.trim().parse().map_err(|_| wrong())?;
        crate::compose::check_amount(name.trim(), value).map_err(|why| format!("--unit: {why}"))?;
        Ok((name.trim().to_owned(), Scalar { value }))
    };
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    group: serde_json::Value,
    held_units: u64,
    held: BTreeMap<String, f64>,
    agents_selected: u64,
    agents_held: u64,
    wanted: u64,
    won: u64,
    entrants: u64,
    supply: u64,
    won_total: u64,
    returned_total: u64,
    #[serde(skip)]
    definition: ResourceGroup,
}

fn row(status: &GroupStatus) -> Row {
    let amounts = |map: &BTreeMap<String, Scalar>| map.iter().map(|(name, s)| (name.clone(), s.value)).collect();
    Row {
        group: serde_json::from_str(&proto::json::to_string(&status.group)).unwrap_or_default(),
        held_units: status.held_units(),
        held: amounts(&status.held),
        agents_selected: status.agents_selected(),
        agents_held: status.agents_held(),
        wanted: status.wanted(),
        won: status.won(),
        entrants: status.entrants(),
        supply: status.supply(),
        won_total: status.won_total(),
        returned_total: status.returned_total(),
        definition: status.group.clone(),
    }
}

fn overview(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no resource groups; everything is in 'default'. `meseta group set --help` tells how to make one"
            .to_owned();
    }
    let columns = [
        Column::Text("NAME"),
        Column::Text("ROLES"),
        Column::Number("WEIGHT"),
        Column::Text("UNIT"),
        Column::Number("MIN"),
        Column::Number("HELD"),
        Column::Number("MAX"),
        Column::Number("AGENTS"),
        Column::Text("SELECTS"),
    ];
    table(
        &columns,
        rows.iter().map(|row| {
            let group = &row.definition;
            vec![
                group.name.clone() + if group.exclusive() { " (exclusive)" } else { "" },
                group.roles.join(","),
                group.weight.unwrap_or(1.0).to_string(),
                amounts(&group.unit),
                min(group).to_string(),
                row.held_units.to_string(),
                max(group),
                format!("{}/{}", row.agents_held, row.agents_selected),
                group.selector.as_ref().map_or_else(|| "all agents".to_owned(), selector::print),
            ]
        }),
    )
}

fn details(row: &Row) -> String {
    let group = &row.definition;
    let sorter = match group.sorter.map(|_| group.sorter()) {
        None => "the master's own",
        Some(resource_group::Sorter::Drf) => "drf",
        Some(resource_group::Sorter::Random) => "random",
    };
    let held: Vec<String> = row.held.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    [
        format!("name       {}", group.name),
        format!("roles      {}", group.roles.join(",")),
        format!("selects    {}", group.selector.as_ref().map_or_else(|| "all agents".to_owned(), selector::print)),
        format!("unit       {}", amounts(&group.unit)),
        format!("weight     {}", group.weight.unwrap_or(1.0)),
        format!("capacity   at least {} units, at most {}", min(group), max(group)),
        format!("sorter     {sorter}"),
        format!("exclusive  {}", if group.exclusive() { "yes" } else { "no" }),
        format!("holds      {} units: {}", row.held_units, if held.is_empty() { "-".into() } else { held.join(";") }),
        format!("agents     {} of {} selected", row.agents_held, row.agents_selected),
        format!(
            "last draw  won {} of {} units wanted, from {} agents with room for {}",
            row.won,
            units(row.wanted),
            row.entrants,
            row.supply
        ),
        format!(
            "all draws  won {} units, of which {} were not wanted and went back",
            row.won_total, row.returned_total
        ),
    ]
    .join("\n")
}

fn min(group: &ResourceGroup) -> u64 {
    group.capacity.as_ref().map_or(0, |capacity| capacity.min())
}

fn max(group: &ResourceGroup) -> String {
    group.capacity.as_ref().and_then(|capacity| capacity.max).map_or_else(|| "-".to_owned(), |max| max.to_string())
}

/// A group without a maximum wants what there is.
fn units(wanted: u64) -> String {
    if wanted >= u64::from(u32::MAX) { "any number of".to_owned() } else { wanted.to_string() }
}

fn amounts(unit: &BTreeMap<String, Scalar>) -> String {
    unit.iter().map(|(name, scalar)| format!("{name}:{}", scalar.value)).collect::<Vec<_>>().join(";")
}
