//! `cargo xtask bench [SUITE] [--json FILE]`: runs the suites' programs, which print `name value unit` lines with their
//! conditions and references, shows them as a table, and writes them as JSON lines.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::shell::{built, cargo, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// Which suite; all of them without it.
    #[arg(value_parser = SUITE_NAMES)]
    suite: Option<String>,
    /// Writes one JSON object a figure, a line each.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One figure, as a suite's program prints it: a line of JSON.
#[derive(Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    pub conditions: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// A floor or a peer measured in the same run.
#[derive(Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    pub value: f64,
}

const SUITE_NAMES: [&str; 4] = ["launch", "allocator", "store", "sim"];

pub fn bench(arguments: &Arguments) -> Result<()> {
    let mut figures = Vec::new();
    for suite in SUITE_NAMES.iter().filter(|name| arguments.suite.as_deref().is_none_or(|wanted| wanted == **name)) {
        figures.extend(run_suite(suite)?);
    }
    print(&figures);
    if let Some(path) = &arguments.json {
        let lines: Vec<String> = figures.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        fs::write(path, lines.join("\n") + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn run_suite(suite: &str) -> Result<Vec<Figure>> {
    let examples: &[(&str, &str)] = match suite {
        // The floor beside which a launch is shown is a program of its own.
        "launch" => &[("conformance", "launch"), ("containers", "launch_floor")],
        "store" => &[("coordination", "store")],
        "sim" => &[("sim", "sim")],
        _ => &[("allocator", "allocator")],
    };
    // What needs no binary of ours is built without it.
    if !matches!(suite, "allocator" | "sim") {
        run(cargo().args(["build", "--release", "--quiet", "--package", "meseta"]))?;
    }
    let profile = if suite == "sim" { "figures" } else { "release" };
    for (package, example) in examples {
        run(cargo().args(["build", "--profile", profile, "--quiet", "--package", package, "--example", example]))?;
    }
    let mut program = Command::new(built(profile, &format!("examples/{suite}")));
    // On disk, what is measured is mostly the file system: its syncs, and on ext4 its search for inodes after many
    // deletions. TMPDIR chooses another place; the conditions name it.
    let in_memory = if std::env::var_os("TMPDIR").is_none() { InMemory::new()? } else { None };
    if let Some(InMemory(directory)) = &in_memory {
        program.env("TMPDIR", directory.path());
    }
    let output = program.stderr(std::process::Stdio::inherit()).output().context("cannot start the suite")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the suite {suite} ended with {}:\n{text}", output.status);
    }
    let figures = text.lines().filter(|line| line.starts_with('{'));
    figures.map(|line| serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))).collect()
}

/// A directory whose files are in memory, for as long as it is there. Not `/dev/shm`, of which each container has its
/// own.
struct InMemory(tempfile::TempDir);

impl InMemory {
    /// None for who may not mount anything.
    fn new() -> Result<Option<InMemory>> {
        let directory = tempfile::tempdir()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(directory.path()).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(is_mounted.then_some(InMemory(directory)))
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        // Lazily: a container that ends just now may still hold it.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn print(figures: &[Figure]) {
    for figure in figures {
        let ratio = figure.reference.as_ref().map(|reference| {
            format!(
                "  {:.2} × {} ({:.3} {})",
                figure.value / reference.value,
                reference.name,
                reference.value,
                figure.unit
            )
        });
        println!("{:42} {:>12.3} {:10}{}", figure.name, figure.value, figure.unit, ratio.unwrap_or_default());
        println!("{:42} {}", "", figure.conditions);
    }
}
