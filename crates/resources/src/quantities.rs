//! Amounts by name, without roles, disks or reservations: what sorters, quotas and minimum offers compare.

use crate::{name::Name, quantity::Quantity};
use smallvec::SmallVec;
use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
};

/// Sorted by name; a name that is absent counts as zero, and no zero is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(SmallVec<[(Name, Quantity); 4]>);

impl Quantities {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, Quantity)> + '_ {
        self.0.iter().map(|(name, quantity)| (name, *quantity))
    }

    pub fn get(&self, name: &Name) -> Quantity {
        match self.find(name) {
            Ok(at) => self.0.get(at).map_or(Quantity::ZERO, |entry| entry.1),
            Err(_) => Quantity::ZERO,
        }
    }

    /// The amount called `name`; names of the five standard kinds cost nothing.
    pub fn named(&self, name: &str) -> Quantity {
        self.0.iter().find(|entry| entry.0 == name).map_or(Quantity::ZERO, |entry| entry.1)
    }

    fn find(&self, name: &Name) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.0.cmp(name))
    }

    /// Adds to one name. What reaches zero or less is dropped.
    pub fn add_one(&mut self, name: &Name, quantity: Quantity) {
        match self.find(name) {
            Ok(at) => {
                let Some(entry) = self.0.get_mut(at) else { return };
                entry.1 += quantity;
                if !entry.1.is_positive() {
                    self.0.remove(at);
                }
            }
            Err(at) if quantity.is_positive() => self.0.insert(at, (name.clone(), quantity)),
            Err(_) => {}
        }
    }

    /// Takes from one name; never below zero.
    pub fn sub_one(&mut self, name: &Name, quantity: Quantity) {
        if let Ok(at) = self.find(name)
            && let Some(entry) = self.0.get_mut(at)
        {
            entry.1 = entry.1.minus(quantity);
            if entry.1.is_zero() {
                self.0.remove(at);
            }
        }
    }

    /// Whether there is at least as much of every name as in `other`.
    pub fn contains(&self, other: &Quantities) -> bool {
        other.iter().all(|(name, quantity)| quantity <= self.get(name))
    }

    /// Every amount times `factor`.
    pub fn scale(&self, factor: f64) -> Quantities {
        self.iter().map(|(name, quantity)| (name.clone(), quantity.scale(factor))).collect()
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&Name, Quantity) -> bool) {
        self.0.retain(|entry| keep(&entry.0, entry.1));
    }
}

impl FromIterator<(Name, Quantity)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Name, Quantity)>>(entries: I) -> Quantities {
        let mut all = Quantities::default();
        for (name, quantity) in entries {
            all.add_one(&name, quantity);
        }
        all
    }
}

impl AddAssign<&Quantities> for Quantities {
    fn add_assign(&mut self, other: &Quantities) {
        for (name, quantity) in other.iter() {
            self.add_one(name, quantity);
        }
    }
}

/// Never below zero.
impl SubAssign<&Quantities> for Quantities {
    fn sub_assign(&mut self, other: &Quantities) {
        for (name, quantity) in other.iter() {
            self.sub_one(name, quantity);
        }
    }
}

impl Add<&Quantities> for Quantities {
    type Output = Quantities;
    fn add(mut self, other: &Quantities) -> Quantities {
        self += other;
        self
    }
}

impl Sub<&Quantities> for Quantities {
    type Output = Quantities;
    fn sub(mut self, other: &Quantities) -> Quantities {
        self -= other;
        self
    }
}

impl<'a> Sum<&'a Quantities> for Quantities {
    fn sum<I: Iterator<Item = &'a Quantities>>(iter: I) -> Quantities {
        iter.fold(Quantities::default(), |sum, next| sum + next)
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        // As in Mesos, in the order of the alphabet.
        let mut entries: SmallVec<[_; 4]> = self.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| name.as_str());
        for (i, (name, quantity)) in entries.into_iter().enumerate() {
            write!(f, "{}{name}:{quantity}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}
