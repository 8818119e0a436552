//! Who refused what on one agent. A filter hides the agent from one framework in one role as long as everything it
//! could be offered is part of what it refused. Filters with the same refused resources share one copy, and whether
//! they cover what the agent has is worked out once per change, not once per question.

use std::{cmp::Reverse, collections::BinaryHeap};

use resources::Resources;
use stdx::Tick;

use crate::{allocator::Client, bits::Set, directory::Idx};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Filter {
    deadline: Tick,
    client: Idx<Client>,
    /// A filter is dead once its client's epoch moved on: a revived client forgets all its filters at once.
    epoch: u32,
    /// Which of the refused resources.
    class: u32,
}

#[derive(Debug, Default)]
struct Class {
    refused: Resources,
    covers: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Filters {
    heap: BinaryHeap<Reverse<Filter>>,
    classes: Vec<Class>,
    /// Clients that are hidden from what `judged` says the agent has.
    covered: Set<Client>,
    /// Clients that have a filter here, hiding or not.
    holders: Set<Client>,
    judged: Option<Resources>,
    /// Whether what was judged is the same for every client.
    judged_plain: bool,
    sweep_at: usize,
}

/// The present epoch of each client.
pub(crate) type Epochs = [u32];

fn is_live(filter: &Filter, epochs: &Epochs) -> bool {
    epochs.get(filter.client.at()) == Some(&filter.epoch)
}

impl Filters {
    pub fn covered(&self) -> &Set<Client> {
        &self.covered
    }

    pub fn has_holder(&self, client: Idx<Client>) -> bool {
        self.holders.has(client)
    }

    /// Adds a filter.
    pub fn insert(&mut self, client: Idx<Client>, deadline: Tick, refused: &Resources, epochs: &Epochs) {
        if self.heap.len() >= self.sweep_at.max(64) {
            self.sweep(epochs);
            self.sweep_at = self.heap.len() * 2;
        }
        let class = match self.classes.iter().position(|class| class.refused == *refused) {
            Some(class) => class,
            None => {
                let covers =
                    self.judged_plain && self.judged.as_ref().is_some_and(|available| refused.contains(available));
                self.classes.push(Class { refused: refused.clone(), covers });
                self.classes.len() - 1
            }
        };
        if !self.judged_plain {
            self.judged = None;
        } else if self.classes.get(class).is_some_and(|class| class.covers) {
            self.covered.set(client);
        }
        self.holders.set(client);
        let epoch = epochs.get(client.at()).copied().unwrap_or(0);
        self.heap.push(Reverse(Filter { deadline, client, epoch, class: class as u32 }));
    }

    /// Works out who is hidden, unless `available` is what was judged last. `plain` says that every client could be
    /// offered the same; if not, `hides` tells whether these refused resources hide the agent from this client.
    pub fn judge(
        &mut self,
        available: &Resources,
        plain: bool,
        epochs: &Epochs,
        mut hides: impl FnMut(Idx<Client>, &Resources) -> bool,
    ) {
        if self.judged.as_ref() == Some(available) {
            return;
        }
        self.judged = Some(available.clone());
        self.judged_plain = plain;
        if self.heap.is_empty() {
            return;
        }
        self.covered.clear();
        for class in &mut self.classes {
            class.covers = plain && class.refused.contains(available);
        }
        let mut live = 0;
        for Reverse(filter) in &self.heap {
            if !is_live(filter, epochs) {
                continue;
            }
            live += 1;
            let Some(class) = self.classes.get(filter.class as usize) else { continue };
            if class.covers || (!plain && hides(filter.client, &class.refused)) {
                self.covered.set(filter.client);
            }
        }
        if self.heap.len() > 2 * live + 64 {
            self.sweep(epochs);
        }
    }

    /// Whether a filter of `client` hides exactly this.
    pub fn hides(&self, client: Idx<Client>, portion: &Resources, epochs: &Epochs) -> bool {
        self.holders.has(client)
            && self.heap.iter().any(|Reverse(filter)| {
                filter.client == client
                    && is_live(filter, epochs)
                    && self.classes.get(filter.class as usize).is_some_and(|class| class.refused.contains(portion))
            })
    }

    /// Drops what ends at `cutoff` or before; returns the clients that lost a filter.
    pub fn expire(&mut self, cutoff: Tick, epochs: &Epochs) -> Vec<Idx<Client>> {
        let mut lost = Vec::new();
        while let Some(Reverse(filter)) = self.heap.peek().copied()
            && (filter.deadline <= cutoff || !is_live(&filter, epochs))
        {
            self.heap.pop();
            if is_live(&filter, epochs) {
                lost.push(filter.client);
            }
        }
        if self.heap.is_empty() {
            self.clear();
        } else if !lost.is_empty() {
            self.judged = None;
        }
        lost
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse(filter)| filter.deadline)
    }

    /// When the first live filter of a client ends.
    pub fn deadline_of(&self, client: Idx<Client>, epochs: &Epochs) -> Option<Tick> {
        let mine = |filter: &&Reverse<Filter>| filter.0.client == client && is_live(&filter.0, epochs);
        self.heap.iter().filter(mine).map(|Reverse(filter)| filter.deadline).min()
    }

    /// Forgets a client whose epoch has moved on.
    pub fn forget(&mut self, client: Idx<Client>) {
        self.covered.unset(client);
        self.holders.unset(client);
    }

    /// Makes the next judgement a new one.
    pub fn unsettle(&mut self) {
        self.judged = None;
    }

    pub fn clear(&mut self) {
        *self = Filters { judged: self.judged.take(), judged_plain: self.judged_plain, ..Filters::default() };
    }

    /// Live filters, one by one: whose.
    pub fn holders(&self, epochs: &Epochs) -> impl Iterator<Item = Idx<Client>> {
        self.heap.iter().filter(|Reverse(filter)| is_live(filter, epochs)).map(|Reverse(filter)| filter.client)
    }

    /// Drops dead filters and refused resources that nobody names any more.
    fn sweep(&mut self, epochs: &Epochs) {
        let mut filters: Vec<Reverse<Filter>> = std::mem::take(&mut self.heap).into_vec();
        filters.retain(|Reverse(filter)| is_live(filter, epochs));
        let mut moved = vec![u32::MAX; self.classes.len()];
        let mut classes = Vec::new();
        for Reverse(filter) in &mut filters {
            let Some(to) = moved.get_mut(filter.class as usize) else { continue };
            if *to == u32::MAX {
                *to = classes.len() as u32;
                classes.push(self.classes.get_mut(filter.class as usize).map(std::mem::take).unwrap_or_default());
            }
            filter.class = *to;
        }
        self.classes = classes;
        self.heap = filters.into();
    }
}
