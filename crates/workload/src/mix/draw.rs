//! The distributions that the mixes draw from.

use stdx::Rng;

/// In `(0, 1]`, so that its logarithm is finite.
fn above_zero(rng: &mut Rng) -> f64 {
    1.0 - rng.unit()
}

pub fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -above_zero(rng).ln() * mean
}

/// Box and Muller's.
pub fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * above_zero(rng).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos()
}

pub fn log_normal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(rng)).exp()
}

/// Pareto's, cut at both ends: `alpha` below 1 has nearly all its weight in few draws.
pub fn bounded_pareto(rng: &mut Rng, alpha: f64, least: f64, most: f64) -> f64 {
    let tail = (least / most).powf(alpha);
    least * (1.0 - rng.unit() * (1.0 - tail)).powf(-1.0 / alpha)
}

/// An index, drawn by weight.
pub fn choice(rng: &mut Rng, weights: &[f64]) -> usize {
    let mut at = rng.unit() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        at -= weight;
        if at < 0.0 {
            return index;
        }
    }
    weights.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_means_of_their_distributions() {
        let mut rng = Rng::new(5);
        let mut mean = |draw: &mut dyn FnMut(&mut Rng) -> f64| (0..100_000).map(|_| draw(&mut rng)).sum::<f64>() / 1e5;
        assert!((mean(&mut |rng| exponential(rng, 3.0)) - 3.0).abs() < 0.05);
        assert!(mean(&mut normal).abs() < 0.02);
        assert!((mean(&mut |rng| log_normal(rng, 2.0, 0.5)) - 2.0 * 0.125f64.exp()).abs() < 0.03);
        assert!((mean(&mut |rng| bounded_pareto(rng, 1.0, 1.0, 100.0)) - 100f64.ln() / 0.99).abs() < 0.1);
        assert!((mean(&mut |rng| choice(rng, &[1.0, 1.0, 2.0]) as f64) - 1.25).abs() < 0.02);
    }
}
