//! Scalar amounts as short vectors: each name of a scalar has a position, so that adding and comparing needs no names.

use std::{collections::BTreeSet, sync::Arc};

use resources::{Name, Quantities, Resource, Resources};
use smallvec::SmallVec;

/// Thousandths by position; what lies beyond the end is zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Amounts(SmallVec<[i64; 4]>);

impl PartialEq for Amounts {
    fn eq(&self, other: &Amounts) -> bool {
        (0..self.len().max(other.len())).all(|position| self.get(position) == other.get(position))
    }
}

impl Amounts {
    pub fn get(&self, position: usize) -> i64 {
        self.0.get(position).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Amounts) {
        self.grow(other.0.len());
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    pub fn sub(&mut self, other: &Amounts) {
        self.grow(other.0.len());
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_sub(*theirs);
        }
    }

    pub fn add_at(&mut self, position: usize, amount: i64) {
        self.grow(position + 1);
        if let Some(mine) = self.0.get_mut(position) {
            *mine = mine.saturating_add(amount);
        }
    }

    pub fn negate(&mut self) {
        for mine in &mut self.0 {
            *mine = mine.saturating_neg();
        }
    }

    /// Positions beyond are zero.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|amount| *amount == 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().copied()
    }

    fn grow(&mut self, len: usize) {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }
}

/// The positions of the names met so far.
#[derive(Debug, Default)]
pub(crate) struct Scalars {
    excluded: BTreeSet<String>,
    others: Vec<Arc<str>>,
    counted: Vec<bool>,
}

const STANDARD: [Name; 5] = [Name::Cpus, Name::Mem, Name::Disk, Name::Gpus, Name::Ports];

impl Scalars {
    pub fn new(excluded: BTreeSet<String>) -> Scalars {
        let counted = STANDARD.iter().map(|name| !excluded.contains(name.as_str())).collect();
        Scalars { excluded, others: Vec::new(), counted }
    }

    /// The sums of the scalars in `resources`; a shared resource counts once.
    pub fn amounts(&mut self, resources: &Resources) -> Amounts {
        self.sum(resources, |_| true)
    }

    /// The scalars that are charged to a quota when a role gets them, and that serve a guarantee when they are free.
    pub fn charge(&mut self, resources: &Resources) -> Amounts {
        self.sum(resources, is_chargeable)
    }

    /// The position of a name that was met before.
    pub fn find(&self, name: &Name) -> Option<usize> {
        let standard = STANDARD.iter().position(|standard| standard == name);
        standard.or_else(|| Some(STANDARD.len() + self.others.iter().position(|other| **other == *name.as_str())?))
    }

    fn sum(&mut self, resources: &Resources, counts: impl Fn(&Resource) -> bool) -> Amounts {
        let mut amounts = Amounts::default();
        for resource in resources {
            if let Some(quantity) = resource.scalar()
                && counts(resource)
            {
                amounts.add_at(self.position(resource.name()), quantity.0);
            }
        }
        amounts
    }

    /// Whether the name at this position counts for dominant shares.
    pub fn is_counted(&self, position: usize) -> bool {
        self.counted.get(position).copied().unwrap_or(true)
    }

    pub fn of_quantities(&mut self, quantities: &Quantities) -> Amounts {
        let mut amounts = Amounts::default();
        for (name, quantity) in quantities.iter() {
            amounts.add_at(self.position(name), quantity.0);
        }
        amounts
    }

    /// What stands at a position.
    pub fn name(&self, position: usize) -> Option<Name> {
        let standard = STANDARD.get(position).cloned();
        standard.or_else(|| self.others.get(position.checked_sub(STANDARD.len())?).map(|name| Name::from(&**name)))
    }

    pub fn position(&mut self, name: &Name) -> usize {
        if let Some(position) = self.find(name) {
            return position;
        }
        self.others.push(name.as_str().into());
        self.counted.push(!self.excluded.contains(name.as_str()));
        STANDARD.len() + self.others.len() - 1
    }
}

/// Unreserved and not revocable: what quotas are about, as far as it is a scalar.
pub(crate) fn is_chargeable(resource: &Resource) -> bool {
    resource.is_unreserved() && !resource.is_revocable()
}
