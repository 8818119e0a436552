//! Who had which share of the cluster's cpus when: sampled from the master, drawn with one character for a moment.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use client::MasterClient;
use tokio::{sync::watch, time::sleep};

use crate::cluster::Cluster;

const EVERY: Duration = Duration::from_millis(100);
const COLUMNS_MAX: usize = 60;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Default)]
pub struct Samples {
    moments: Vec<Moment>,
    took: Duration,
}

/// Shares of all cpus, 0 to 1, by the framework's name.
type Moment = BTreeMap<String, f64>;

/// Samples until told that it is over. A sample that fails is left out.
pub async fn sample(master: MasterClient, mut over: watch::Receiver<bool>) -> Samples {
    let started = Instant::now();
    let mut samples = Samples::default();
    while !*over.borrow_and_update() {
        if let (Ok(agents), Ok(frameworks)) = tokio::join!(master.get_agents(), master.get_frameworks()) {
            samples.moments.push(moment(&Cluster { agents, frameworks, ..Cluster::default() }));
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = over.changed() => {}
        }
    }
    samples.took = started.elapsed();
    samples
}

fn moment(cluster: &Cluster) -> Moment {
    let total = cluster.total().named("cpus").as_f64();
    let mut moment = Moment::new();
    for row in cluster.framework_rows(false) {
        let cpus = row.allocated.get("cpus").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        *moment.entry(row.name).or_default() += if total > 0.0 { cpus / total } else { 0.0 };
    }
    moment
}

impl Samples {
    pub fn chart(&self, frameworks: &[&str]) -> String {
        let columns: Vec<&[Moment]> = self.moments.chunks(self.moments.len().div_ceil(COLUMNS_MAX).max(1)).collect();
        let each = self.took.as_secs_f64() / columns.len().max(1) as f64;
        let mut lines = vec![format!("Share of all cpus, a column is {each:.1} s, a full one all cpus")];
        let width = frameworks.iter().map(|name| name.len()).max().unwrap_or(0);
        for name in frameworks {
            let bars: String = columns.iter().map(|column| bar(mean(column, name))).collect();
            lines.push(format!("  {name:width$} |{bars}|"));
        }
        let both: Vec<&Moment> =
            self.moments.iter().filter(|moment| frameworks.iter().all(|name| at(moment, name) > 0.0)).collect();
        if !both.is_empty() {
            let means = frameworks.iter().map(|name| {
                let sum: f64 = both.iter().map(|moment| at(moment, name)).sum();
                format!("{name} {:.0} %", 100.0 * sum / both.len() as f64)
            });
            lines.push(format!("  while both ran, on average: {}", means.collect::<Vec<_>>().join(", ")));
        }
        lines.join("\n")
    }
}

fn at(moment: &Moment, name: &str) -> f64 {
    moment.get(name).copied().unwrap_or(0.0)
}

fn mean(moments: &[Moment], name: &str) -> f64 {
    moments.iter().map(|moment| at(moment, name)).sum::<f64>() / moments.len().max(1) as f64
}

fn bar(share: f64) -> char {
    let last = BARS.len() - 1;
    let index = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
    BARS.get(index).copied().unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_one_line_for_each_framework() {
        let moment = |a: f64, b: f64| Moment::from([("a".to_owned(), a), ("bb".to_owned(), b)]);
        let samples = Samples {
            moments: vec![moment(0.0, 1.0), moment(0.5, 0.5), moment(1.0, 0.0)],
            took: Duration::from_secs(3),
        };
        let chart = samples.chart(&["a", "bb"]);
        assert!(chart.contains("a column is 1.0 s"), "{chart}");
        assert!(chart.contains("  a  | ▄█|") && chart.contains("  bb |█▄ |"), "{chart}");
        assert!(chart.contains("a 50 %, bb 50 %"), "{chart}");
        assert!(!Samples::default().chart(&["a"]).is_empty());
    }

    #[test]
    fn long_runs_are_narrowed() {
        let moments = (0..1000).map(|_| Moment::from([("a".to_owned(), 1.0)])).collect();
        let chart = Samples { moments, took: Duration::from_secs(100) }.chart(&["a"]);
        let bars = chart.chars().filter(|c| *c == '█').count();
        assert!(bars <= COLUMNS_MAX && bars > COLUMNS_MAX / 2, "{bars}");
    }
}
