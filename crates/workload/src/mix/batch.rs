//! A mix of batch jobs, as clusters of the MapReduce kind run them. The model is ours.
//!
//! - Most jobs are small and few are huge: four of five have fewer than ten tasks (the observation for Facebook's
//!   cluster in Ananthanarayanan and others: "Why Let Resources Idle? Aggressive Cloning of Jobs with Dolly", HotCloud
//!   2012).
//! - Tasks last log-normally, two minutes in the median with sigma 1; those of one job are alike.
//! - A task wants 1, 2 or 4 CPUs and 2 to 8 GiB.
//! - Half of the jobs are submitted by people (Poisson), half by timers: within two minutes after a whole or a quarter
//!   hour.
//! - Four teams (roles) submit unequally, 4:3:2:1, each by two frameworks.

use stdx::Rng;

use super::{Load, demand, draw, secs};
use crate::trace::Job;

const TEAMS: [(&str, f64); 4] = [("reports", 4.0), ("models", 3.0), ("ingest", 2.0), ("adhoc", 1.0)];
/// Tasks from, to, and how often.
const SIZES: [(f64, f64, f64); 4] =
    [(1.0, 9.0, 0.82), (10.0, 149.0, 0.11), (150.0, 500.0, 0.05), (501.0, 3000.0, 0.02)];
const SECS_MEDIAN: f64 = 120.0;
const SECS_SIGMA: f64 = 1.0;
const TIMER_SECS: f64 = 900.0;
const TIMER_SPREAD_SECS: f64 = 40.0;

pub fn draw(rng: &mut Rng, load: &Load) -> Vec<Job> {
    let horizon = load.horizon.as_secs_f64();
    let by_timer = rng.unit() < 0.5;
    let arrival = rng.unit() * horizon;
    let arrival = match by_timer {
        true => (arrival / TIMER_SECS).floor() * TIMER_SECS + draw::exponential(rng, TIMER_SPREAD_SECS).min(120.0),
        false => arrival,
    };
    let (team, _) = TEAMS.get(draw::choice(rng, &TEAMS.map(|(_, weight)| weight))).copied().unwrap_or(("adhoc", 1.0));
    let size = SIZES.get(draw::choice(rng, &SIZES.map(|(_, _, weight)| weight))).copied();
    let (least, most, _) = size.unwrap_or((1.0, 9.0, 1.0));
    let cpus = [1.0, 2.0, 4.0].get(draw::choice(rng, &[0.7, 0.2, 0.1])).copied().unwrap_or(1.0);
    let gib = [2.0, 4.0, 8.0].get(draw::choice(rng, &[0.5, 0.3, 0.2])).copied().unwrap_or(2.0);
    vec![Job {
        arrival: secs(arrival.min(horizon)),
        duration: secs(draw::log_normal(rng, SECS_MEDIAN, SECS_SIGMA).clamp(1.0, 86_400.0)),
        count: draw::bounded_pareto(rng, 0.7, least, most + 1.0).min(most) as u32,
        demand: demand(cpus, gib * 1024.0),
        role: team.into(),
        framework: format!("{team}-{}", rng.below(2) + 1).into(),
    }]
}
