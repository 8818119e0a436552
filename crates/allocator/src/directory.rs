//! Dense numbers for ids: a table of rows and the way from an id to its row. Numbers are reused after removal. The map
//! is only ever asked for one id, never walked, so its order reaches nobody.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    marker::PhantomData,
};

/// The number of a row of `T`s. Numbers of different rows are different types, and cost no more than the number.
pub(crate) struct Idx<T>(u32, PhantomData<fn() -> T>);

impl<T> Idx<T> {
    pub const fn new(number: u32) -> Idx<T> {
        Idx(number, PhantomData)
    }

    pub const fn number(self) -> u32 {
        self.0
    }

    /// Its place in a list that has one for each number.
    pub const fn at(self) -> usize {
        self.0 as usize
    }

    /// Where its bit is, in a set as words.
    pub const fn bit(self) -> (u32, u64) {
        (self.0 / 64, 1 << (self.0 % 64))
    }

    /// The number that a bit stands for.
    pub const fn of_bit(word: usize, bit: u32) -> Idx<T> {
        Idx::new(word as u32 * 64 + bit)
    }
}

impl<T> Clone for Idx<T> {
    fn clone(&self) -> Idx<T> {
        *self
    }
}

impl<T> Copy for Idx<T> {}

impl<T> PartialEq for Idx<T> {
    fn eq(&self, other: &Idx<T>) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Idx<T> {}

impl<T> PartialOrd for Idx<T> {
    fn partial_cmp(&self, other: &Idx<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Idx<T> {
    fn cmp(&self, other: &Idx<T>) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> Hash for Idx<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Debug for Idx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) struct Directory<K, T> {
    rows: Vec<Option<T>>,
    free: Vec<Idx<T>>,
    index: HashMap<K, Idx<T>, BuildHasherDefault<Fnv>>,
}

impl<K, T> Default for Directory<K, T> {
    fn default() -> Self {
        Directory { rows: Vec::new(), free: Vec::new(), index: HashMap::default() }
    }
}

impl<K: Clone + Eq + Hash, T> Directory<K, T> {
    pub fn find<Q>(&self, key: &Q) -> Option<Idx<T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.index.get(key).copied()
    }

    /// Adds a row; the key must be new.
    pub fn insert(&mut self, key: K, row: T) -> Idx<T> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.rows.push(None);
                Idx::new((self.rows.len() - 1) as u32)
            }
        };
        if let Some(slot) = self.rows.get_mut(number.at()) {
            *slot = Some(row);
        }
        self.index.insert(key, number);
        number
    }

    pub fn remove<Q>(&mut self, key: &Q) -> Option<(Idx<T>, T)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let number = self.index.remove(key)?;
        let row = self.rows.get_mut(number.at())?.take()?;
        self.free.push(number);
        Some((number, row))
    }

    pub fn get(&self, number: Idx<T>) -> Option<&T> {
        self.rows.get(number.at())?.as_ref()
    }

    pub fn get_mut(&mut self, number: Idx<T>) -> Option<&mut T> {
        self.rows.get_mut(number.at())?.as_mut()
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// All rows in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Idx<T>, &T)> {
        self.rows.iter().enumerate().filter_map(|(number, row)| Some((Idx::new(number as u32), row.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Idx<T>, &mut T)> {
        self.rows.iter_mut().enumerate().filter_map(|(number, row)| Some((Idx::new(number as u32), row.as_mut()?)))
    }
}

/// FNV-1a, eight bytes at a time.
#[derive(Clone)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
    }
}

/// A well-mixed number for a text and a seed; the same on every machine.
pub(crate) fn scramble(text_hash: u64, seed: u64) -> u64 {
    let mut z = text_hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn hash_text(text: &str) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}
