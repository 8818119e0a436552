//! One draw: how many units each agent is to win, and a draw by lot that keeps to it. What an agent is worth and who
//! else draws is the business of `competition`.
//!
//! The law. Agent i has a chance w(i) > 0 and room for c(i) units; a group draws r units, p(i) = w(i) / Σ w. Then
//!
//! ```text
//! E[units of i] = min(c(i), λ·w(i)),   with λ such that the sum over all agents is r
//! ```
//!
//! As long as nobody runs out, λ·w(i) = p(i)·r. Whoever would run out wins all it has, leaves, and the rest of the
//! units is shared by the others in the proportion of their chances. Drawing r times independently would not do: an
//! agent with p(i)·r = c(i) would win less than that on average, since luck can only be cut off at the top. So the
//! units are laid out as equal steps on a line on which each agent owns a piece as long as its expectation, and a
//! random offset decides on whose pieces the steps fall. Each agent wins its expectation rounded up or down, on average
//! exactly its expectation. The winners are shuffled, so that each of the r draws by itself is won by i with the same
//! probability.

use stdx::Rng;

/// An agent in a draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entrant {
    pub agent: u32,
    /// How many units it has room for.
    pub room: u32,
    /// Its chance against the others; need not be normalised, must be positive and finite.
    pub chance: f64,
}

impl Entrant {
    /// How many units it is to win at this level.
    pub fn expectation(&self, level: f64) -> f64 {
        f64::from(self.room).min(level * self.chance)
    }
}

/// Passes over the entrants before they are sorted instead.
const PASSES: usize = 12;

/// λ of the law above: infinite if there is room for no more than `units`.
pub fn level(entrants: &[Entrant], units: u64) -> f64 {
    let mut level = 0.0;
    for _ in 0..PASSES {
        let (mut taken, mut chances) = (0.0, 0.0);
        for entrant in entrants {
            let room = f64::from(entrant.room);
            let runs_out = room <= level * entrant.chance;
            taken += if runs_out { room } else { 0.0 };
            chances += if runs_out { 0.0 } else { entrant.chance };
        }
        if chances <= 0.0 {
            return f64::INFINITY;
        }
        let next = (units as f64 - taken) / chances;
        if next <= level {
            return level;
        }
        level = next;
    }
    level_by_sorting(entrants, units)
}

/// The same in one walk over the entrants in the order in which they run out.
fn level_by_sorting(entrants: &[Entrant], units: u64) -> f64 {
    let mut order: Vec<&Entrant> = entrants.iter().collect();
    let runs_out = |entrant: &Entrant| f64::from(entrant.room) / entrant.chance;
    order.sort_by(|a, b| runs_out(a).total_cmp(&runs_out(b)));
    let mut left = units as f64;
    let mut chances: f64 = order.iter().map(|entrant| entrant.chance).sum();
    for entrant in order {
        let level = left / chances;
        if level <= runs_out(entrant) {
            return level;
        }
        left -= f64::from(entrant.room);
        chances -= entrant.chance;
    }
    f64::INFINITY
}

/// Draws `units`, or as many as there is room for: puts the winners into `winners`, one entry a unit, in random order.
pub fn draw(entrants: &[Entrant], units: u64, rng: &mut Rng, winners: &mut Vec<u32>) {
    winners.clear();
    let level = level(entrants, units);
    let mut reached = rng.unit();
    for entrant in entrants {
        let steps_before = reached as u64;
        reached += entrant.expectation(level);
        let won = (reached as u64 - steps_before).min(u64::from(entrant.room));
        (0..won).for_each(|_| winners.push(entrant.agent));
    }
    rng.shuffle(winners);
}
