//! Scalar amounts as short vectors: each name of a scalar has a position, so that adding and comparing needs no names.

use std::{collections::BTreeSet, sync::Arc};

use resources::{Name, Resources};
use smallvec::SmallVec;

/// Thousandths by position; what lies beyond the end is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts(SmallVec<[i64; 4]>);

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
        let mut amounts = Amounts::default();
        for resource in resources {
            if let Some(quantity) = resource.scalar() {
                let position = self.position(resource.name());
                amounts.grow(position + 1);
                if let Some(amount) = amounts.0.get_mut(position) {
                    *amount = amount.saturating_add(quantity.0);
                }
            }
        }
        amounts
    }

    /// Whether the name at this position counts for dominant shares.
    pub fn is_counted(&self, position: usize) -> bool {
        self.counted.get(position).copied().unwrap_or(true)
    }

    /// The position of a name that was met before.
    pub fn find(&self, name: &Name) -> Option<usize> {
        let standard = STANDARD.iter().position(|standard| standard == name);
        let other = || self.others.iter().position(|other| **other == *name.as_str());
        standard.or_else(|| Some(STANDARD.len() + other()?))
    }

    fn position(&mut self, name: &Name) -> usize {
        if let Some(position) = STANDARD.iter().position(|standard| standard == name) {
            return position;
        }
        let text = name.as_str();
        if let Some(position) = self.others.iter().position(|other| **other == *text) {
            return STANDARD.len() + position;
        }
        self.others.push(text.into());
        self.counted.push(!self.excluded.contains(text));
        STANDARD.len() + self.others.len() - 1
    }
}
