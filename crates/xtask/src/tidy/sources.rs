//! Every Rust file of the workspace, read once.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::shell::root;

/// What the laws look at.
pub struct House {
    pub files: Vec<File>,
    /// The directories below `crates/`.
    pub crates: BTreeSet<String>,
}

pub struct File {
    /// From the workspace's root, such as `crates/stdx/src/lib.rs`.
    pub path: PathBuf,
    pub crate_name: String,
    pub text: String,
}

impl File {
    /// `path:line`, as editors open it.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Whether it is compiled into the crate, and not a test, bench, example, build script or fuzz target beside it.
    pub fn is_of_library(&self) -> bool {
        self.path.starts_with(Path::new("crates").join(&self.crate_name).join("src"))
    }
}

impl House {
    pub fn read() -> Result<House> {
        let mut house = House { files: Vec::new(), crates: BTreeSet::new() };
        for entry in fs::read_dir(root().join("crates"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            read_below(&path, &name, &mut house.files)?;
            house.crates.insert(name);
        }
        house.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(house)
    }
}

fn read_below(directory: &Path, crate_name: &str, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            // Cargo's, where somebody fuzzed.
            if path.file_name().is_none_or(|name| name != "target") {
                read_below(&path, crate_name, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let path = path.strip_prefix(root()).unwrap_or(&path).to_owned();
            files.push(File { path, crate_name: crate_name.to_owned(), text });
        }
    }
    Ok(())
}
