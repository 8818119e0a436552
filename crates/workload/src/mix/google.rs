//! A mix in the shape of Google's cell traces. The shape is what analyses of the traces report; the parameters are
//! ours.
//!
//! - Tiers: production, batch and best effort share the cell; production jobs are fewer and last longer (Reiss,
//!   Tumanov, Ganger, Katz, Kozuch: "Heterogeneity and Dynamicity of Clouds at Scale", SoCC 2012).
//! - Most jobs are short and have one task; a job's tasks are alike; requests are small beside a machine, and the ratio
//!   of memory to CPU differs widely (the same).
//! - A job's resource-time is so heavy-tailed that the top percent of jobs takes nearly all (Tirmazi and others: "Borg:
//!   the Next Generation", EuroSys 2020). Here durations and task counts are bounded Pareto with exponents below and
//!   near 1.
//!
//! Arrivals are Poisson.

use resources::Quantities;
use stdx::Rng;

use super::{Load, demand, draw, secs};
use crate::trace::Job;

struct Tier {
    role: &'static str,
    frameworks: u64,
    /// How often a job is of this tier.
    weight: f64,
    /// Seconds at least; the most is ten horizons.
    duration_least: f64,
    duration_alpha: f64,
    tasks_most: f64,
    cpus_median: f64,
}

const TIERS: [Tier; 3] = [
    Tier {
        role: "prod",
        frameworks: 4,
        weight: 0.10,
        duration_least: 300.0,
        duration_alpha: 0.4,
        tasks_most: 500.0,
        cpus_median: 0.5,
    },
    Tier {
        role: "batch",
        frameworks: 8,
        weight: 0.55,
        duration_least: 30.0,
        duration_alpha: 0.8,
        tasks_most: 2000.0,
        cpus_median: 0.4,
    },
    Tier {
        role: "free",
        frameworks: 12,
        weight: 0.35,
        duration_least: 10.0,
        duration_alpha: 0.9,
        tasks_most: 1000.0,
        cpus_median: 0.2,
    },
];

const SINGLE_TASK_JOBS: f64 = 0.75;
const TASKS_ALPHA: f64 = 0.8;
const CPUS_SIGMA: f64 = 0.9;
const MEM_PER_CPU_MIB: f64 = 3000.0;
const MEM_PER_CPU_SIGMA: f64 = 0.8;

pub fn draw(rng: &mut Rng, load: &Load) -> Vec<Job> {
    let Some(tier) = TIERS.get(draw::choice(rng, &TIERS.each_ref().map(|tier| tier.weight))) else { return Vec::new() };
    let horizon = load.horizon.as_secs_f64();
    let longest = (horizon * 10.0).max(tier.duration_least * 2.0);
    let count = match rng.unit() < SINGLE_TASK_JOBS {
        true => 1.0,
        false => draw::bounded_pareto(rng, TASKS_ALPHA, 2.0, tier.tasks_most),
    };
    vec![Job {
        arrival: secs(rng.unit() * horizon),
        duration: secs(draw::bounded_pareto(rng, tier.duration_alpha, tier.duration_least, longest)),
        count: count as u32,
        demand: request(rng, tier.cpus_median),
        role: tier.role.into(),
        framework: format!("{}-{}", tier.role, rng.below(tier.frameworks) + 1).into(),
    }]
}

fn request(rng: &mut Rng, cpus_median: f64) -> Quantities {
    let cpus = draw::log_normal(rng, cpus_median, CPUS_SIGMA).max(0.05);
    demand(cpus, (cpus * draw::log_normal(rng, MEM_PER_CPU_MIB, MEM_PER_CPU_SIGMA)).max(32.0))
}
