//! Sets of small numbers that grow as needed: `Bits` of plain ones, `Set` of the numbers of rows.

use std::marker::PhantomData;

use crate::directory::Idx;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub fn set(&mut self, bit: u32) {
        let word = bit as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(w) = self.0.get_mut(word) {
            *w |= 1 << (bit % 64);
        }
    }

    pub fn unset(&mut self, bit: u32) {
        if let Some(w) = self.0.get_mut(bit as usize / 64) {
            *w &= !(1 << (bit % 64));
        }
    }

    pub fn put(&mut self, bit: u32, on: bool) {
        if on { self.set(bit) } else { self.unset(bit) }
    }

    pub fn has(&self, bit: u32) -> bool {
        self.word(bit as usize / 64) >> (bit % 64) & 1 == 1
    }

    /// 64 of the bits; beyond the end there are none.
    pub fn word(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    pub fn words(&self) -> usize {
        self.0.len()
    }

    /// Sets all that are set in `other`.
    pub fn add(&mut self, other: &Bits) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| ones(*word).map(move |bit| (index * 64) as u32 + bit))
    }
}

/// Numbers of the rows of a directory.
pub(crate) struct Set<T>(Bits, PhantomData<fn() -> T>);

impl<T> Set<T> {
    pub fn set(&mut self, row: Idx<T>) {
        self.0.set(row.number());
    }

    pub fn unset(&mut self, row: Idx<T>) {
        self.0.unset(row.number());
    }

    pub fn put(&mut self, row: Idx<T>, on: bool) {
        self.0.put(row.number(), on);
    }

    pub fn has(&self, row: Idx<T>) -> bool {
        self.0.has(row.number())
    }

    pub fn word(&self, index: usize) -> u64 {
        self.0.word(index)
    }

    pub fn words(&self) -> usize {
        self.0.words()
    }

    pub fn add(&mut self, other: &Set<T>) {
        self.0.add(&other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = Idx<T>> + '_ {
        self.0.iter().map(Idx::new)
    }
}

impl<T> Clone for Set<T> {
    fn clone(&self) -> Set<T> {
        Set(self.0.clone(), PhantomData)
    }
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set(Bits::default(), PhantomData)
    }
}

impl<T> PartialEq for Set<T> {
    fn eq(&self, other: &Set<T>) -> bool {
        self.0 == other.0
    }
}

impl<T> std::fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether these words have the bit of a row.
pub(crate) fn has<T>(words: &[u64], row: Idx<T>) -> bool {
    words.get(row.at() / 64).copied().unwrap_or(0) >> (row.number() % 64) & 1 == 1
}

/// The positions of the ones in a word, lowest first.
pub(crate) fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros();
        word &= word - 1;
        Some(bit)
    })
}
