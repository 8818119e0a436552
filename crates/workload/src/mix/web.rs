//! A mix of web services: replicas that stay, and replicas that come and go with the load of the day. The model is
//! ours.
//!
//! - A service belongs to one of five teams (a role and a framework each); its size follows Zipf's law with exponent 1,
//!   as popularity does, so few services have most replicas.
//! - Half of a service's replicas at the peak are there from the first minutes on and never end.
//! - The other half follows half a sine over the horizon: one day's load, from its night to its night, rises to twice
//!   the base and falls again. A replica arrives when the curve passes it upwards and ends when it passes downwards.
//! - A rollout replaces a tenth of the base replicas at a random moment: short tasks of two minutes beside them.
//! - A replica wants 0.25 to 4 CPUs (powers of two, the smaller the more frequent) and 1 to 4 GiB for each.

use stdx::Rng;

use super::{Load, demand, draw, secs};
use crate::trace::Job;

const TEAMS: [&str; 5] = ["shop", "search", "media", "accounts", "ads"];
const RANKS: u64 = 40;
const LARGEST_SERVICE: f64 = 200.0;
const STEPS: u32 = 8;
const CPUS: [(f64, f64); 5] = [(0.25, 0.30), (0.5, 0.30), (1.0, 0.25), (2.0, 0.10), (4.0, 0.05)];
const ROLLOUT_SECS: f64 = 120.0;
const START_SECS: f64 = 300.0;

pub fn draw(rng: &mut Rng, load: &Load) -> Vec<Job> {
    let horizon = load.horizon.as_secs_f64();
    let team = TEAMS.get(rng.below(TEAMS.len() as u64) as usize).copied().unwrap_or("shop");
    let (cpus, _) = CPUS.get(draw::choice(rng, &CPUS.map(|(_, weight)| weight))).copied().unwrap_or((1.0, 1.0));
    let wants = demand(cpus, cpus * 1024.0 * (1 + rng.below(4)) as f64);
    let base = (LARGEST_SERVICE / 2.0 / (1 + rng.below(RANKS)) as f64).ceil() as u32;
    let job = |arrival: f64, duration: f64, count: u32| Job {
        arrival: secs(arrival.max(0.0)),
        duration: secs(duration),
        count,
        demand: wants.clone(),
        role: format!("web/{team}").into(),
        framework: team.into(),
    };
    let mut jobs = vec![job(rng.unit() * START_SECS.min(horizon / 20.0), horizon * 10.0, base)];
    for step in 1..=STEPS {
        let replicas = base * step / STEPS - base * (step - 1) / STEPS;
        // Where the sine reaches this step's middle.
        let reached = ((f64::from(step) - 0.5) / f64::from(STEPS)).asin() / std::f64::consts::PI;
        if replicas > 0 {
            let jitter = rng.unit() * horizon / 200.0;
            jobs.push(job(reached * horizon + jitter, (1.0 - 2.0 * reached) * horizon, replicas));
        }
    }
    jobs.push(job(rng.unit() * (horizon - ROLLOUT_SECS).max(0.0), ROLLOUT_SECS, base.div_ceil(10)));
    jobs
}
