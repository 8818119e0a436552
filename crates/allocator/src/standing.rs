//! Who is next: the standing of roles among each other and of frameworks within a role. A standing that changes is only
//! noted; the order is put right when somebody asks for it.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use crate::{
    directory::{Idx, hash_text, scramble},
    scalars::{Amounts, Scalars},
};

/// What the cluster has. `epoch` counts the changes, each of which moves every share.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub amounts: Amounts,
    pub epoch: u64,
}

/// One role or one framework in a role, as the row of `T`s that it is.
#[derive(Debug)]
pub(crate) struct Standing<T> {
    name: Arc<str>,
    name_hash: u64,
    pub weight: f64,
    /// Offered and used, on all agents.
    pub amounts: Amounts,
    /// How many allocations it received, ever: the tie-breaker.
    pub count: u64,
    listed: bool,
    key: Option<Key<T>>,
    stale: bool,
}

/// The least comes first: share, then allocations received, then name.
#[derive(Debug)]
pub(crate) struct Key<T> {
    /// The bits of the weighted dominant share, which order like the number because it is not negative.
    share: u64,
    count: u64,
    name: Arc<str>,
    pub node: Idx<T>,
}

impl<T> Key<T> {
    fn parts(&self) -> (u64, u64, &Arc<str>, Idx<T>) {
        let Key { share, count, name, node } = self;
        (*share, *count, name, *node)
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Key<T> {
        Key { name: self.name.clone(), ..*self }
    }
}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Key<T>) -> bool {
        self.parts() == other.parts()
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Key<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Key<T>) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl<T> Standing<T> {
    pub fn new(name: Arc<str>, weight: f64) -> Standing<T> {
        Standing {
            name_hash: hash_text(&name),
            name,
            weight,
            amounts: Amounts::default(),
            count: 0,
            listed: false,
            key: None,
            stale: false,
        }
    }

    pub fn share(&self, totals: &Totals, scalars: &Scalars) -> f64 {
        let mut dominant = 0.0;
        for (position, amount) in self.amounts.iter().enumerate() {
            let total = totals.amounts.get(position);
            if amount > 0 && total > 0 && scalars.is_counted(position) {
                dominant = f64::max(dominant, amount as f64 / total as f64);
            }
        }
        dominant / self.weight
    }

    /// The place in the order; only listed nodes of a refreshed order have one.
    pub fn key(&self) -> Option<&Key<T>> {
        self.key.as_ref()
    }

    /// Whether new totals move it.
    pub fn needs_place(&self) -> bool {
        self.stale || !self.amounts.is_zero()
    }

    /// A place in a random order of the draw `seed`: the heavier, the sooner.
    pub fn lot(&self, seed: u64) -> f64 {
        lot(self.name_hash, self.weight, seed)
    }
}

/// An exponential variate: of several, each is the least with a probability in proportion to its weight.
pub(crate) fn lot(name_hash: u64, weight: f64, seed: u64) -> f64 {
    let unit = ((scramble(name_hash, seed) >> 11) as f64 + 1.0) / ((1u64 << 53) as f64 + 1.0);
    -unit.ln() / weight
}

/// The listed nodes of one level, in order.
#[derive(Debug)]
pub(crate) struct Order<T> {
    pub places: BTreeSet<Key<T>>,
    stale: Vec<Idx<T>>,
    epoch: u64,
}

impl<T> Default for Order<T> {
    fn default() -> Order<T> {
        Order { places: BTreeSet::new(), stale: Vec::new(), epoch: 0 }
    }
}

impl<T> Order<T> {
    /// Notes that the standing of `node` changed.
    pub fn touch(&mut self, node: Idx<T>, standing: &mut Standing<T>) {
        if !standing.stale {
            standing.stale = true;
            self.stale.push(node);
        }
    }

    pub fn list(&mut self, node: Idx<T>, standing: &mut Standing<T>, listed: bool) {
        standing.listed = listed;
        self.touch(node, standing);
    }

    /// Takes a node out for good.
    pub fn remove(&mut self, standing: &mut Standing<T>) {
        if let Some(key) = standing.key.take() {
            self.places.remove(&key);
        }
    }

    pub fn is_fresh(&self, totals: &Totals) -> bool {
        self.stale.is_empty() && self.epoch == totals.epoch
    }

    /// The nodes to be placed anew, unless all must be.
    pub fn take_stale(&mut self, totals: &Totals) -> Option<Vec<Idx<T>>> {
        (self.epoch == totals.epoch).then(|| std::mem::take(&mut self.stale))
    }

    /// Gives back the list that `take_stale` took, so that its memory serves again.
    pub fn give_back(&mut self, mut stale: Vec<Idx<T>>) {
        stale.clear();
        if self.stale.is_empty() {
            self.stale = stale;
        }
    }

    /// Says that every node was placed by these totals.
    pub fn settle(&mut self, totals: &Totals) {
        self.stale.clear();
        self.epoch = totals.epoch;
    }

    /// Gives a node its place.
    pub fn place(&mut self, node: Idx<T>, standing: &mut Standing<T>, totals: &Totals, scalars: &Scalars) {
        standing.stale = false;
        let key = standing.listed.then(|| Key {
            share: standing.share(totals, scalars).to_bits(),
            count: standing.count,
            name: standing.name.clone(),
            node,
        });
        if key == standing.key {
            return;
        }
        if let Some(old) = standing.key.take() {
            self.places.remove(&old);
        }
        if let Some(key) = &key {
            self.places.insert(key.clone());
        }
        standing.key = key;
    }
}
