//! What agents bring into a competition, and how units fit into it.

use smallvec::SmallVec;

/// What the agents bring: a row of free amounts for each, by column. Which resource a column stands for is the caller's
/// choice; only what some unit names needs one.
#[derive(Clone, Debug, Default)]
pub struct Supply {
    columns: usize,
    free: Vec<i64>,
    /// One over what was free in the beginning; 0 for nothing.
    inverse: Vec<f64>,
    weights: Vec<f64>,
    owners: Vec<Owner>,
    /// Whether any owner matters.
    any_exclusive: bool,
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

/// A unit made ready for many questions: what it takes of which column.
#[derive(Clone, Debug, Default)]
pub struct Shape(SmallVec<[Part; 4]>);

#[derive(Clone, Copy, Debug)]
struct Part {
    column: usize,
    amount: i64,
    inverse: f64,
}

impl Shape {
    pub fn new(unit: &[i64]) -> Shape {
        let named = unit.iter().enumerate().filter(|(_, amount)| **amount > 0);
        Shape(named.map(|(column, &amount)| Part { column, amount, inverse: 1.0 / amount as f64 }).collect())
    }

    /// How many fit into what is free.
    #[inline]
    pub fn room(&self, free: &[i64]) -> u32 {
        let mut room = i64::from(u32::MAX);
        for part in &self.0 {
            let free = free.get(part.column).copied().unwrap_or(0).max(0);
            // The product is off by one at most.
            let mut fit = (free as f64 * part.inverse) as i64;
            fit -= i64::from(fit.saturating_mul(part.amount) > free);
            fit += i64::from((fit + 1).saturating_mul(part.amount) <= free);
            room = room.min(fit);
        }
        room as u32
    }
}

impl Supply {
    pub fn new(columns: usize) -> Supply {
        Supply { columns, ..Supply::default() }
    }

    /// Makes room for so many agents.
    pub fn reserve(&mut self, agents: usize) {
        self.free.reserve(agents * self.columns);
        self.inverse.reserve(agents * self.columns);
        self.weights.reserve(agents);
        self.owners.reserve(agents);
    }

    /// Adds an agent; its number is its position. A weight that is not positive keeps it out.
    pub fn add(&mut self, free: &[i64], weight: f64, owner: Owner) -> u32 {
        for column in 0..self.columns {
            let free = free.get(column).copied().unwrap_or(0);
            self.free.push(free);
            self.inverse.push(if free > 0 { 1.0 / free as f64 } else { 0.0 });
        }
        self.weights.push(weight);
        self.owners.push(owner);
        self.any_exclusive |= matches!(owner, Owner::Exclusive(_) | Owner::Contested);
        (self.weights.len() - 1) as u32
    }

    pub fn len(&self) -> usize {
        self.weights.len()
    }

    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// What an agent still has.
    #[inline]
    pub fn free(&self, agent: u32) -> &[i64] {
        let at = agent as usize * self.columns;
        self.free.get(at..at + self.columns).unwrap_or_default()
    }

    /// How many units fit into what an agent still has.
    #[inline]
    pub fn room(&self, agent: u32, shape: &Shape) -> u32 {
        shape.room(self.free(agent))
    }

    /// Whether a unit fits into what an agent still has.
    #[inline]
    pub(super) fn has_room(&self, agent: u32, unit: &[i64]) -> bool {
        self.free(agent).iter().zip(unit).all(|(free, amount)| *amount <= 0 || free >= amount)
    }

    /// The room of an agent from which nobody won anything yet, and its chance: its weight times `fit`.
    #[inline]
    pub(super) fn judge(&self, agent: u32, shape: &Shape) -> (u32, f64) {
        let room = self.room(agent, shape);
        let at = agent as usize * self.columns;
        let inverse = self.inverse.get(at..at + self.columns).unwrap_or_default();
        let weight = self.weights.get(agent as usize).copied().unwrap_or(0.0);
        let parts = shape.0.iter();
        let used: f64 = parts.map(|part| part.amount as f64 * inverse.get(part.column).copied().unwrap_or(0.0)).sum();
        (room, weight * f64::from(room) * f64::from(room) * used / shape.0.len() as f64)
    }

    /// Whether any group may draw it.
    pub(super) fn is_drawn(&self, agent: u32) -> bool {
        self.weights.get(agent as usize).is_some_and(|weight| *weight > 0.0)
    }

    fn owner(&self, agent: u32) -> Owner {
        self.owners.get(agent as usize).copied().unwrap_or(Owner::Several)
    }

    /// Says whether a group that takes part is exclusive.
    pub(super) fn note_exclusive(&mut self, any: bool) {
        self.any_exclusive |= any;
    }

    #[inline]
    pub(super) fn admits(&self, agent: u32, group: u32, exclusive: bool) -> bool {
        if !self.any_exclusive {
            return true;
        }
        match self.owner(agent) {
            Owner::Nobody => true,
            Owner::Group(holder) => holder == group || !exclusive,
            Owner::Exclusive(holder) => holder == group,
            Owner::Several => !exclusive,
            Owner::Contested => false,
        }
    }

    #[inline]
    pub(super) fn move_unit(&mut self, agent: u32, unit: &[i64], sign: i64) {
        let at = agent as usize * self.columns;
        if let Some(row) = self.free.get_mut(at..at + self.columns) {
            for (free, amount) in row.iter_mut().zip(unit) {
                *free -= sign * amount;
            }
        }
    }

    #[inline]
    pub(super) fn book(&mut self, agent: u32, group: u32, exclusive: bool) {
        if !self.any_exclusive {
            return;
        }
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

/// How many units of this shape fit into what is free.
pub fn room(unit: &[i64], free: &[i64]) -> u32 {
    Shape::new(unit).room(free)
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
