//! Bounded memory of what ended: the oldest entry makes room for the newest.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use super::Index;

/// The last `cap` rows, oldest first; as cheap to copy as a table.
#[derive(Debug)]
pub struct History<V>(Arc<VecDeque<Arc<V>>>);

impl<V> History<V> {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<V>> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, row: Arc<V>, cap: usize) {
        let rows = Arc::make_mut(&mut self.0);
        rows.push_back(row);
        while rows.len() > cap {
            rows.pop_front();
        }
    }

    /// Forgets the rows that `unwanted` picks.
    pub(crate) fn remove(&mut self, unwanted: impl Fn(&V) -> bool) {
        if self.0.iter().any(|row| unwanted(row)) {
            Arc::make_mut(&mut self.0).retain(|row| !unwanted(row));
        }
    }
}

impl<V> Clone for History<V> {
    fn clone(&self) -> History<V> {
        History(Arc::clone(&self.0))
    }
}

impl<V> Default for History<V> {
    fn default() -> History<V> {
        History(Arc::new(VecDeque::new()))
    }
}

/// Like `History`, with rows that can be found and taken back by key.
#[derive(Debug)]
pub struct Recent<K, V>(Arc<Inner<K, V>>);

#[derive(Debug)]
struct Inner<K, V> {
    rows: Index<K, (u64, Arc<V>)>,
    order: BTreeMap<u64, K>,
    count: u64,
}

impl<K: Clone, V> Clone for Inner<K, V> {
    fn clone(&self) -> Inner<K, V> {
        Inner { rows: self.rows.clone(), order: self.order.clone(), count: self.count }
    }
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub fn get(&self, key: &K) -> Option<&Arc<V>> {
        self.0.rows.get(key).map(|(_, row)| row)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<V>> {
        self.0.order.values().filter_map(|key| self.get(key))
    }

    pub fn len(&self) -> usize {
        self.0.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }

    pub(crate) fn push(&mut self, key: K, row: Arc<V>, cap: usize) {
        let inner = Arc::make_mut(&mut self.0);
        inner.count += 1;
        if let Some((old, _)) = inner.rows.insert(key.clone(), (inner.count, row)) {
            inner.order.remove(&old);
        }
        inner.order.insert(inner.count, key);
        while inner.order.len() > cap {
            if let Some((_, oldest)) = inner.order.pop_first() {
                inner.rows.remove(&oldest);
            }
        }
    }

    pub(crate) fn take(&mut self, key: &K) -> Option<Arc<V>> {
        if !self.0.rows.contains_key(key) {
            return None;
        }
        let inner = Arc::make_mut(&mut self.0);
        let (at, row) = inner.rows.remove(key)?;
        inner.order.remove(&at);
        Some(row)
    }
}

impl<K, V> Clone for Recent<K, V> {
    fn clone(&self) -> Recent<K, V> {
        Recent(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent(Arc::new(Inner { rows: Index::default(), order: BTreeMap::new(), count: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_rows_are_found_by_key_and_kept_by_age() {
        let mut recent = Recent::default();
        for n in 0..5 {
            recent.push(n % 4, Arc::new(n), 3);
        }
        assert_eq!(recent.iter().map(|n| **n).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(recent.take(&0).as_deref(), Some(&4));
        assert_eq!(recent.take(&0), None);
        assert_eq!(recent.len(), 2);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut history = History::default();
        for n in 0..5 {
            history.push(Arc::new(n), 3);
        }
        assert_eq!(history.iter().map(|n| **n).collect::<Vec<_>>(), [2, 3, 4]);
        history.remove(|n| *n == 3);
        assert_eq!(history.len(), 2);
    }

    #[test]
    fn a_cap_of_zero_remembers_nothing() {
        let mut history = History::default();
        history.push(Arc::new(1), 0);
        assert!(history.is_empty());
    }
}
