//! Which work on which agents: the options that `meseta what-if` and `meseta sim` have alike.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use stdx::units::parse_duration;
use workload::{Fleet, Load, Mix, Trace};

use crate::files;

#[derive(clap::Args, Clone, Debug)]
pub struct Work {
    /// The work: a CSV of jobs (arrival, duration, count, cpus, mem, disk, gpus, role, framework).
    #[arg(long, value_name = "FILE", conflicts_with = "mix")]
    pub trace: Option<PathBuf>,
    /// The work: drawn from a seed, shaped like Google's cells, web services, or batch jobs.
    #[arg(long, value_name = "google|web|batch")]
    pub mix: Option<Mix>,
    /// The agents: a number, N:RESOURCES such as '100:cpus:16;mem:65536', or a CSV file; may be given several times.
    #[arg(long, value_name = "AGENTS")]
    pub agents: Vec<String>,
    /// With --mix: for how long jobs arrive.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1hrs")]
    pub horizon: Duration,
    /// With --mix: the work that arrives, as a part of what the agents can do.
    #[arg(long, value_name = "PART", default_value_t = 0.8, value_parser = part)]
    pub load: f64,
    /// The same seed gives the same result.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Writes the work that was drawn as a CSV.
    #[arg(long, value_name = "FILE", requires = "mix")]
    pub save_trace: Option<PathBuf>,
}

/// What an agent of `--agents N` has.
const AGENT: &str = "cpus:16;mem:65536";

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part: &f64| (0.001..=100.0).contains(part));
    part.ok_or_else(|| "write a number such as 0.8, from 0.001 to 100".to_owned())
}

impl Work {
    /// Whether any work was named.
    pub fn is_given(&self) -> bool {
        self.trace.is_some() || self.mix.is_some()
    }

    /// Reads or draws it.
    pub fn load(&self) -> Result<(Trace, Fleet), String> {
        let mut fleet = Fleet::default();
        for agents in &self.agents {
            fleet.agents.extend(read_fleet(agents)?.agents);
        }
        if fleet.agents.is_empty() {
            return Err(format!(
                "--agents is missing: how many, such as --agents 100 (each {AGENT}), or a CSV of agents"
            ));
        }
        let trace = match (&self.trace, self.mix) {
            (Some(path), _) => {
                Trace::parse(&path.display().to_string(), &read(path)?).map_err(|error| error.to_string())?
            }
            (None, Some(mix)) => {
                let trace = mix.generate(&self.mixed(&fleet));
                if let Some(path) = &self.save_trace {
                    files::write(path, &trace.csv())?;
                }
                trace
            }
            (None, None) => return Err("--trace FILE or --mix google|web|batch says what work there is".to_owned()),
        };
        Ok((trace, fleet))
    }

    fn mixed(&self, fleet: &Fleet) -> Load {
        let sizes = fleet.agents.iter().map(|agent| agent.resources.scalar_quantities());
        let largest = sizes.max_by_key(|size| (size.named("cpus"), size.named("mem"))).unwrap_or_default();
        let capacity = fleet.total().scalar_quantities();
        Load { seed: self.seed, capacity, largest, horizon: self.horizon, load: self.load }
    }
}

fn read_fleet(text: &str) -> Result<Fleet, String> {
    let parsed = match text.parse::<u32>() {
        Ok(count) => Fleet::of_spec(&format!("{count}:{AGENT}")),
        Err(_) if text.ends_with(".csv") => Fleet::parse(text, &read(&PathBuf::from(text))?),
        Err(_) => Fleet::of_spec(text),
    };
    parsed.map_err(|error| format!("--agents {error}"))
}

/// A recorded cluster or a trace.
pub fn read(path: &Path) -> Result<String, String> {
    files::read_text(path, files::RECORDED_MAX)
}

/// Where reports go.
#[derive(clap::Args, Clone, Debug)]
pub struct ReportFiles {
    /// Writes the report with its charts as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes each chart as an SVG into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub svg: Option<PathBuf>,
}

impl ReportFiles {
    pub fn write(&self, html: impl FnOnce() -> String, outcomes: &[workload::Named]) -> Result<(), String> {
        if let Some(path) = &self.html {
            files::write(path, &html())?;
        }
        if let Some(directory) = &self.svg {
            fs::create_dir_all(directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
            for (name, svg) in workload::charts(outcomes) {
                files::write(&directory.join(format!("{name}.svg")), &svg)?;
            }
        }
        Ok(())
    }
}

/// The report on a terminal: tables, then what was said about it.
pub fn text(about: &[(&str, &[String])], outcomes: &[workload::Named]) -> String {
    let mut text = String::new();
    for (heading, items) in about.iter().filter(|(_, items)| !items.is_empty()) {
        text += &format!("{heading}:\n");
        for item in *items {
            text += &format!("  - {item}\n");
        }
        text.push('\n');
    }
    for (heading, table) in workload::tables(outcomes) {
        text += &format!("{}\n{}\n\n", heading.to_uppercase(), crate::output::sheet(&table));
    }
    text
}
