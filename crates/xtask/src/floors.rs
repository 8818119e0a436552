//! `cargo xtask floors`: the edges between the workspace's crates against floors.toml.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use serde::Deserialize;

use crate::shell;

#[derive(Deserialize)]
struct Plan {
    floors: BTreeMap<String, Vec<String>>,
    edges: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    dev_edges: BTreeMap<String, BTreeSet<String>>,
}

pub fn floors() -> Result<()> {
    let text = fs::read_to_string(shell::root().join("floors.toml")).context("cannot read floors.toml")?;
    let plan: Plan = toml::from_str(&text).context("floors.toml")?;
    let metadata = MetadataCommand::new().current_dir(shell::root()).no_deps().exec()?;
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();

    let mut wrong = unplaced(&plan, &names);
    for package in &packages {
        wrong.extend(check_edges(&plan, &names, package));
    }
    if !wrong.is_empty() {
        bail!("floors.toml and the crates disagree:\n  {}", wrong.join("\n  "));
    }
    println!("floors: {} crates stand where floors.toml puts them", names.len());
    Ok(())
}

fn unplaced(plan: &Plan, names: &BTreeSet<&str>) -> Vec<String> {
    let placed: BTreeSet<&str> = plan.floors.values().flatten().map(String::as_str).collect();
    let missing = names.difference(&placed).map(|name| format!("crate {name} stands on no floor"));
    let gone = placed.difference(names).map(|name| format!("floors.toml names {name}, which is no crate"));
    missing.chain(gone).collect()
}

fn check_edges(plan: &Plan, names: &BTreeSet<&str>, package: &Package) -> Vec<String> {
    let from = package.name.as_str();
    let mut wrong = Vec::new();
    for dependency in package.dependencies.iter().filter(|d| names.contains(d.name.as_str())) {
        let to = dependency.name.as_str();
        let allowed = |edges: &BTreeMap<String, BTreeSet<String>>| edges.get(from).is_some_and(|set| set.contains(to));
        let fine = match dependency.kind {
            DependencyKind::Development => to == from || allowed(&plan.edges) || allowed(&plan.dev_edges),
            _ => allowed(&plan.edges),
        };
        if !fine {
            wrong.push(format!("{from} may not use {to} ({:?})", dependency.kind));
        }
    }
    wrong
}
