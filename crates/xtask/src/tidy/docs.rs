//! What is written beside the code stays true: each dependency has its line, and links lead somewhere.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use super::sources::House;
use crate::shell::root;

pub fn broken(house: &House) -> Result<Vec<String>> {
    let mut broken = undocumented_dependencies(house)?;
    for directory in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(directory))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                broken.extend(dead_links(&path)?);
            }
        }
    }
    Ok(broken)
}

fn undocumented_dependencies(house: &House) -> Result<Vec<String>> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("Cargo.toml")?;
    let list = fs::read_to_string(root().join("docs/dependencies.md")).context("cannot read docs/dependencies.md")?;
    let dependencies = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let names = dependencies.and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    let outside = names.filter(|name| !house.crates.contains(*name));
    let firsts = list.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let listed: BTreeSet<&str> = firsts.flat_map(|first| first.split([' ', ',', '(', ')'])).collect();
    let missing = outside.filter(|name| !listed.contains(name.as_str()));
    Ok(missing
        .map(|name| format!("docs/dependencies.md has no line for {name}: what it saves, who keeps it"))
        .collect())
}

/// Links to files of ours that are not there.
fn dead_links(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut broken = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let is_ours = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
            let here = path.parent().unwrap_or(path);
            if is_ours && !here.join(target).exists() {
                let name = path.strip_prefix(root()).unwrap_or(path);
                broken.push(format!("{}:{} links to {target}, which is not there", name.display(), number + 1));
            }
        }
    }
    Ok(broken)
}
