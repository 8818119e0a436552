//! In which order clients are tried on an agent: the tree of roles from the top down, in each role its frameworks. Few
//! candidates are sorted by themselves; with more, the order of all is walked.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeSet, BinaryHeap},
    ops::Bound,
};

use smallvec::SmallVec;

use crate::{
    allocator::{Allocator, Client},
    bits::{Set, has, ones},
    config::SorterKind,
    directory::Idx,
    profile::Grant,
    standing::Key,
    tree::{Role, level_of},
    visit::{Pass, Visit, draw_seed},
};

/// Up to so many candidates are sorted by themselves.
const FEW: u32 = 24;

/// A level of the tree that is being walked.
struct Frame {
    owner: Option<Idx<Role>>,
    places: Places,
}

/// The places of a level that are still to come.
enum Places {
    /// By shares: the whole order, and the place that was walked last.
    Ordered(BTreeSet<Key<Role>>, Option<Key<Role>>),
    /// By lot: only those that matter.
    Drawn(BinaryHeap<Reverse<(u64, Idx<Role>)>>),
}

/// After so many roles without a candidate, it is worth to note which roles have any.
const MANY: u32 = 48;

/// The roles that have candidates, once that is worth knowing.
#[derive(Default)]
struct Having {
    passed: u32,
    roles: Option<Set<Role>>,
}

impl Allocator {
    /// Tries the clients in `words` until nothing is left for anybody.
    pub(crate) fn walk(&mut self, words: &[u64], visit: &mut Visit, grants: &mut Vec<Grant>) {
        match words.iter().map(|word| word.count_ones()).sum() {
            0 => {}
            1..=FEW => self.walk_few(words, visit, grants),
            count => self.walk_all(words, count, visit, grants),
        }
    }

    fn walk_few(&mut self, words: &[u64], visit: &mut Visit, grants: &mut Vec<Grant>) {
        let mut candidates: SmallVec<[Idx<Client>; FEW as usize]> = SmallVec::new();
        for (index, word) in words.iter().enumerate() {
            candidates.extend(ones(*word).map(|bit| Idx::of_bit(index, bit)));
        }
        if candidates.len() > 1 {
            self.refresh_orders(&candidates);
            let seed = self.draw_seed_of(visit);
            let sorters = visit.sorters;
            candidates.sort_by(|x, y| self.compare(*x, *y, sorters, seed));
        }
        for c in candidates {
            if self.offer_to(c, visit, grants) {
                return;
            }
        }
    }

    /// Brings the orders up to date that set these candidates apart.
    fn refresh_orders(&mut self, candidates: &[Idx<Client>]) {
        let role = |this: &Allocator, c: Idx<Client>| this.clients.get(c).map(|client| client.role);
        let Some(first) = candidates.first().and_then(|c| role(self, *c)) else { return };
        if candidates.iter().all(|c| role(self, *c) == Some(first)) {
            return self.refresh_clients(first);
        }
        self.tree().refresh_level(None);
        for &c in candidates {
            let Some(r) = role(self, c) else { continue };
            for &r in &self.path_to(r) {
                self.tree().refresh_level(Some(r));
            }
            self.refresh_clients(r);
        }
    }

    /// The order of two candidates: by the nearest roles that set them apart, then within the role.
    fn compare(
        &self,
        x: Idx<Client>,
        y: Idx<Client>,
        (roles, frameworks): (SorterKind, SorterKind),
        seed: u64,
    ) -> Ordering {
        let (Some(cx), Some(cy)) = (self.clients.get(x), self.clients.get(y)) else { return Ordering::Equal };
        if cx.role != cy.role {
            return self.compare_roles(cx.role, cy.role, roles, seed);
        }
        match frameworks {
            SorterKind::Drf => cx.standing.key().cmp(&cy.standing.key()),
            SorterKind::Random => cx.standing.lot(seed).total_cmp(&cy.standing.lot(seed)),
        }
    }

    fn compare_roles(&self, x: Idx<Role>, y: Idx<Role>, sorter: SorterKind, seed: u64) -> Ordering {
        let (px, py) = (self.path_to(x), self.path_to(y));
        let apart = px.iter().zip(&py).take_while(|(a, b)| a == b).count();
        // Where the path ends, the role stands for itself, as a leaf among its children.
        let standing = |path: &[Idx<Role>], r: Idx<Role>| match path.get(apart) {
            Some(node) => self.roles.get(*node).map(|role| &role.node),
            None => self.roles.get(r).map(|role| &role.leaf),
        };
        let (Some(sx), Some(sy)) = (standing(&px, x), standing(&py, y)) else { return Ordering::Equal };
        match sorter {
            SorterKind::Drf => sx.key().cmp(&sy.key()),
            SorterKind::Random => sx.lot(seed).total_cmp(&sy.lot(seed)),
        }
    }

    /// Walks the tree without recursion, because names of roles can be deep.
    fn walk_all(&mut self, words: &[u64], mut count: u32, visit: &mut Visit, grants: &mut Vec<Grant>) {
        let mut frames = vec![self.take_level(None, words, visit)];
        let mut having = Having::default();
        let mut done = false;
        while let Some(mut frame) = frames.pop() {
            let below = match &mut frame.places {
                _ if done => None,
                Places::Drawn(drawn) => loop {
                    let Some(Reverse((_, r))) = drawn.pop() else { break None };
                    if self.has_level(frame.owner, r) {
                        break Some(r);
                    }
                    done = self.walk_clients(r, words, &mut count, visit, grants);
                    if done {
                        break None;
                    }
                },
                Places::Ordered(places, last) => {
                    let after = last.take();
                    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                    let mut below = None;
                    for place in places.range((from, Bound::Unbounded)) {
                        let r = place.node;
                        if having.roles.as_ref().is_some_and(|roles| !roles.has(r)) {
                            continue;
                        }
                        if self.has_level(frame.owner, r) {
                            (*last, below) = (Some(place.clone()), Some(r));
                            break;
                        }
                        let before = count;
                        done = self.walk_clients(r, words, &mut count, visit, grants);
                        if done {
                            break;
                        }
                        if before == count {
                            having.passed += 1;
                            if having.passed == MANY {
                                having.roles = Some(self.roles_having(words));
                            }
                        }
                    }
                    below
                }
            };
            match below {
                Some(r) => {
                    frames.push(frame);
                    let level = self.take_level(Some(r), words, visit);
                    frames.push(level);
                }
                None => self.give_back_level(frame),
            }
        }
    }

    /// Whether a place on a level stands for a subtree, and not for the role alone.
    fn has_level(&self, owner: Option<Idx<Role>>, r: Idx<Role>) -> bool {
        owner != Some(r) && self.roles.get(r).is_some_and(|role| !role.children.is_empty())
    }

    /// The roles that have candidates, and those above them.
    fn roles_having(&self, words: &[u64]) -> Set<Role> {
        let mut roles = Set::default();
        for (index, word) in words.iter().enumerate() {
            for bit in ones(*word) {
                let mut next = self.clients.get(Idx::of_bit(index, bit)).map(|client| client.role);
                while let Some(r) = next.filter(|r| !roles.has(*r)) {
                    roles.set(r);
                    next = self.roles.get(r).and_then(|role| role.parent);
                }
            }
        }
        roles
    }

    /// The places of one level. Granting only notes that orders are stale, so they can be walked outside of them
    /// meanwhile.
    fn take_level(&mut self, owner: Option<Idx<Role>>, words: &[u64], visit: &Visit) -> Frame {
        self.tree().refresh_level(owner);
        let places = match visit.sorters.0 {
            SorterKind::Drf => {
                let level = self.levels.get_mut(level_of(owner));
                Places::Ordered(level.map(|level| std::mem::take(&mut level.places)).unwrap_or_default(), None)
            }
            SorterKind::Random => Places::Drawn(self.draw_level(owner, words, visit)),
        };
        Frame { owner, places }
    }

    fn give_back_level(&mut self, frame: Frame) {
        if let Places::Ordered(places, _) = frame.places
            && let Some(level) = self.levels.get_mut(level_of(frame.owner))
        {
            level.places = places;
        }
    }

    /// A new random order of the roles of one level that can matter.
    fn draw_level(
        &self,
        owner: Option<Idx<Role>>,
        words: &[u64],
        visit: &Visit,
    ) -> BinaryHeap<Reverse<(u64, Idx<Role>)>> {
        let seed = self.draw_seed_of(visit);
        let Some(level) = self.levels.get(level_of(owner)) else { return BinaryHeap::new() };
        let matters = |r: Idx<Role>| {
            let role = self.roles.get(r)?;
            let is_leaf = owner == Some(r);
            let word = |index: u32| words.get(index as usize).copied().unwrap_or(0);
            let candidates = (!role.children.is_empty() && !is_leaf)
                || role.words.iter().any(|&(index, mask)| word(index) & mask != 0);
            let standing = if is_leaf { &role.leaf } else { &role.node };
            candidates.then(|| Reverse((standing.lot(seed).to_bits(), r)))
        };
        level.places.iter().filter_map(|place| matters(place.node)).collect()
    }

    fn draw_seed_of(&self, visit: &Visit) -> u64 {
        self.agents.get(visit.a).map_or(0, |agent| draw_seed(agent.id_hash, visit.seed))
    }

    /// Tries the frameworks of one role. True when the walk is over.
    fn walk_clients(
        &mut self,
        r: Idx<Role>,
        words: &[u64],
        count: &mut u32,
        visit: &mut Visit,
        grants: &mut Vec<Grant>,
    ) -> bool {
        let Some(role) = self.roles.get(r) else { return false };
        let (mut ours, mut overriding) = (0, 0);
        for &(index, mask) in &role.words {
            let word = words.get(index as usize).copied().unwrap_or(0) & mask;
            ours += word.count_ones();
            overriding |= word & self.overriding.word(index as usize);
        }
        if ours == 0 {
            return false;
        }
        *count -= ours;
        if overriding == 0 && self.has_quotas() && self.is_too_little(r, visit) {
            return *count == 0;
        }
        let done = match visit.sorters.1 {
            SorterKind::Drf => {
                self.refresh_clients(r);
                let Some(role) = self.roles.get_mut(r) else { return false };
                let places = std::mem::take(&mut role.order.places);
                let clients = places.iter().map(|place| place.node);
                let done = self.offer_in_order(clients.filter(|c| has(words, *c)), ours, visit, grants);
                if let Some(role) = self.roles.get_mut(r) {
                    role.order.places = places;
                }
                done
            }
            SorterKind::Random => {
                let mut drawn = self.draw_clients(r, words, visit);
                let clients = std::iter::from_fn(move || drawn.pop().map(|Reverse((_, c))| c));
                self.offer_in_order(clients, ours, visit, grants)
            }
        };
        done || *count == 0
    }

    /// Tries clients until nothing is left, or all `count` of them were tried.
    fn offer_in_order(
        &mut self,
        clients: impl Iterator<Item = Idx<Client>>,
        count: u32,
        visit: &mut Visit,
        grants: &mut Vec<Grant>,
    ) -> bool {
        clients.take(count as usize).any(|c| self.offer_to(c, visit, grants))
    }

    /// Whether quotas leave so little of an agent for a role that none of its frameworks can be offered it.
    fn is_too_little(&mut self, r: Idx<Role>, visit: &Visit) -> bool {
        if !visit.chargeable {
            return false;
        }
        let Some(free) = self.agents.get(visit.a).map(|agent| &agent.free) else { return false };
        let allowance = self.allowance(r, free);
        if visit.pass == Pass::Guarantees && allowance.promised.is_zero() {
            return true;
        }
        let too_little = !allowance.is_all() && !self.is_enough(&allowance.amounts);
        if too_little {
            self.wait_for_room(visit.a, &allowance);
        }
        too_little
    }

    fn draw_clients(&self, r: Idx<Role>, words: &[u64], visit: &Visit) -> BinaryHeap<Reverse<(u64, Idx<Client>)>> {
        let seed = self.draw_seed_of(visit);
        let Some(role) = self.roles.get(r) else { return BinaryHeap::new() };
        let drawn = |c: &Idx<Client>| Some(Reverse((self.clients.get(*c)?.standing.lot(seed).to_bits(), *c)));
        role.clients.iter().filter(|c| has(words, **c)).filter_map(drawn).collect()
    }
}
