//! The law of the competition measured: seeded draws of groups of several shapes against what they are expected to win.
//! Shared by a test, which asserts, and by an example, which prints.

use allocator::groups::{
    competition::{Contender, Eligible, Owner, Supply, compete, fit, room},
    draw::{Entrant, draw, level},
};
use stdx::Rng;

/// Draws for each shape, and full competitions.
pub const DRAWS: u32 = 100_000;
pub const COMPETITIONS: u32 = 20_000;

/// Agents of one kind: how many, with which free cpus and memory, and which competition weight.
type Kind = (usize, i64, i64, f64);

pub struct Shape {
    pub name: &'static str,
    kinds: &'static [Kind],
    unit: [i64; 2],
    pub units: u64,
}

pub const SHAPES: [Shape; 7] = [
    Shape { name: "one unit, equal agents", kinds: &[(10, 8, 8, 1.0)], unit: [1, 1], units: 1 },
    Shape { name: "several units, equal agents", kinds: &[(10, 8, 8, 1.0)], unit: [2, 2], units: 7 },
    Shape {
        name: "agents of four sizes",
        kinds: &[(4, 2, 2, 1.0), (3, 4, 4, 1.0), (2, 8, 8, 1.0), (1, 16, 16, 1.0)],
        unit: [1, 1],
        units: 12,
    },
    Shape {
        name: "competition weights 1 to 4",
        kinds: &[(3, 16, 16, 1.0), (3, 16, 16, 2.0), (3, 16, 16, 3.0), (3, 16, 16, 4.0)],
        unit: [1, 1],
        units: 20,
    },
    Shape {
        name: "agents that fit badly",
        kinds: &[(4, 8, 8, 1.0), (4, 8, 24, 1.0), (4, 24, 8, 1.0)],
        unit: [1, 1],
        units: 9,
    },
    Shape { name: "all but one unit", kinds: &[(5, 3, 3, 1.0), (5, 6, 6, 1.0)], unit: [1, 1], units: 44 },
    Shape { name: "the heaviest run out", kinds: &[(2, 4, 4, 50.0), (6, 8, 8, 1.0)], unit: [1, 1], units: 24 },
];

pub struct Row {
    pub shape: &'static Shape,
    pub agents: usize,
    /// Whether p(i)·r is no more than the room of any agent.
    pub lasts: bool,
    /// Of the first winner of each draw against p(i): its expectation over r.
    pub chi_square: f64,
    pub freedom: usize,
    /// The chance of such a chi-square or a larger one.
    pub p_value: f64,
    /// The largest distance of an agent's mean units from its expectation, in standard errors.
    pub worst_draw: f64,
    /// The same over whole competitions.
    pub worst_competition: f64,
}

pub fn measure(shape: &'static Shape, seed: u64) -> Row {
    let mut supply = Supply::new(2);
    let mut entrants = Vec::new();
    for (count, cpus, mem, weight) in shape.kinds {
        for _ in 0..*count {
            let free = [*cpus, *mem];
            let agent = supply.add(&free, *weight, Owner::Nobody);
            let room = room(&shape.unit, &free);
            entrants.push(Entrant { agent, room, chance: weight * fit(&shape.unit, &free, room) });
        }
    }
    let chances: f64 = entrants.iter().map(|entrant| entrant.chance).sum();
    let share = |entrant: &Entrant| entrant.chance / chances * shape.units as f64;
    let level = level(&entrants, shape.units);
    let expected: Vec<f64> = entrants.iter().map(|entrant| entrant.expectation(level)).collect();

    let mut rng = Rng::new(seed);
    let (mut first, mut won) = (vec![0u64; entrants.len()], vec![0u64; entrants.len()]);
    let mut winners = Vec::new();
    for _ in 0..DRAWS {
        draw(&entrants, shape.units, &mut rng, &mut winners);
        assert_eq!(winners.len() as u64, shape.units);
        first[winners[0] as usize] += 1;
        winners.iter().for_each(|winner| won[*winner as usize] += 1);
    }
    let chi_square = first.iter().zip(&expected).map(|(seen, expected)| {
        let expected = expected / shape.units as f64 * f64::from(DRAWS);
        (*seen as f64 - expected).powi(2) / expected
    });
    let (chi_square, freedom) = (chi_square.sum(), entrants.len() - 1);

    let everywhere = (0..entrants.len() as u32).collect();
    let eligible = Eligible::of_groups(entrants.len(), &[everywhere]);
    let contender = Contender {
        unit: shape.unit.to_vec(),
        weight: 1.0,
        unit_share: 0.01,
        held: 0,
        min: 0,
        wanted: shape.units,
        exclusive: false,
    };
    let mut competed = vec![0u64; entrants.len()];
    for _ in 0..COMPETITIONS {
        let outcome = compete(&mut supply.clone(), std::slice::from_ref(&contender), eligible.clone(), &mut rng);
        for (agent, count) in competed.iter_mut().enumerate() {
            *count += outcome.wins(agent as u32).map(|(_, units)| u64::from(units)).sum::<u64>();
        }
    }
    Row {
        shape,
        agents: entrants.len(),
        lasts: entrants.iter().all(|entrant| share(entrant) <= f64::from(entrant.room)),
        chi_square,
        freedom,
        p_value: upper_tail(chi_square, freedom as f64),
        worst_draw: worst(&won, &expected, DRAWS),
        worst_competition: worst(&competed, &expected, COMPETITIONS),
    }
}

/// An agent wins its expectation rounded up or down, so that its variance is that of one toss.
fn worst(won: &[u64], expected: &[f64], times: u32) -> f64 {
    let distance = |(won, expected): (&u64, &f64)| {
        let part = expected - expected.floor();
        let error = (part * (1.0 - part) / f64::from(times)).sqrt();
        let off = (*won as f64 / f64::from(times) - expected).abs();
        if off < 1e-9 { 0.0 } else { off / error.max(1e-9) }
    };
    won.iter().zip(expected).map(distance).fold(0.0, f64::max)
}

/// The upper tail of the chi-square distribution, by Wilson and Hilferty's approximation.
fn upper_tail(chi_square: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    let z = ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = tail * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z > 0.0 { tail } else { 1.0 - tail }
}
