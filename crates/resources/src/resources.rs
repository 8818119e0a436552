//! A collection of resources and its arithmetic. What is selected from one is in `filter`, the wire's formats in
//! `format`.

use crate::{
    name::Name,
    quantities::Quantities,
    quantity::Quantity,
    resource::Resource,
    value::{Ranges, Value},
};
use std::{
    cmp::Ordering,
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
    sync::Arc,
};

/// Resources, always in the post-reservation-refinement form, sorted, each place taken once (exclusive disks excepted).
/// A clone is one reference count; equality does not depend on the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Resources(Option<Arc<Vec<Resource>>>);

impl Resources {
    pub const EMPTY: Resources = Resources(None);

    pub(crate) fn rows(&self) -> &[Resource] {
        self.0.as_ref().map_or(&[], |rows| rows.as_slice())
    }

    fn rows_mut(&mut self) -> &mut Vec<Resource> {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// From rows that are sorted and melted already.
    pub(crate) fn from_sorted(rows: Vec<Resource>) -> Resources {
        if rows.is_empty() { Resources(None) } else { Resources(Some(Arc::new(rows))) }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.rows().iter()
    }

    pub fn len(&self) -> usize {
        self.rows().len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// Adds one resource; an empty one changes nothing.
    pub fn add_one(&mut self, resource: Resource) {
        if !resource.is_empty() {
            let rows = self.rows_mut();
            add_from(rows, 0, resource);
        }
    }

    /// Whether all of `other` can be taken out of this.
    pub fn contains(&self, other: &Resources) -> bool {
        let mine = self.rows();
        let mut from = 0;
        other.rows().iter().all(|wanted| {
            let Some(rest) = mine.get(from..) else { return false };
            from += rest.partition_point(|row| row.cmp_place(wanted) == Ordering::Less);
            let found = mine.get(from).is_some_and(|row| row.contains(wanted));
            // An exclusive row serves once; equal ones stand next to each other.
            from += usize::from(found && wanted.is_exclusive() && !wanted.is_shared());
            found
        })
    }

    pub fn contains_one(&self, resource: &Resource) -> bool {
        resource.is_empty() || self.find_row(resource).is_some_and(|row| row.contains(resource))
    }

    fn find_row(&self, like: &Resource) -> Option<&Resource> {
        let at = self.rows().binary_search_by(|row| row.cmp_place(like)).ok()?;
        self.rows().get(at)
    }

    /// Whether there is at least as much of every name, whatever its role.
    pub fn contains_quantities(&self, quantities: &Quantities) -> bool {
        quantities.iter().all(|(name, wanted)| {
            wanted <= self.iter().filter(|row| row.name() == name).map(|row| row.value().quantity()).sum()
        })
    }

    /// The rest after taking `other` out; nothing when it is not all there.
    pub fn subtract(&self, other: &Resources) -> Option<Resources> {
        self.contains(other).then(|| self - other)
    }

    fn reduce(&mut self, other: &Resources) {
        if self.is_empty() || other.is_empty() {
            return;
        }
        let rows = self.rows_mut();
        let mut from = 0;
        for taken in other.iter() {
            let Some(rest) = rows.get(from..) else { break };
            from += rest.partition_point(|row| row.cmp_place(taken) == Ordering::Less);
            let Some(row) = rows.get_mut(from) else { break };
            if row.cmp_place(taken) == Ordering::Equal {
                row.reduce(taken);
                if row.is_empty() {
                    rows.remove(from);
                }
            }
        }
        if rows.is_empty() {
            self.0 = None;
        }
    }

    fn merge(&mut self, other: &Resources) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        if other.is_empty() {
            return;
        }
        let rows = self.rows_mut();
        if rows.len() > 32 && other.len() > 32 {
            let joined = join(rows, other.rows());
            *rows = joined;
            return;
        }
        let mut from = 0;
        for added in other.iter() {
            from = add_from(rows, from, added.clone());
        }
    }

    /// The sum of the scalars called `name`; nothing when there is none.
    pub fn scalar(&self, name: &str) -> Option<Quantity> {
        let mut found = None;
        for row in self.iter().filter(|row| *row.name() == name) {
            if let Some(scalar) = row.scalar() {
                *found.get_or_insert(Quantity::ZERO) += scalar;
            }
        }
        found
    }

    pub fn cpus(&self) -> Option<Quantity> {
        self.scalar("cpus")
    }

    pub fn gpus(&self) -> Option<Quantity> {
        self.scalar("gpus")
    }

    pub fn mem(&self) -> Option<Quantity> {
        self.scalar("mem")
    }

    pub fn disk(&self) -> Option<Quantity> {
        self.scalar("disk")
    }

    /// The ranges called `name`, of all roles together.
    pub fn ranges(&self, name: &str) -> Option<Ranges> {
        let mut found: Option<Ranges> = None;
        for ranges in self.iter().filter(|row| *row.name() == name).filter_map(Resource::ranges) {
            found = Some(found.map_or_else(|| ranges.clone(), |all| all.union(ranges)));
        }
        found
    }

    pub fn ports(&self) -> Option<Ranges> {
        self.ranges("ports")
    }

    /// The names, each once, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let mut last: Option<&Name> = None;
        self.iter().map(Resource::name).filter(move |name| last.replace(*name) != Some(*name))
    }

    /// Amounts by name; ranges and sets count their members. A shared resource counts once, however many copies there
    /// are.
    pub fn quantities(&self) -> Quantities {
        let mut all = Quantities::default();
        for row in self.iter() {
            all.add_one(row.name(), row.value().quantity());
        }
        all
    }

    /// Amounts by name of the scalars alone: what fair sharing counts.
    pub fn scalar_quantities(&self) -> Quantities {
        let mut all = Quantities::default();
        for row in self.iter() {
            if let Value::Scalar(scalar) = row.value() {
                all.add_one(row.name(), *scalar);
            }
        }
        all
    }

    /// Makes every row anew; rows that then stand in one place melt.
    pub(crate) fn map_rows(&self, change: impl FnMut(&Resource) -> Resource) -> Resources {
        self.iter().map(change).collect()
    }
}

/// Adds `added` to sorted rows, looking from `from` on; returns where it went.
fn add_from(rows: &mut Vec<Resource>, from: usize, added: Resource) -> usize {
    let at =
        from + rows.get(from..).map_or(0, |rest| rest.partition_point(|row| row.cmp_place(&added) == Ordering::Less));
    match rows.get_mut(at) {
        Some(row) if row.cmp_place(&added) == Ordering::Equal && (row.is_shared() || !row.is_exclusive()) => {
            row.merge(&added);
        }
        _ => rows.insert(at, added),
    }
    at
}

/// Joins two long sorted lists.
fn join(a: &[Resource], b: &[Resource]) -> Vec<Resource> {
    let mut all: Vec<Resource> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.cmp_place(y) != Ordering::Greater => a.next(),
            (Some(_), None) => a.next(),
            (_, Some(_)) => b.next(),
            (None, None) => break,
        };
        let Some(next) = next else { break };
        match all.last_mut() {
            Some(last) if last.cmp_place(next) == Ordering::Equal && (last.is_shared() || !last.is_exclusive()) => {
                last.merge(next);
            }
            _ => all.push(next.clone()),
        }
    }
    all
}

impl PartialEq for Resources {
    fn eq(&self, other: &Resources) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => true,
            _ => self.rows() == other.rows(),
        }
    }
}

impl Eq for Resources {}

impl From<Resource> for Resources {
    fn from(resource: Resource) -> Resources {
        let mut all = Resources::default();
        all.add_one(resource);
        all
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Resources {
        let mut rows: Vec<Resource> = Vec::new();
        for resource in resources {
            if !resource.is_empty() {
                // Most come in order already.
                let from = match rows.last() {
                    Some(last) if last.cmp_place(&resource) == Ordering::Less => rows.len(),
                    _ => 0,
                };
                add_from(&mut rows, from, resource);
            }
        }
        Resources::from_sorted(rows)
    }
}

impl Extend<Resource> for Resources {
    fn extend<I: IntoIterator<Item = Resource>>(&mut self, resources: I) {
        for resource in resources {
            self.add_one(resource);
        }
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        self.merge(other);
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        self.merge(&other);
    }
}

/// Takes away what is there; nothing falls below zero.
impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        self.reduce(other);
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        self.reduce(&other);
    }
}

impl Add<&Resources> for Resources {
    type Output = Resources;
    fn add(mut self, other: &Resources) -> Resources {
        self.merge(other);
        self
    }
}

impl Add for Resources {
    type Output = Resources;
    fn add(self, other: Resources) -> Resources {
        self + &other
    }
}

impl Add for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        self.clone() + other
    }
}

impl Sub<&Resources> for Resources {
    type Output = Resources;
    fn sub(mut self, other: &Resources) -> Resources {
        self.reduce(other);
        self
    }
}

impl Sub for Resources {
    type Output = Resources;
    fn sub(self, other: Resources) -> Resources {
        self - &other
    }
}

impl Sub for &Resources {
    type Output = Resources;
    fn sub(self, other: &Resources) -> Resources {
        self.clone() - other
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Resources>>(iter: I) -> Resources {
        iter.fold(Resources::default(), |sum, next| sum + next)
    }
}

impl<'a> Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(iter: I) -> Resources {
        iter.fold(Resources::default(), |sum, next| sum + next)
    }
}
