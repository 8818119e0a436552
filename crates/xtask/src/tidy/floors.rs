//! Which crate stands on which floor, and uses what: floors.toml against `cargo metadata`. The floors are a list in
//! order, so an upward edge is wrong even where it is listed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use serde::Deserialize;

use crate::shell;

#[derive(Deserialize)]
struct Plan {
    /// From the ground up.
    floor: Vec<Floor>,
    edges: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    dev_edges: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Floor {
    name: String,
    crates: Vec<String>,
    /// Outside crates that nobody on this floor may use, tests aside.
    #[serde(default)]
    forbidden: BTreeSet<String>,
    /// Who may all the same.
    #[serde(default)]
    except: BTreeSet<String>,
}

pub fn broken() -> Result<Vec<String>> {
    let text = fs::read_to_string(shell::root().join("floors.toml")).context("cannot read floors.toml")?;
    let plan: Plan = toml::from_str(&text).context("floors.toml")?;
    let metadata = MetadataCommand::new().current_dir(shell::root()).no_deps().exec()?;
    let packages = metadata.workspace_packages();
    Ok(compare(&plan, &packages))
}

fn compare(plan: &Plan, packages: &[&Package]) -> Vec<String> {
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut wrong = misplaced(plan, &names);
    for package in packages {
        let from = package.name.as_str();
        let Some(height) = height(plan, from) else { continue };
        let (mut uses, mut dev_uses) = (BTreeSet::new(), BTreeSet::new());
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            let of_tests = dependency.kind == DependencyKind::Development;
            if names.contains(to) {
                let used = if of_tests { &mut dev_uses } else { &mut uses };
                used.insert(to.to_owned());
            } else if !of_tests && is_forbidden(&plan.floor[height], from, to) {
                let floor = &plan.floor[height].name;
                wrong.push(format!("{from} stands on the floor `{floor}`, where nobody may use {to}"));
            }
        }
        wrong.extend(unlisted(plan, from, &uses, &dev_uses));
        wrong.extend(upward(plan, from, height, &uses));
    }
    wrong
}

/// Crates on no floor or on two, and floors with crates that are not there.
fn misplaced(plan: &Plan, names: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut placed = BTreeSet::new();
    for name in plan.floor.iter().flat_map(|floor| &floor.crates) {
        if !placed.insert(name.as_str()) {
            wrong.push(format!("floors.toml places {name} twice"));
        }
    }
    wrong.extend(names.difference(&placed).map(|name| format!("crate {name} stands on no floor")));
    wrong.extend(placed.difference(names).map(|name| format!("floors.toml places {name}, which is no crate")));
    wrong
}

fn height(plan: &Plan, name: &str) -> Option<usize> {
    plan.floor.iter().position(|floor| floor.crates.iter().any(|known| known == name))
}

fn is_forbidden(floor: &Floor, from: &str, outside: &str) -> bool {
    floor.forbidden.contains(outside) && !floor.except.contains(from)
}

/// Edges that are used and not listed, and listed and not used.
fn unlisted(plan: &Plan, from: &str, uses: &BTreeSet<String>, dev_uses: &BTreeSet<String>) -> Vec<String> {
    let none = BTreeSet::new();
    let edges = plan.edges.get(from).unwrap_or(&none);
    let dev_edges = plan.dev_edges.get(from).unwrap_or(&none);
    let mut wrong = Vec::new();
    for to in uses.difference(edges) {
        wrong.push(format!("{from} uses {to}, an edge that floors.toml does not list"));
    }
    for to in edges.difference(uses) {
        wrong.push(format!("floors.toml lists {from} -> {to}, which nobody uses"));
    }
    for to in dev_uses.iter().filter(|to| *to != from && !edges.contains(*to) && !dev_edges.contains(*to)) {
        wrong.push(format!("{from}'s tests use {to}, an edge that floors.toml does not list"));
    }
    for to in dev_edges.difference(dev_uses) {
        wrong.push(format!("floors.toml lists {from} -> {to} for tests, which nobody uses"));
    }
    wrong
}

/// Tests may use what stands higher, the tools above all; nothing else may.
fn upward(plan: &Plan, from: &str, height_of_from: usize, uses: &BTreeSet<String>) -> Vec<String> {
    let above = uses.iter().filter(|to| height(plan, to).is_some_and(|height| height > height_of_from));
    above.map(|to| format!("{from} -> {to} leads upward, listed or not")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        toml::from_str(text).expect("a plan")
    }

    const HOUSE: &str = "floor = [\n\
        { name = \"ground\", crates = [\"stdx\", \"kernel\"], forbidden = [\"libc\"], except = [\"kernel\"] },\n\
        { name = \"cores\", crates = [\"core\"] },\n\
        ]\n[edges]\nstdx = [\"core\"]\ncore = [\"stdx\", \"kernel\"]\n";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_upward_edge_is_wrong_though_it_is_listed() {
        let plan = plan(HOUSE);
        assert_eq!(upward(&plan, "stdx", 0, &set(&["core"])), ["stdx -> core leads upward, listed or not"]);
        assert!(upward(&plan, "core", 1, &set(&["stdx"])).is_empty());
    }

    #[test]
    fn edges_are_listed_and_used() {
        let plan = plan(HOUSE);
        let wrong = unlisted(&plan, "core", &set(&["stdx", "proto"]), &set(&[]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("uses proto") && wrong[1].contains("core -> kernel"), "{wrong:?}");
    }

    #[test]
    fn an_outside_crate_is_forbidden_to_a_floor_but_for_exceptions() {
        let plan = plan(HOUSE);
        assert!(is_forbidden(&plan.floor[0], "stdx", "libc"));
        assert!(!is_forbidden(&plan.floor[0], "kernel", "libc"));
        assert!(!is_forbidden(&plan.floor[1], "core", "libc"));
    }
}
