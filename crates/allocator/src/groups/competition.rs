//! A competition: groups that want units draw them from agents that are eligible and have room, until nobody wants or
//! nothing is left. `draw` is one group's draw; this is who draws next, from what, and what of it is still there.
//! (`exchange` finds room for a guaranteed unit where others could do as well elsewhere.)
//!
//! Groups that hold less than their guaranteed minimum come first, the one with the least choice before the others, so that
//! it is not robbed of what only it depends on. Then the group whose units are the least share of the cluster for its
//! weight. An agent's chance with a group is fixed when the competition begins: its competition weight times how well the
//! unit fits into what it has free.

mod exchange;

use std::{cmp::Reverse, collections::BinaryHeap};

use stdx::Rng;

use super::draw::{Entrant, draw};

/// What the agents bring: a row of free amounts for each, by column. Which resource a column stands for is the caller's
/// choice; only what some unit names needs one.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    columns: usize,
    free: Vec<i64>,
    weights: Vec<f64>,
    owners: Vec<Owner>,
}

/// Who holds something on an agent, as far as exclusive groups care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Nobody,
    /// One group by its number, and nobody else.
    Group(u32),
    /// An exclusive group by its number: nobody else may.
    Exclusive(u32),
    /// Several exclusive groups, which became so while they held it: nobody may.
    Contested,
    Several,
}

impl Supply {
    pub fn new(columns: usize) -> Supply {
        Supply { columns, ..Supply::default() }
    }

    /// Makes room for so many agents.
    pub fn reserve(&mut self, agents: usize) {
        self.free.reserve(agents * self.columns);
        self.weights.reserve(agents);
        self.owners.reserve(agents);
    }

    /// Adds an agent; its number is its position. A weight that is not positive keeps it out.
    pub fn add(&mut self, free: &[i64], weight: f64, owner: Owner) -> u32 {
        self.free.extend((0..self.columns).map(|column| free.get(column).copied().unwrap_or(0)));
        self.weights.push(weight);
        self.owners.push(owner);
        (self.weights.len() - 1) as u32
    }

    pub fn len(&self) -> usize {
        self.weights.len()
    }

    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// What an agent still has.
    pub fn free(&self, agent: u32) -> &[i64] {
        let at = agent as usize * self.columns;
        self.free.get(at..at + self.columns).unwrap_or_default()
    }

    /// Whether any group may draw it.
    fn is_drawn(&self, agent: u32) -> bool {
        self.weights.get(agent as usize).is_some_and(|weight| *weight > 0.0)
    }

    fn owner(&self, agent: u32) -> Owner {
        self.owners.get(agent as usize).copied().unwrap_or(Owner::Several)
    }

    fn admits(&self, agent: u32, group: u32, exclusive: bool) -> bool {
        match self.owner(agent) {
            Owner::Nobody => true,
            Owner::Group(holder) => holder == group || !exclusive,
            Owner::Exclusive(holder) => holder == group,
            Owner::Several => !exclusive,
            Owner::Contested => false,
        }
    }

    fn move_unit(&mut self, agent: u32, unit: &[i64], sign: i64) {
        let at = agent as usize * self.columns;
        if let Some(row) = self.free.get_mut(at..at + self.columns) {
            for (free, amount) in row.iter_mut().zip(unit) {
                *free -= sign * amount;
            }
        }
    }

    fn book(&mut self, agent: u32, group: u32, exclusive: bool) {
        if let Some(owner) = self.owners.get_mut(agent as usize) {
            *owner = match *owner {
                _ if exclusive => Owner::Exclusive(group),
                Owner::Nobody => Owner::Group(group),
                Owner::Group(holder) if holder == group => Owner::Group(group),
                Owner::Group(_) | Owner::Several => Owner::Several,
                Owner::Exclusive(_) | Owner::Contested => *owner,
            };
        }
    }
}

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
    /// The agents that it may win units of.
    pub eligible: Vec<u32>,
}

/// What came of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Result {
    pub wanted: u64,
    pub won: u64,
    /// Agents with room for a unit when the competition began.
    pub entrants: u64,
    /// The room these had, in units.
    pub supply: u64,
}

/// Who won how much where.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub results: Vec<Result>,
    /// By agent, the first of its entries in `entries`, and `NONE` for none.
    heads: Vec<u32>,
    entries: Vec<Win>,
    /// Units won and not yet entered: the agent and the group of each.
    log: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Win {
    group: u32,
    units: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

impl Outcome {
    /// The groups that won units of an agent, the first winner first, and how many.
    pub fn wins(&self, agent: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut at = self.heads.get(agent as usize).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let win = self.entries.get(at as usize)?;
            at = win.next;
            Some((win.group, win.units))
        })
        .filter(|(_, units)| *units > 0)
    }

    /// Enters what was logged, agent by agent: their entries lie together then.
    fn settle(&mut self) {
        let log = std::mem::take(&mut self.log);
        if log.len() < self.heads.len() {
            log.iter().for_each(|(agent, group)| self.enter(*agent, *group));
            return;
        }
        let mut ends = vec![0u32; self.heads.len() + 1];
        for (agent, _) in &log {
            if let Some(end) = ends.get_mut(*agent as usize + 1) {
                *end += 1;
            }
        }
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut sorted = vec![(0, 0); log.len()];
        for entry in log {
            if let Some(at) = ends.get_mut(entry.0 as usize)
                && let Some(place) = sorted.get_mut(*at as usize)
            {
                *place = entry;
                *at += 1;
            }
        }
        sorted.into_iter().for_each(|(agent, group)| self.enter(agent, group));
    }

    fn enter(&mut self, agent: u32, group: u32) {
        if let Some(win) = self.win_mut(agent, group) {
            win.units += 1;
        }
    }

    fn win_mut(&mut self, agent: u32, group: u32) -> Option<&mut Win> {
        let head = self.heads.get_mut(agent as usize)?;
        let (mut at, mut last) = (*head, NONE);
        while let Some(win) = self.entries.get(at as usize) {
            if win.group == group {
                return self.entries.get_mut(at as usize);
            }
            last = at;
            at = win.next;
        }
        let new = self.entries.len() as u32;
        match self.entries.get_mut(last as usize) {
            Some(win) => win.next = new,
            None => *head = new,
        }
        self.entries.push(Win { group, units: 0, next: NONE });
        self.entries.last_mut()
    }
}

/// How many units of this shape fit into what is free.
pub fn room(unit: &[i64], free: &[i64]) -> u32 {
    let mut room = f64::from(u32::MAX);
    for (amount, free) in unit.iter().zip(free) {
        if *amount > 0 {
            room = room.min((*free as f64 / *amount as f64).floor());
        }
    }
    room.max(0.0) as u32
}

/// How well a unit fits into what is free: how many do, times the part of the free resources that they would use up, as
/// the mean over the resources that the unit names.
pub fn fit(unit: &[i64], free: &[i64], room: u32) -> f64 {
    let (mut used, mut named) = (0.0, 0.0);
    for (amount, free) in unit.iter().zip(free) {
        if *amount > 0 && *free > 0 {
            used += f64::from(room) * *amount as f64 / *free as f64;
            named += 1.0;
        }
    }
    if named > 0.0 { f64::from(room) * used / named } else { 0.0 }
}

/// How many times its part of the weights a group draws at once.
const GENEROUS: f64 = 4.0;

/// Holds a competition. What was won is taken out of `supply`.
pub fn compete(supply: &mut Supply, contenders: &[Contender], rng: &mut Rng) -> Outcome {
    let mut players: Vec<Player<'_>> = Vec::with_capacity(contenders.len());
    for (number, contender) in contenders.iter().enumerate() {
        players.push(Player::new(number as u32, contender, supply));
    }
    let mut outcome = Outcome {
        results: players.iter().map(|player| player.result).collect(),
        heads: vec![NONE; supply.len()],
        entries: Vec::new(),
        log: Vec::new(),
    };
    let mut weights: f64 = players.iter().filter(|player| !player.is_done()).map(|player| player.of.weight).sum();
    let mut queue: BinaryHeap<Reverse<Place>> =
        players.iter().filter(|player| !player.is_done()).map(|player| Reverse(player.place())).collect();
    let mut effort = exchange::EFFORT;
    while let Some(Reverse(place)) = queue.pop() {
        while let Some(player) = players.get_mut(place.group as usize) {
            if !player.win_one(supply, weights, rng, &mut outcome) {
                if player.is_missing() && exchange::exchange(place.group, contenders, supply, &mut outcome, &mut effort)
                {
                    player.result.won += 1;
                } else {
                    weights -= player.of.weight;
                    break;
                }
            }
            let place = player.place();
            if queue.peek().is_some_and(|Reverse(next)| *next < place) {
                queue.push(Reverse(place));
                break;
            }
        }
    }
    for (result, player) in outcome.results.iter_mut().zip(&players) {
        result.won = player.result.won;
    }
    outcome.settle();
    outcome
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

struct Player<'a> {
    number: u32,
    of: &'a Contender,
    entrants: Vec<Entrant>,
    /// Winners that were drawn and not seen yet.
    winners: Vec<u32>,
    result: Result,
}

impl<'a> Player<'a> {
    fn new(number: u32, of: &'a Contender, supply: &Supply) -> Player<'a> {
        let mut player = Player {
            number,
            of,
            entrants: Vec::new(),
            winners: Vec::new(),
            result: Result { wanted: of.wanted, ..Result::default() },
        };
        if of.wanted == 0 {
            return player;
        }
        player.entrants.reserve_exact(of.eligible.len());
        for &agent in &of.eligible {
            let weight = supply.weights.get(agent as usize).copied().unwrap_or(0.0);
            let free = supply.free(agent);
            let room = room(&of.unit, free);
            if room == 0 || !supply.admits(agent, number, of.exclusive) {
                continue;
            }
            let chance = weight * fit(&of.unit, free, room);
            if chance > 0.0 && chance.is_finite() {
                player.entrants.push(Entrant { agent, room, chance });
                player.result.supply += u64::from(room);
            }
        }
        player.result.entrants = player.entrants.len() as u64;
        player
    }

    /// Whether it holds less than it is guaranteed, and wants more.
    fn is_missing(&self) -> bool {
        self.of.held + self.result.won < self.of.min && self.result.won < self.of.wanted
    }

    fn is_done(&self) -> bool {
        self.entrants.is_empty() || self.result.won >= self.of.wanted
    }

    fn place(&self) -> Place {
        let units = self.of.held + self.result.won;
        if units < self.of.min {
            let choice = self.result.supply as f64 / (self.of.min - self.of.held) as f64;
            return Place { stage: 0, rank: choice.to_bits(), group: self.number };
        }
        let share = units as f64 * self.of.unit_share / self.of.weight;
        Place { stage: 1, rank: share.max(0.0).to_bits(), group: self.number }
    }

    /// Takes the next unit. False when there is none, or none is wanted.
    fn win_one(&mut self, supply: &mut Supply, weights: f64, rng: &mut Rng, outcome: &mut Outcome) -> bool {
        loop {
            if self.result.won >= self.of.wanted {
                return false;
            }
            let Some(agent) = self.winners.pop() else {
                if !self.draw_more(supply, weights, rng) {
                    return false;
                }
                continue;
            };
            // Others may have won it since it was drawn.
            if room(&self.of.unit, supply.free(agent)) == 0 || !supply.admits(agent, self.number, self.of.exclusive) {
                continue;
            }
            supply.move_unit(agent, &self.of.unit, 1);
            supply.book(agent, self.number, self.of.exclusive);
            outcome.log.push((agent, self.number));
            self.result.won += 1;
            return true;
        }
    }

    /// Draws what the group may hope for in view of what the others want, and some more: a winner that others have won
    /// meanwhile costs less than another draw.
    fn draw_more(&mut self, supply: &Supply, weights: f64, rng: &mut Rng) -> bool {
        let (number, of) = (self.number, self.of);
        let mut left = 0;
        self.entrants.retain_mut(|entrant| {
            entrant.room = match supply.admits(entrant.agent, number, of.exclusive) {
                true => room(&of.unit, supply.free(entrant.agent)),
                false => 0,
            };
            left += u64::from(entrant.room);
            entrant.room > 0
        });
        let wanted = self.of.wanted - self.result.won;
        let hoped = (left as f64 * (GENEROUS * self.of.weight / weights).min(1.0)).ceil() as u64;
        let missing = self.of.min.saturating_sub(self.of.held + self.result.won);
        let units = wanted.min(hoped.max(missing).max(1));
        while left > 0 && self.winners.is_empty() {
            draw(&self.entrants, units, rng, &mut self.winners);
        }
        left > 0
    }
}
