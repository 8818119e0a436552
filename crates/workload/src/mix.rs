//! Traces drawn from a seed: three mixes of work, each in a file that states its distributions and where their shape
//! comes from. `draw` holds the distributions.

mod batch;
mod draw;
mod google;
mod web;

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use resources::{Name, Quantities, Quantity};
use stdx::Rng;

use crate::trace::{Job, Trace};

/// What kind of work a cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Everything at once: very many small short jobs, few that take nearly all.
    Google,
    /// Services that stay, and follow the load of the day.
    Web,
    /// Jobs of many tasks that end.
    Batch,
}

/// How much work, on what.
#[derive(Clone, Debug)]
pub struct Load {
    pub seed: u64,
    /// What all agents have together.
    pub capacity: Quantities,
    /// What the largest agent has: no task wants more.
    pub largest: Quantities,
    /// How long jobs arrive.
    pub horizon: Duration,
    /// The work that arrives, as a part of what the cluster could do in that time; above 1 it cannot keep up.
    pub load: f64,
}

impl Mix {
    pub const ALL: [Mix; 3] = [Mix::Google, Mix::Web, Mix::Batch];

    pub fn name(self) -> &'static str {
        match self {
            Mix::Google => "google",
            Mix::Web => "web",
            Mix::Batch => "batch",
        }
    }

    /// Jobs until their work is what `load` asks for: of their tasks' resources the one that the cluster has least of,
    /// times the part of their duration that lies within the horizon.
    pub fn generate(self, load: &Load) -> Trace {
        let mut rng = Rng::new(load.seed).fork(self.name());
        let mut left = load.horizon.as_secs_f64() * load.load;
        let mut jobs = Vec::new();
        while left > 0.0 && jobs.len() < JOBS_MAX {
            let mut drawn = match self {
                Mix::Google => google::draw(&mut rng, load),
                Mix::Web => web::draw(&mut rng, load),
                Mix::Batch => batch::draw(&mut rng, load),
            };
            let before = left;
            for job in &mut drawn {
                job.demand = within(&job.demand, &load.largest);
                let each = work(job, load);
                if each <= 0.0 {
                    continue;
                }
                // The last job is cut to what is missing; no job takes more than a fifth of what arrives.
                let most = (left / each).ceil().min((load.horizon.as_secs_f64() * load.load / each / 5.0).ceil());
                job.count = job.count.min(most.clamp(0.0, 1e7) as u32);
                left -= each * f64::from(job.count);
            }
            jobs.extend(drawn.into_iter().filter(|job| job.count > 0));
            if left >= before {
                break;
            }
        }
        Trace::new(jobs)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let known = || Mix::ALL.map(Mix::name).join(", ");
        Mix::ALL
            .into_iter()
            .find(|mix| mix.name() == text)
            .ok_or_else(|| format!("'{text}' is no mix; there are {}", known()))
    }
}

const JOBS_MAX: usize = 5_000_000;

/// The part of the cluster that one task takes, times the seconds within the horizon.
fn work(job: &Job, load: &Load) -> f64 {
    let part = |(name, amount): (&Name, Quantity)| match load.capacity.get(name).as_f64() {
        all if all > 0.0 => amount.as_f64() / all,
        _ => 0.0,
    };
    let within = job.duration.min(load.horizon.saturating_sub(job.arrival));
    job.demand.iter().map(part).fold(0.0, f64::max) * within.as_secs_f64()
}

fn within(demand: &Quantities, largest: &Quantities) -> Quantities {
    demand.iter().map(|(name, amount)| (name.clone(), amount.min(largest.get(name)))).collect()
}

/// CPUs in hundredths, MiB in whole ones.
fn demand(cpus: f64, mem: f64) -> Quantities {
    let amounts = BTreeMap::from([("cpus", (cpus * 100.0).round() / 100.0), ("mem", mem.round())]);
    amounts.into_iter().map(|(name, amount)| (Name::from(name), Quantity::from_f64(amount))).collect()
}

/// Milliseconds are fine enough, and read well in a CSV.
fn secs(secs: f64) -> Duration {
    Duration::from_millis((secs * 1000.0).round().clamp(1.0, 1e12) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(seed: u64) -> Load {
        let of = |agents: f64| demand(agents * 16.0, agents * 65_536.0);
        Load { seed, capacity: of(100.0), largest: of(1.0), horizon: Duration::from_secs(4 * 3600), load: 0.8 }
    }

    #[test]
    fn every_mix_brings_the_work_that_was_asked_for() {
        for mix in Mix::ALL {
            let load = load(7);
            let trace = mix.generate(&load);
            let work: f64 = trace.jobs.iter().map(|job| work(job, &load) * f64::from(job.count)).sum();
            let wanted = load.load * load.horizon.as_secs_f64();
            assert!((work / wanted - 1.0).abs() < 0.02, "{}: {work} of {wanted}", mix.name());
            assert!(trace.jobs.iter().all(|job| job.arrival <= load.horizon && load.largest.contains(&job.demand)));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_trace_and_another_another() {
        for mix in Mix::ALL {
            assert_eq!(mix.generate(&load(1)), mix.generate(&load(1)));
            assert_ne!(mix.generate(&load(1)), mix.generate(&load(2)));
        }
    }

    #[test]
    fn a_drawn_trace_survives_its_csv() {
        for mix in Mix::ALL {
            let trace = mix.generate(&Load { load: 0.05, ..load(3) });
            assert_eq!(Trace::parse("drawn.csv", &trace.csv()).as_ref(), Ok(&trace), "{}", mix.name());
        }
    }

    #[test]
    fn few_jobs_of_the_google_mix_do_most_of_the_work() {
        let load = load(11);
        let trace = Mix::Google.generate(&load);
        let mut works: Vec<f64> = trace.jobs.iter().map(|job| work(job, &load) * f64::from(job.count)).collect();
        works.sort_by(|a, b| b.total_cmp(a));
        let top: f64 = works.iter().take(works.len() / 20).sum();
        assert!(works.len() > 500 && top / works.iter().sum::<f64>() > 0.8, "{} jobs, {top}", works.len());
    }
}
