//! A competition: groups that want units draw them from agents that are eligible and have room, until nobody wants or
//! nothing is left. `draw` is one group's draw, `supply` what there is to draw, `outcome` who won what; this is who
//! draws next. (`exchange` finds room for a guaranteed unit where others could do as well elsewhere.)
//!
//! Groups that hold less than their guaranteed minimum come first, the one with the least choice before the others, so
//! that it is not robbed of what only it depends on. Then the group whose units are the least share of the cluster for
//! its weight. An agent's chance with a group is fixed when the competition begins: its competition weight times how
//! well the unit fits into what it has free.
//!
//! A large competition can be held in pieces, which changes nothing about what comes of it.

mod eligible;
mod exchange;
mod outcome;
mod supply;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use stdx::Rng;

use super::draw::{Entrant, draw};

pub use eligible::Eligible;
pub use outcome::{Outcome, Result};
pub use supply::{Owner, Shape, Supply, fit, room};

/// A group that takes part.
#[derive(Clone, Debug)]
pub struct Contender {
    /// The amount of each column that a unit takes; at least one is positive.
    pub unit: Vec<i64>,
    pub weight: f64,
    /// What part of the cluster a unit is, by its dominant resource.
    pub unit_share: f64,
    /// Units held before.
    pub held: u64,
    /// Guaranteed units, those held included.
    pub min: u64,
    /// How many more it wants.
    pub wanted: u64,
    pub exclusive: bool,
}

/// How many times its part of the weights a group draws at once.
const GENEROUS: f64 = 4.0;

/// What a unit won costs, in looks at an agent.
const WIN: u64 = 12;

/// Holds a competition. What was won is taken out of `supply`.
pub fn compete(supply: &mut Supply, contenders: &[Contender], eligible: Eligible, rng: &mut Rng) -> Outcome {
    let mut competition = Competition::new(std::mem::take(supply), contenders.to_vec(), eligible, rng.clone());
    competition.go_on(u64::MAX);
    *rng = competition.rng.clone();
    let (left, _, outcome) = competition.finish();
    *supply = left;
    outcome
}

/// A competition under way.
pub struct Competition {
    supply: Supply,
    contenders: Vec<Contender>,
    eligible: Eligible,
    rng: Rng,
    /// Of the contenders, those that looked at the agents they may win.
    players: Vec<Player>,
    queue: BinaryHeap<Reverse<Place>>,
    /// Of all that still draw.
    weights: f64,
    outcome: Outcome,
    effort: u64,
}

impl Competition {
    pub fn new(mut supply: Supply, contenders: Vec<Contender>, eligible: Eligible, rng: Rng) -> Competition {
        supply.note_exclusive(contenders.iter().any(|contender| contender.exclusive));
        Competition {
            outcome: Outcome::new(supply.len()),
            players: Vec::with_capacity(contenders.len()),
            queue: BinaryHeap::with_capacity(contenders.len()),
            weights: 0.0,
            effort: exchange::EFFORT,
            supply,
            contenders,
            eligible,
            rng,
        }
    }

    /// Goes on for about so many looks at agents; returns how many it took. Over when `is_over`.
    pub fn go_on(&mut self, most: u64) -> u64 {
        let mut looks = 0;
        while looks < most && self.players.len() < self.contenders.len() {
            looks += self.enter();
        }
        while looks < most && !self.is_over() {
            looks += self.take_turn();
        }
        looks
    }

    pub fn is_over(&self) -> bool {
        self.players.len() == self.contenders.len() && self.queue.is_empty()
    }

    /// What is left, and who won the rest.
    pub fn finish(mut self) -> (Supply, Vec<Contender>, Outcome) {
        self.outcome.settle();
        self.outcome.results = self.players.iter().map(|player| player.result).collect();
        (self.supply, self.contenders, self.outcome)
    }

    /// The next contender looks at the agents it may win.
    fn enter(&mut self) -> u64 {
        let Some(contender) = self.contenders.get(self.players.len()) else { return 0 };
        let player = Player::new(self.players.len() as u32, contender, &self.supply, &self.eligible);
        if !player.is_done(contender) {
            self.weights += contender.weight;
            self.queue.push(Reverse(player.place(contender)));
        }
        self.players.push(player);
        1 + self.supply.len() as u64 / 2
    }

    /// Whoever comes first wins a unit, or leaves.
    fn take_turn(&mut self) -> u64 {
        let Some(mut first) = self.queue.peek_mut() else { return 0 };
        let group = first.0.group;
        let (Some(player), Some(contender)) =
            (self.players.get_mut(group as usize), self.contenders.get(group as usize))
        else {
            PeekMut::pop(first);
            return 1;
        };
        let mut looks = WIN;
        if !player.win_one(contender, &mut self.supply, self.weights, &mut self.rng, &mut self.outcome, &mut looks) {
            let before = self.effort;
            let found = player.is_missing(contender)
                && exchange::exchange(
                    group,
                    (&self.contenders, &self.eligible),
                    &mut self.supply,
                    &mut self.outcome,
                    &mut self.effort,
                );
            looks += before - self.effort;
            if !found {
                self.weights -= contender.weight;
                PeekMut::pop(first);
                return looks;
            }
            player.result.won += 1;
        }
        first.0 = player.place(contender);
        looks
    }
}

/// Who draws next: the least place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// 0 below the minimum, 1 above.
    stage: u8,
    /// The bits of a number that is not negative, which order like it: below the minimum the number of units to choose
    /// from for each that is missing, then the share held for the weight.
    rank: u64,
    group: u32,
}

struct Player {
    number: u32,
    shape: Shape,
    entrants: Vec<Entrant>,
    /// Winners that were drawn and not seen yet.
    winners: Vec<u32>,
    result: Result,
}

impl Player {
    fn new(number: u32, of: &Contender, supply: &Supply, eligible: &Eligible) -> Player {
        let mut player = Player {
            number,
            shape: Shape::new(&of.unit),
            entrants: Vec::new(),
            winners: Vec::new(),
            result: Result { wanted: of.wanted, ..Result::default() },
        };
        if of.wanted == 0 {
            return player;
        }
        player.entrants.reserve_exact(eligible.agents(number).count());
        for agent in eligible.agents(number) {
            let (room, chance) = supply.judge(agent, &player.shape);
            if room > 0 && chance > 0.0 && chance.is_finite() && supply.admits(agent, number, of.exclusive) {
                player.entrants.push(Entrant { agent, room, chance });
                player.result.supply += u64::from(room);
            }
        }
        player.result.entrants = player.entrants.len() as u64;
        player
    }

    /// Whether it holds less than it is guaranteed, and wants more.
    fn is_missing(&self, of: &Contender) -> bool {
        of.held + self.result.won < of.min && self.result.won < of.wanted
    }

    fn is_done(&self, of: &Contender) -> bool {
        self.entrants.is_empty() || self.result.won >= of.wanted
    }

    fn place(&self, of: &Contender) -> Place {
        let units = of.held + self.result.won;
        if units < of.min {
            let choice = self.result.supply as f64 / (of.min - of.held) as f64;
            return Place { stage: 0, rank: choice.to_bits(), group: self.number };
        }
        let share = units as f64 * of.unit_share / of.weight;
        Place { stage: 1, rank: share.max(0.0).to_bits(), group: self.number }
    }

    /// Takes the next unit. False when there is none, or none is wanted.
    fn win_one(
        &mut self,
        of: &Contender,
        supply: &mut Supply,
        weights: f64,
        rng: &mut Rng,
        outcome: &mut Outcome,
        looks: &mut u64,
    ) -> bool {
        loop {
            if self.result.won >= of.wanted {
                return false;
            }
            let Some(agent) = self.winners.pop() else {
                if !self.draw_more(of, supply, weights, rng, looks) {
                    return false;
                }
                continue;
            };
            *looks += 1;
            // Others may have won it since it was drawn.
            if !supply.has_room(agent, &of.unit) || !supply.admits(agent, self.number, of.exclusive) {
                continue;
            }
            supply.move_unit(agent, &of.unit, 1);
            supply.book(agent, self.number, of.exclusive);
            outcome.log(agent, self.number);
            self.result.won += 1;
            return true;
        }
    }

    /// Draws what the group may hope for in view of what the others want, and some more: a winner that others have won
    /// meanwhile costs less than another draw.
    fn draw_more(&mut self, of: &Contender, supply: &Supply, weights: f64, rng: &mut Rng, looks: &mut u64) -> bool {
        let mut left = 0;
        *looks += 2 * self.entrants.len() as u64;
        let (shape, number) = (&self.shape, self.number);
        self.entrants.retain_mut(|entrant| {
            entrant.room = match supply.admits(entrant.agent, number, of.exclusive) {
                true => supply.room(entrant.agent, shape),
                false => 0,
            };
            left += u64::from(entrant.room);
            entrant.room > 0
        });
        let wanted = of.wanted - self.result.won;
        let hoped = (left as f64 * (GENEROUS * of.weight / weights).min(1.0)).ceil() as u64;
        let missing = of.min.saturating_sub(of.held + self.result.won);
        let units = wanted.min(hoped.max(missing).max(1));
        while left > 0 && self.winners.is_empty() {
            draw(&self.entrants, units, rng, &mut self.winners);
            *looks += self.winners.len() as u64;
        }
        left > 0
    }
}
