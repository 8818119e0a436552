//! `cargo xtask groups`: prints how seeded draws keep to the law of the competition, and draws what part of a cluster
//! each group holds during a run, as docs/figures/groups-shares.svg.

use std::{fs, path::PathBuf, process::Command};

use ::charts::{Axis, LineChart, Shape};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::shell::{built, cargo, root, run};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the SVG goes; docs/figures without it.
    #[arg(long)]
    to: Option<PathBuf>,
}

const TITLE: &str = "What part of a cluster each group holds";

pub fn groups(arguments: &Arguments) -> Result<()> {
    run(cargo().args(["build", "--release", "--quiet", "--package", "allocator", "--example", "groups"]))?;
    let output = Command::new(built("release", "examples/groups")).output().context("cannot start the example")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the example ended with {}:\n{text}", output.status);
    }
    let (points, table): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('{'));
    println!("{}", table.join("\n"));
    let folder = arguments.to.clone().unwrap_or_else(|| root().join("docs/figures"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("groups-shares.svg");
    fs::write(&path, chart(&points)?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn chart(points: &[&str]) -> Result<String> {
    let rows: Vec<Map<String, Value>> =
        points.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let mut chart = LineChart::new(TITLE, Axis::new("time").unit("s"), Axis::new("cpus held").unit("%").up_to(100.0));
    let names = rows.first().into_iter().flat_map(|row| row.keys()).filter(|name| *name != "second");
    for name in names {
        let point = |row: &Map<String, Value>| Some((row.get("second")?.as_f64()?, row.get(name)?.as_f64()? * 100.0));
        chart = chart.series(name, Shape::Area, rows.iter().filter_map(point));
    }
    Ok(chart.svg())
}
