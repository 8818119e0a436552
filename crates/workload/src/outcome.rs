//! What became of a workload: how much was held by whom, who waited how long. `recorder` makes it, `report` shows it.

use std::collections::BTreeMap;

use resources::Quantities;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How long the replay went on.
    pub ended_at_secs: f64,
    /// From the first arrival to the last end; nothing while tasks wait or run.
    pub makespan_secs: Option<f64>,
    pub tasks: TaskCounts,
    pub capacity: BTreeMap<String, f64>,
    /// Parts of the capacity, by resource.
    pub utilisation: BTreeMap<String, Uses>,
    /// What the tasks that wait at the end want.
    pub unmet: BTreeMap<String, f64>,
    pub waits: Waits,
    /// Jain's index over the weighted dominant shares of the roles that wait for something; 1 is fair, 1/n is one role
    /// with all. Nothing if two roles never waited at a time.
    pub fairness: Option<f64>,
    pub roles: Vec<PartyOutcome>,
    pub frameworks: Vec<PartyOutcome>,
    /// Where there are resource groups; by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupOutcome>,
    /// Shares are in the order of `roles`.
    pub moments: Vec<Moment>,
}

/// A resource group: its roles together.
#[derive(Clone, Debug, Serialize)]
pub struct GroupOutcome {
    pub group: String,
    pub roles: Vec<String>,
    /// Jain's index over the dominant shares of those of its frameworks that wait for something, as that over roles.
    pub fairness: Option<f64>,
    /// Units that it was offered or used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Uses>,
    #[serde(flatten)]
    pub held: PartyOutcome,
}

/// A role, or a framework in a role, or what several have together.
#[derive(Clone, Debug, Serialize)]
pub struct PartyOutcome {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// The dominant share over the time measured, and at the end.
    pub share_mean: f64,
    pub share_end: f64,
    pub held_mean: BTreeMap<String, f64>,
    pub held_end: BTreeMap<String, f64>,
    pub unmet: BTreeMap<String, f64>,
    pub tasks: TaskCounts,
    pub waits: Waits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskCounts {
    pub arrived: u64,
    pub started: u64,
    pub finished: u64,
    pub lost: u64,
    /// At the end.
    pub running: u64,
    pub waiting: u64,
}

impl TaskCounts {
    pub(crate) fn add(&mut self, other: &TaskCounts) {
        self.arrived += other.arrived;
        self.started += other.started;
        self.finished += other.finished;
        self.lost += other.lost;
        self.running += other.running;
        self.waiting += other.waiting;
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Uses {
    pub mean: f64,
    pub peak: f64,
}

/// How long tasks waited before they started, in seconds; nothing if none did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waits {
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

impl Waits {
    pub fn of(mut waits: Vec<f64>) -> Waits {
        waits.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let rank = ((waits.len() as f64 * part).ceil() as usize).max(1);
            waits.get(rank - 1).copied().map(rounded)
        };
        let mean = (!waits.is_empty()).then(|| rounded(waits.iter().sum::<f64>() / waits.len() as f64));
        Waits { mean, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

/// How things stand at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    pub secs: f64,
    /// Parts of the capacity, by resource.
    pub used: BTreeMap<String, f64>,
    pub shares: Vec<f64>,
    pub waiting: u64,
}

/// Jain's fairness index; nothing for fewer than two.
pub fn jain(shares: &[f64]) -> Option<f64> {
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    match (shares.len(), squares) {
        (0 | 1, _) => None,
        // Nobody has anything, which is the same for all.
        (_, 0.0) => Some(1.0),
        (n, squares) => Some(shares.iter().sum::<f64>().powi(2) / (n as f64 * squares)),
    }
}

/// As many digits as mean something.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

pub(crate) fn amounts(quantities: &Quantities) -> BTreeMap<String, f64> {
    quantities.iter().map(|(name, amount)| (name.to_string(), amount.as_f64())).collect()
}

/// Roles and frameworks by name, and the shares of each moment with them.
pub(crate) fn sort(outcome: &mut Outcome) {
    let mut order: Vec<usize> = (0..outcome.roles.len()).collect();
    order.sort_by_key(|&at| outcome.roles.get(at).map(|role| role.role.clone()));
    for moment in &mut outcome.moments {
        moment.shares = order.iter().map(|&at| moment.shares.get(at).copied().unwrap_or(0.0)).collect();
    }
    outcome.roles.sort_by(|a, b| a.role.cmp(&b.role));
    outcome.frameworks.sort_by(|a, b| (&a.role, &a.framework).cmp(&(&b.role, &b.framework)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let waits = Waits::of((1..=100).map(f64::from).collect());
        assert_eq!((waits.p50, waits.p90, waits.p99, waits.max), (Some(50.0), Some(90.0), Some(99.0), Some(100.0)));
        assert_eq!(Waits::of(Vec::new()), Waits::default());
        assert_eq!(Waits::of(vec![3.0]).p99, Some(3.0));
    }

    #[test]
    fn fairness_is_one_for_equals_and_a_part_for_one_that_has_all() {
        assert_eq!(jain(&[0.2, 0.2, 0.2]).map(rounded), Some(1.0));
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[1.0]), None);
        assert_eq!(jain(&[0.0, 0.0]), Some(1.0));
    }
}
