//! `cargo xtask charts --from FILE`: how the allocator's cost grows, drawn from the figures that `cargo xtask bench
//! allocator --json FILE` wrote, as SVGs in docs/figures.

use std::{collections::BTreeMap, fs, path::PathBuf};

use ::charts::{Axis, LineChart, Shape};
use anyhow::{Context, Result, bail};

use crate::{bench::Figure, shell::root};

#[derive(clap::Args)]
pub struct Arguments {
    /// The figures: one JSON object a line.
    #[arg(long)]
    from: PathBuf,
    /// Where the SVGs go; docs/figures without it.
    #[arg(long)]
    to: Option<PathBuf>,
}

/// How large a measured cluster was: agents, frameworks, roles.
type Size = [u64; 3];

const DIMENSIONS: [&str; 3] = ["agents", "frameworks", "roles"];
/// Fewer points are no line.
const POINTS_MIN: usize = 3;

pub fn charts(arguments: &Arguments) -> Result<()> {
    let text =
        fs::read_to_string(&arguments.from).with_context(|| format!("cannot read {}", arguments.from.display()))?;
    let figures = text.lines().filter(|line| line.starts_with('{'));
    let figures: Vec<Figure> = figures
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a figure: {line}")))
        .collect::<Result<_>>()?;
    let folder = arguments.to.clone().unwrap_or_else(|| root().join("docs/figures"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut drawn = 0;
    for (number, dimension) in DIMENSIONS.iter().enumerate() {
        let lines = lines(&figures, number);
        if lines.is_empty() {
            continue;
        }
        let path = folder.join(format!("allocator-{dimension}.svg"));
        fs::write(&path, chart(dimension, &lines)).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: {} lines", path.display(), lines.len());
        drawn += 1;
    }
    if drawn == 0 {
        bail!(
            "{} holds no line of {POINTS_MIN} figures such as cycle.1000x50_ms that differ in one size only; write them with \
             `cargo xtask bench allocator --json FILE`",
            arguments.from.display()
        );
    }
    Ok(())
}

fn chart(dimension: &str, lines: &BTreeMap<String, Vec<(f64, f64)>>) -> String {
    let mut title = format!("What the allocator costs, by the number of {dimension}");
    if let (1, Some(name)) = (lines.len(), lines.keys().next()) {
        title = format!("{title} ({name})");
    }
    // Agents are what the cost is expected to grow with; a straight line shows that it does no more.
    let x = if dimension == "agents" { Axis::new(dimension) } else { Axis::new(dimension).log() };
    let mut chart = LineChart::new(&title, x, Axis::new("one cycle").unit("ms"));
    for (name, points) in lines {
        chart = chart.series(name, Shape::Line, points.iter().copied());
    }
    chart.svg()
}

/// The figures that are alike but for one dimension, under what they have in common.
fn lines(figures: &[Figure], dimension: usize) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for figure in figures {
        let Some((bench, size)) = size_of(&figure.name) else { continue };
        let others = DIMENSIONS.iter().zip(size).enumerate().filter(|(number, _)| *number != dimension);
        let others = others.map(|(_, (name, count))| match count {
            1 => format!("1 {}", name.trim_end_matches('s')),
            count => format!("{} {name}", ::charts::number(count as f64)),
        });
        let name = format!("{bench}: {}", others.collect::<Vec<_>>().join(", "));
        let at = size.get(dimension).copied().unwrap_or_default();
        lines.entry(name).or_default().push((at as f64, figure.value));
    }
    lines.retain(|_, points| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by_key(|point| point.0);
        points.len() >= POINTS_MIN
    });
    lines
}

/// `cycle.20000x2000_ms`, or with the number of roles `cycle.3000x3000x100_ms`.
fn size_of(name: &str) -> Option<(&str, Size)> {
    let (bench, size) = name.strip_suffix("_ms")?.rsplit_once('.')?;
    let counts: Vec<u64> = size.split('x').map(|count| count.parse().ok()).collect::<Option<_>>()?;
    match *counts.as_slice() {
        [agents, frameworks] => Some((bench, [agents, frameworks, 1])),
        [agents, frameworks, roles] => Some((bench, [agents, frameworks, roles])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: f64) -> Figure {
        Figure { name: name.to_owned(), value, unit: "ms".to_owned(), conditions: String::new(), reference: None }
    }

    #[test]
    fn figures_that_differ_in_one_size_make_a_line() {
        let figures = [
            figure("cycle.1000x50_ms", 1.0),
            figure("cycle.50000x50_ms", 40.0),
            figure("cycle.10000x50_ms", 9.0),
            figure("cycle.10000x100_ms", 11.0),
            figure("cycle.10000x50x7_ms", 12.0),
            figure("placements_per_s.10000", 1e6),
            figure("quota.cycle_ms", 1.0),
        ];
        let agents = lines(&figures, 0);
        let expected = vec![(1000.0, 1.0), (10_000.0, 9.0), (50_000.0, 40.0)];
        assert_eq!(agents, BTreeMap::from([("cycle: 50 frameworks, 1 role".to_owned(), expected)]));
        assert!(lines(&figures, 1).is_empty() && lines(&figures, 2).is_empty());
        assert!(chart("agents", &agents).contains("cycle: 50 frameworks, 1 role"));
    }
}
