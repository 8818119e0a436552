//! The laws of the competition: the expected units of every agent, and conservation.

use allocator::groups::{
    competition::{Contender, Eligible, Owner, Supply, compete, room},
    draw::{Entrant, draw, level},
};
use proptest::{collection::vec, prelude::*};
use stdx::Rng;

fn entrants(rooms: &[u32], chances: &[f64]) -> Vec<Entrant> {
    let pairs = rooms.iter().zip(chances).enumerate();
    pairs.map(|(agent, (&room, &chance))| Entrant { agent: agent as u32, room, chance }).collect()
}

proptest! {
    #[test]
    fn the_level_shares_out_exactly_what_is_drawn(
        rooms in vec(1..40u32, 1..30),
        exponents in vec(-8..8i32, 30),
        part in 0.0..1.0f64,
    ) {
        let chances: Vec<f64> = exponents.iter().map(|e| 2f64.powi(*e)).collect();
        let entrants = entrants(&rooms, &chances);
        let all: u64 = rooms.iter().map(|r| u64::from(*r)).sum();
        let units = (part * all as f64) as u64;
        let level = level(&entrants, units);
        let sum: f64 = entrants.iter().map(|e| e.expectation(level)).sum();
        prop_assert!((sum - units as f64).abs() < 1e-6, "{sum} of {units}");
    }

    #[test]
    fn a_draw_wins_every_unit_and_each_agent_its_expectation_rounded(
        rooms in vec(1..40u32, 1..30),
        exponents in vec(-4..4i32, 30),
        part in 0.0..1.2f64,
        seed in any::<u64>(),
    ) {
        let chances: Vec<f64> = exponents.iter().map(|e| 2f64.powi(*e)).collect();
        let entrants = entrants(&rooms, &chances);
        let all: u64 = rooms.iter().map(|r| u64::from(*r)).sum();
        let units = (part * all as f64) as u64;
        let mut winners = Vec::new();
        draw(&entrants, units, &mut Rng::new(seed), &mut winners);
        prop_assert_eq!(winners.len() as u64, units.min(all));
        let level = level(&entrants, units);
        for entrant in &entrants {
            let won = winners.iter().filter(|w| **w == entrant.agent).count() as f64;
            let expected = entrant.expectation(level);
            prop_assert!(won >= (expected - 1e-9).floor() && won <= (expected + 1e-9).ceil(), "{won} of {expected}");
        }
    }

    /// With units of one size, every group wins what it is guaranteed if the agents can give it at all.
    #[test]
    fn guarantees_are_met_whenever_the_agents_can(
        rooms in vec(0..6i64, 1..6),
        groups in vec((1..8u64, any::<u8>(), 0..5u64), 1..6),
        seed in any::<u64>(),
    ) {
        let mut supply = Supply::new(1);
        for room in &rooms {
            supply.add(&[*room], 1.0, Owner::Nobody);
        }
        let contenders: Vec<Contender> = groups
            .iter()
            .map(|(min, _, more)| Contender {
                unit: vec![1],
                weight: 1.0,
                unit_share: 0.01,
                held: 0,
                min: *min,
                wanted: min + more,
                exclusive: false,
            })
            .collect();
        let of = |eligible: u8| (0..rooms.len() as u32).filter(|a| eligible >> a & 1 == 1).collect();
        let eligible: Vec<Vec<u32>> = groups.iter().map(|group| of(group.1)).collect();
        let eligible = Eligible::of_groups(rooms.len(), &eligible);
        let outcome = compete(&mut supply, &contenders, eligible, &mut Rng::new(seed));
        let met: u64 = contenders.iter().zip(&outcome.results).map(|(c, result)| result.won.min(c.min)).sum();
        // By hand: what a set of groups is missing is what its agents cannot hold.
        let mut most = u64::MAX;
        for set in 0..1u32 << groups.len() {
            let in_set = |number: usize| set >> number & 1 == 1;
            let outside: u64 = groups.iter().enumerate().filter(|(n, _)| !in_set(*n)).map(|(_, g)| g.0).sum();
            let reach = groups.iter().enumerate().filter(|(n, _)| in_set(*n)).fold(0, |all, (_, g)| all | g.1);
            let room: i64 = rooms.iter().enumerate().filter(|(a, _)| reach >> a & 1 == 1).map(|(_, room)| room).sum();
            most = most.min(outside + room as u64);
        }
        prop_assert_eq!(met, most);
    }

    /// Units won and left are what was wanted; nothing is won that was not there; an exclusive group is alone.
    #[test]
    fn nothing_is_won_twice_and_nothing_wanted_is_left_while_there_is_room(
        agents in vec((0..20i64, 0..20i64, 0..3u8, 0..4u8), 1..20),
        groups in vec((1..4i64, 0..4i64, 1..4u8, 0..30u64, 0..10u64, any::<bool>(), any::<u32>()), 1..6),
        seed in any::<u64>(),
    ) {
        let mut supply = Supply::new(2);
        for (cpus, mem, weight, owner) in &agents {
            let owner = match owner {
                0 | 1 => Owner::Nobody,
                2 => Owner::Several,
                _ => Owner::Group(0),
            };
            supply.add(&[*cpus, *mem], f64::from(*weight), owner);
        }
        let contenders: Vec<Contender> = groups
            .iter()
            .map(|(cpus, mem, weight, wanted, min, exclusive, _)| Contender {
                unit: vec![*cpus, *mem],
                weight: f64::from(*weight),
                unit_share: *cpus as f64 / 100.0,
                held: 0,
                min: (*min).min(*wanted),
                wanted: *wanted,
                exclusive: *exclusive,
            })
            .collect();
        let of = |eligible: u32| (0..agents.len() as u32).filter(|a| eligible >> a & 1 == 1).collect();
        let eligible: Vec<Vec<u32>> = groups.iter().map(|group| of(group.6)).collect();
        let before = supply.clone();
        let of_groups = Eligible::of_groups(agents.len(), &eligible);
        let outcome = compete(&mut supply, &contenders, of_groups, &mut Rng::new(seed));
        for (number, contender) in contenders.iter().enumerate() {
            let g = number as u32;
            let won: u64 = (0..agents.len() as u32)
                .flat_map(|a| outcome.wins(a).filter(|(group, _)| *group == g).map(|(_, units)| u64::from(units)))
                .sum();
            prop_assert_eq!(won, outcome.results[number].won);
            prop_assert!(won <= contender.wanted);
            let excluded = |a: u32| {
                let others = outcome.wins(a).any(|(h, _)| h != g && (contender.exclusive || contenders[h as usize].exclusive));
                others || (contender.exclusive && agents[a as usize].3 == 2) || (contender.exclusive && agents[a as usize].3 == 3 && g != 0)
            };
            if won < contender.wanted {
                for a in eligible[number].iter().copied().filter(|a| agents[*a as usize].2 > 0 && !excluded(*a)) {
                    prop_assert_eq!(room(&contender.unit, supply.free(a)), 0, "agent {} has room for group {}", a, g);
                }
            }
        }
        for a in 0..agents.len() as u32 {
            let wins: Vec<(u32, u32)> = outcome.wins(a).collect();
            if wins.iter().any(|(g, _)| contenders[*g as usize].exclusive) {
                prop_assert_eq!(wins.len(), 1);
            }
            for (column, (before, after)) in before.free(a).iter().zip(supply.free(a)).enumerate() {
                let taken: i64 = wins.iter().map(|(g, n)| contenders[*g as usize].unit[column] * i64::from(*n)).sum();
                prop_assert!(*after >= 0);
                prop_assert_eq!(before - taken, *after);
            }
        }
    }
}
