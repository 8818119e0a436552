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

use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

/// An ordered map whose copy costs one reference count. Changing a copied table copies its spine once, and a shared
/// row when that row changes.
pub struct Table<K, V>(Arc<BTreeMap<K, Arc<V>>>);

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key).map(Arc::as_ref)
    }

    /// The row itself, to keep it beyond the table.
    pub fn get_shared<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, row)| (key, row.as_ref()))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.keys()
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.values().map(Arc::as_ref)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.0.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).get_mut(key).map(Arc::make_mut)
    }

    pub(crate) fn insert(&mut self, key: K, row: V) -> Option<Arc<V>> {
        Arc::make_mut(&mut self.0).insert(key, Arc::new(row))
    }

    pub(crate) fn take<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        if !self.0.contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).remove(key)
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Table<K, V> {
        Table(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table(Arc::new(BTreeMap::new()))
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
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
