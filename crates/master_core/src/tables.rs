//! The rows a master keeps and the tables that hold them. A table is cheap to copy: rows are shared until one changes.
//!
//! `frameworks`, `agents`, `tasks`, `offers` and `operations` have the rows, `history` the bounded memory of what
//! ended, `roles` what can be said about roles by looking at the rest.

pub(crate) mod agents;
pub(crate) mod frameworks;
pub(crate) mod history;
pub(crate) mod offers;
pub(crate) mod operations;
pub(crate) mod roles;
pub(crate) mod tasks;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::Arc,
};

use foldhash::fast::FixedState;

/// A map from names that is never walked: its order means nothing.
pub(crate) type Index<K, V> = HashMap<K, V, FixedState>;

/// A map whose copy costs one reference count, and which is walked in the order in which its keys came. Changing a
/// copied table copies its spine once, and a shared row when that row changes.
///
/// Names are long, alike and cold: they are compared as rarely as can be.
pub struct Table<K, V>(Arc<Rows<K, V>>);

#[derive(Clone)]
struct Rows<K, V> {
    /// Each row with its turn.
    index: Index<K, (u64, Arc<V>)>,
    order: BTreeMap<u64, K>,
    turns: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Table<K, V> {
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.index.get(key).map(|(_, row)| row.as_ref())
    }

    /// The row itself, to keep it beyond the table.
    pub fn get_shared<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.0.index.get(key).map(|(_, row)| row)
    }

    pub fn contains<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.index.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.0.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.index.is_empty()
    }

    /// The oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.keys().filter_map(|key| self.get(key).map(|row| (key, row)))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.order.values()
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, row)| row)
    }

    pub(crate) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        // A spine that readers share is copied only for a row that is there.
        if Arc::get_mut(&mut self.0).is_none() && !self.0.index.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).index.get_mut(key).map(|(_, row)| Arc::make_mut(row))
    }

    /// A row that takes the place of another takes its turn, too.
    pub(crate) fn insert(&mut self, key: K, row: V) -> Option<Arc<V>> {
        let rows = Arc::make_mut(&mut self.0);
        match rows.index.entry(key) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().1, Arc::new(row))),
            Entry::Vacant(entry) => {
                rows.turns += 1;
                rows.order.insert(rows.turns, entry.key().clone());
                entry.insert((rows.turns, Arc::new(row)));
                None
            }
        }
    }

    pub(crate) fn take<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        if !self.0.index.contains_key(key) {
            return None;
        }
        let rows = Arc::make_mut(&mut self.0);
        let (turn, row) = rows.index.remove(key)?;
        rows.order.remove(&turn);
        Some(row)
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Table<K, V> {
        Table(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table(Arc::new(Rows { index: Index::default(), order: BTreeMap::new(), turns: 0 }))
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_saw() {
        let mut table = Table::default();
        table.insert(1, "one".to_owned());
        table.insert(2, "two".to_owned());
        let copy = table.clone();
        table.get_mut(&1).expect("is there").push('!');
        table.take(&2);
        assert_eq!(copy.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(table.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>(), ["one!"]);
    }

    #[test]
    fn untouched_rows_stay_shared() {
        let mut table = Table::default();
        table.insert(1, "one".to_owned());
        table.insert(2, "two".to_owned());
        let copy = table.clone();
        table.get_mut(&1).expect("is there").push('!');
        let shared = |t: &Table<i32, String>| Arc::as_ptr(t.get_shared(&2).expect("is there"));
        assert_eq!(shared(&table), shared(&copy));
    }
}
