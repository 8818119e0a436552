//! What is still to happen, by time; equal times in the order they were put in.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
};

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

/// How much of the time to come is kept in order, in nanoseconds; what is later waits unsorted, a window each.
const WINDOW: u64 = 1 << 22;

#[derive(Default)]
pub(crate) struct Heap {
    /// What happens in `window` or before it.
    near: BinaryHeap<Entry>,
    window: u64,
    far: BTreeMap<u64, Vec<Entry>>,
    count: u64,
    /// When the last happened that was taken: nothing happens before it any more.
    now: Tick,
}

impl Heap {
    pub fn put(&mut self, at: Tick, what: Happening) {
        self.count += 1;
        let at = at.max(self.now);
        let entry = Entry { at, order: self.count, what };
        let window = at.0 / WINDOW;
        if window <= self.window {
            self.near.push(entry);
        } else {
            self.far.entry(window).or_default().push(entry);
        }
    }

    /// When the next thing happens.
    pub fn next(&mut self) -> Option<Tick> {
        if self.near.is_empty() {
            let next = self.far.first_entry()?;
            self.window = *next.key();
            self.near = next.remove().into();
        }
        self.near.peek().map(|entry| entry.at)
    }

    pub fn take_until(&mut self, end: Tick) -> Option<(Tick, Happening)> {
        if self.next()? > end {
            return None;
        }
        let entry = self.near.pop()?;
        self.now = entry.at;
        Some((entry.at, entry.what))
    }

    /// When the last thing happened.
    pub fn now(&self) -> Tick {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use stdx::Rng;

    use super::*;
    use crate::world::happening::Node;

    #[test]
    fn all_comes_out_by_time_and_then_by_turn() {
        let mut rng = Rng::new(7);
        let (mut heap, mut waiting) = (Heap::default(), Vec::new());
        let mut now = 0;
        for turn in 0..20_000u32 {
            let at = now + rng.below(20) * WINDOW / 4;
            heap.put(Tick(at), Happening::Wake(Node::Agent(turn)));
            waiting.push((at, turn));
            if rng.below(3) == 0 {
                let end = now + rng.below(2 * WINDOW);
                while let Some((at, what)) = heap.take_until(Tick(end)) {
                    let Happening::Wake(Node::Agent(turn)) = what else { unreachable!() };
                    let first = waiting.iter().enumerate().min_by_key(|(_, entry)| **entry).map(|(place, _)| place);
                    assert_eq!(waiting.swap_remove(first.expect("is there")), (at.0, turn));
                    now = at.0;
                }
                now = end.max(now);
                assert!(waiting.iter().all(|(at, _)| *at > end));
            }
        }
    }
}
