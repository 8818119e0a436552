//! Random histories through both: every grant agrees, every invariant holds after every step, and when the allocator
//! has nothing to do, the oracle finds nothing to grant. A history that fails is shortened and printed. What can happen
//! is in `history`, the comparing in `world`.
#![allow(clippy::unwrap_used)]

mod history;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use stdx::Rng;

use self::{
    history::{Maker, Step},
    world::World,
};
use crate::{AllocatorConfig, Budget};

/// How a history is played: what of it is compared is all there is; how often the sums are, is a matter of time.
#[derive(Clone, Debug)]
struct Play {
    config: AllocatorConfig,
    seed: u64,
    budget: Budget,
    /// After each so many steps, shares and consumption are compared.
    sums_each: usize,
}

fn play(how: &Play, steps: &[Step]) {
    let mut world = World::new(how.config.clone(), how.seed);
    for (number, step) in steps.iter().enumerate() {
        world.now = world.now + std::time::Duration::from_millis(1);
        world.apply(step);
        world.check();
        if number % how.sums_each == 0 {
            world.check_shares();
        }
        world.run(how.budget);
        world.run_inverse();
        world.check();
    }
    world.finish();
    world.check();
    world.check_shares();
}

/// With changes between the pieces of a cut cycle the order may differ, but nothing is forgotten.
fn play_interrupted(how: &Play, steps: &[Step]) {
    let mut world = World::new(how.config.clone(), how.seed);
    for step in steps {
        world.apply(step);
        world.allocate_unchecked(how.budget);
        world.check();
    }
    // Every batch and every filter that is due by the end, without anything else happening.
    for _ in 0..200 {
        let Some((deadline, _)) = world.allocator.next_deadline() else { break };
        world.now = world.now.max(deadline);
        world.allocate_unchecked(how.budget);
        world.allocator.inverse_grants(world.now);
    }
    if world.allocator.next_deadline().is_none() {
        world.expect_nothing(world.now);
    }
}

fn fails(player: fn(&Play, &[Step]), how: &Play, steps: &[Step]) -> Option<String> {
    let failure = catch_unwind(AssertUnwindSafe(|| player(how, steps))).err()?;
    let text = failure.downcast_ref::<String>().cloned();
    Some(text.or_else(|| failure.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default())
}

/// Leaves out whatever is not needed for the failure.
fn shorten(player: fn(&Play, &[Step]), how: &Play, mut steps: Vec<Step>) -> Vec<Step> {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            if fails(player, how, &fewer).is_some() {
                steps = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    steps
}

/// Plays so many histories of `len` steps with up to so many frameworks and agents, from `first` on.
fn play_many(
    player: fn(&Play, &[Step]),
    first: u64,
    histories: u64,
    len: usize,
    size: (u64, u64),
    budget: fn(&mut Rng) -> Budget,
) {
    for number in first..first + histories {
        let mut rng = Rng::new(number);
        let budget = budget(&mut rng);
        let mut maker = Maker { rng, frameworks: size.0, agents: size.1 };
        let how = Play { config: maker.config(), seed: number, budget, sums_each: 8 };
        let steps = maker.history(len);
        if fails(player, &how, &steps).is_some() {
            let steps = shorten(player, &how, steps);
            let why = fails(player, &how, &steps).unwrap_or_default();
            let told: Vec<String> = steps.iter().map(|step| format!("    {step:?}")).collect();
            panic!("history {number}: {why}\n{how:#?}\nsteps:\n{}", told.join("\n"));
        }
    }
}

/// How many histories: so many, or as many times more as the environment asks for.
fn histories(usual: u64) -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a test, which may be asked to run longer")]
    let factor = std::env::var("MESETA_AGREEMENT_FACTOR").ok().and_then(|n| n.parse().ok());
    usual * factor.unwrap_or(1)
}

fn unlimited(_: &mut Rng) -> Budget {
    Budget::UNLIMITED
}

/// A case is one thing that happens, after which both allocate and every grant is compared: with the next test, over a
/// million in all.
const HISTORIES: u64 = 10_400;
const LEN: usize = 48;

#[test]
fn every_grant_agrees() {
    play_many(play, 0, histories(HISTORIES), LEN, (4, 4), unlimited);
}

#[test]
fn cut_cycles_grant_the_same() {
    play_many(play, 1 << 32, histories(HISTORIES), LEN, (4, 4), |rng| Budget { steps: 1 + rng.below(8) as usize });
}

#[test]
fn a_million_cases_are_a_million() {
    // A history has at least three arrivals before its steps.
    assert!(2 * HISTORIES * (LEN as u64 + 3) > 1_000_000);
}

/// More of everything at a time.
#[test]
fn larger_clusters_agree() {
    play_many(play, 4 << 32, histories(60), 100, (10, 12), |rng| Budget { steps: 1 + rng.below(40) as usize });
}

#[test]
fn cut_cycles_forget_nothing() {
    play_many(play_interrupted, 2 << 32, histories(100), 80, (6, 6), |rng| Budget { steps: 1 + rng.below(4) as usize });
}

/// Enough frameworks that the order of all is walked, not only that of few candidates.
#[test]
fn many_frameworks_agree() {
    play_many(play, 3 << 32, histories(12), 150, (60, 5), unlimited);
}
