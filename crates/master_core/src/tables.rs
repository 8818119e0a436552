//! The rows a master keeps and the tables that hold them. A table is cheap to copy: rows are shared until one changes.
//!
//! `frameworks`, `agents`, `tasks`, `offers` and `operations` have the rows, `history` the bounded memory of what ended, `roles` what
//! can be said about roles by looking at the rest.

pub(crate) mod agents;
pub(crate) mod frameworks;
pub(crate) mod history;
pub(crate) mod offers;
pub(crate) mod operations;
pub(crate) mod roles;
pub(crate) mod tasks;

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    fmt,
    hash::Hash,
    sync::Arc,
};

use foldhash::fast::FixedState;

/// A map from names that is never walked: its order means nothing.
pub(crate) type Index<K, V> = HashMap<K, V, FixedState>;

/// An ordered map whose copy costs one reference count. Changing a copied table copies its spine once, and a shared
/// row when that row changes.
///
/// Rows are found by hash, as names are long, alike and cold; only walks follow their order.
pub struct Table<K, V>(Arc<Rows<K, V>>);

#[derive(Clone)]
struct Rows<K, V> {
    index: Index<K, Arc<V>>,
    order: BTreeSet<K>,
}

impl<K: Ord + Hash + Clone, V: Clone> Table<K, V> {
    pub fn get<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.index.get(key).map(Arc::as_ref)
    }

    /// The row itself, to keep it beyond the table.
    pub fn get_shared<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.0.index.get(key)
    }

    pub fn contains<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> bool
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

    /// In the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.order.iter().filter_map(|key| self.0.index.get(key).map(|row| (key, row.as_ref())))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.order.iter()
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, row)| row)
    }

    pub(crate) fn get_mut<Q: Ord + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        // A spine that readers share is copied only for a row that is there.
        if Arc::get_mut(&mut self.0).is_none() && !self.0.index.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).index.get_mut(key).map(Arc::make_mut)
    }

    pub(crate) fn insert(&mut self, key: K, row: V) -> Option<Arc<V>> {
        let rows = Arc::make_mut(&mut self.0);
        let old = rows.index.insert(key.clone(), Arc::new(row));
        if old.is_none() {
            rows.order.insert(key);
        }
        old
    }

    pub(crate) fn take<Q: Ord + Hash + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        if !self.0.index.contains_key(key) {
            return None;
        }
        let rows = Arc::make_mut(&mut self.0);
        rows.order.remove(key);
        rows.index.remove(key)
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Table<K, V> {
        Table(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table(Arc::new(Rows { index: Index::default(), order: BTreeSet::new() }))
    }
}

impl<K: Ord + Hash + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Table<K, V> {
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
