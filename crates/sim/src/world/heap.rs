//! What is still to happen, by time; equal times in the order they were put in.

use std::{cmp::Ordering, collections::BinaryHeap};

use stdx::Tick;

use super::happening::Happening;

struct Entry {
    at: Tick,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, as `BinaryHeap` gives out the greatest first.
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

#[derive(Default)]
pub(crate) struct Heap {
    entries: BinaryHeap<Entry>,
    count: u64,
}

impl Heap {
    pub fn put(&mut self, at: Tick, what: Happening) {
        self.count += 1;
        self.entries.push(Entry { at, order: self.count, what });
    }

    pub fn take_until(&mut self, end: Tick) -> Option<(Tick, Happening)> {
        if self.entries.peek()?.at > end {
            return None;
        }
        self.entries.pop().map(|entry| (entry.at, entry.what))
    }
}
