//! Pure crates: no unsafe code, and clippy's list of what would bring in the world (`pure-clippy.toml`), the same in
//! each.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::sources::House;
use crate::shell::root;

/// What is decided here depends on nothing but what is handed in.
const CRATES: [&str; 10] = [
    "agent_core",
    "allocator",
    "charts",
    "election",
    "master_core",
    "model",
    "proto",
    "registry",
    "resources",
    "workload",
];
const LISTS: &str = "crates/xtask/pure-clippy.toml";

pub fn broken(house: &House) -> Result<Vec<String>> {
    let lists = fs::read_to_string(root().join(LISTS)).with_context(|| format!("cannot read {LISTS}"))?;
    let mut broken = Vec::new();
    for name in CRATES {
        let library = Path::new("crates").join(name).join("src/lib.rs");
        let text = house.files.iter().find(|file| file.path == library).map_or("", |file| file.text.as_str());
        if !text.contains("#![forbid(unsafe_code)]") {
            broken.push(format!("{}: `#![forbid(unsafe_code)]` is missing", library.display()));
        }
        let own = Path::new("crates").join(name).join("clippy.toml");
        if fs::read_to_string(root().join(&own)).unwrap_or_default() != lists {
            broken.push(format!("{} differs from {LISTS}; copy that", own.display()));
        }
    }
    Ok(broken)
}
