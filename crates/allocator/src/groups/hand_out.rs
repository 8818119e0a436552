//! Groups in the allocator's cycle: the competition at its beginning, what each client may have of an agent then, and what
//! becomes of units that nobody in the group took.

use resources::{Quantities, Quantity, Resource, Resources};
use smallvec::SmallVec;
use stdx::{Rng, Tick};

use super::{
    Group, GroupError, GroupStanding, check_capacity, check_together,
    competition::{Contender, Outcome, Owner, Supply, compete},
    is_divided,
    membership::{DEFAULT_GROUP, Entry, Purse, Row},
};
use crate::{
    allocator::{Agent, Allocator},
    bits::{Bits, ones},
    config::SorterKind,
    directory::scramble,
    visit::is_allocatable,
};

/// Who an agent is offered to, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// There are no groups: everything to everybody.
    All,
    /// What a group won to its own clients.
    Won(u32),
    /// What nobody won to those in no group.
    Unclaimed,
    /// Only what roles and operators set apart, to those whose group won nothing here.
    SetApart,
}

/// Keeps a competition's draws apart from the cycle's other lots.
const DRAW: u64 = 0x6c6f_7473;

impl Allocator {
    /// All groups but the default one, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.entries.iter().map(|entry| &entry.group)
    }

    /// The group whose resources a role's frameworks are offered.
    pub fn group_of_role(&self, role: &str) -> &str {
        self.groups.name(self.groups.serving(role)).map_or(super::DEFAULT, |name| name)
    }

    /// How the groups stand, by name.
    pub fn group_standings(&self) -> Vec<GroupStanding> {
        let quantities = |row: &Row| {
            let mut quantities = Quantities::default();
            for (name, amount) in self.groups.columns().iter().zip(row) {
                quantities.add_one(name, Quantity(*amount));
            }
            quantities
        };
        let standing = |entry: &Entry| {
            let held = entry.held.iter().zip(&entry.unit).map(|(held, unit)| if *unit > 0 { *held } else { 0 });
            GroupStanding {
                name: entry.group.name.clone(),
                held_units: entry.held_units(),
                held: quantities(&held.collect()),
                drawn: entry.drawn,
                won_total: entry.won_total,
                returned_total: entry.returned_total,
            }
        };
        self.groups.entries.iter().map(standing).collect()
    }

    /// How many agents a group selects, and on how many it holds something. Walks all agents.
    pub fn group_agents(&self, name: &str) -> (u64, u64) {
        let number = self.groups.entries.iter().position(|entry| *entry.group.name == *name);
        let Some(group) = number.map(|number| number as u32) else { return (0, 0) };
        let (mut selected, mut held) = (0, 0);
        for (a, agent) in self.agents.iter() {
            selected += u64::from(self.groups.selection(a).is_some_and(|groups| groups.has(group)));
            held += u64::from(agent.held.iter().any(|(c, _)| self.groups.group_of(*c) == group));
        }
        (selected, held)
    }

    /// Whether this group can be added to the others, or take the place of the one of its name. Says what breaks first;
    /// with `force` it does not matter whether the cluster is big enough. Changes nothing.
    pub fn check_group(&self, group: &Group, force: bool) -> Result<(), GroupError> {
        let taken =
            |role: &&String| self.groups().find(|other| other.name != group.name && other.roles.contains(*role));
        if let Some((role, other)) = group.roles.iter().find_map(|role| Some((role, taken(&role)?))) {
            let (name, other) = (group.name.to_string(), other.name.to_string());
            return Err(GroupError::RoleTaken { name, role: role.clone(), other });
        }
        let mut all: std::collections::BTreeMap<_, _> =
            self.groups().map(|group| (group.name.clone(), group.clone())).collect();
        all.insert(group.name.clone(), group.clone());
        check_together(&all, None)?;
        let agents = || self.agents.iter().map(|(_, agent)| (&agent.profile, &agent.total));
        if force || agents().next().is_none() { Ok(()) } else { check_capacity(&all, agents()) }
    }

    /// Puts these groups in place of all there are. To be checked before. Nobody loses what he holds.
    pub fn set_groups(&mut self, now: Tick, groups: Vec<Group>) {
        self.groups.replace(groups);
        let clients: Vec<u32> = self.clients.iter().map(|(c, _)| c).collect();
        for &c in &clients {
            if let Some(role) = self.role_name(c) {
                self.groups.enter(c, &role);
            }
        }
        for (a, agent) in self.agents.iter() {
            self.groups.classify(a, &agent.profile);
            for (c, held) in &agent.held {
                self.groups.account(*c, held, true);
            }
        }
        for c in clients {
            if self.clients.get(c).is_some_and(|client| client.listed) {
                self.mark_client(now, c);
            }
        }
    }

    /// Lets the groups compete for the agents of a cycle that begins: `queue` in the order in which they are looked at.
    pub(crate) fn compete(&mut self, now: Tick, queue: &[u32], clients: &Bits, seed: u64) {
        if self.groups.is_empty() {
            return;
        }
        let woken = std::mem::take(&mut self.groups.woken);
        let mut contenders: Vec<Contender> = self.groups.entries.iter().map(|entry| self.contender(entry)).collect();
        let mut wanting = Bits::default();
        for (g, contender) in contenders.iter_mut().enumerate() {
            wanting.put(g as u32, contender.wanted > 0);
            if contender.wanted > 0 {
                contender.eligible.reserve(queue.len());
            }
        }
        let mut supply = Supply::new(self.groups.columns().len());
        supply.reserve(queue.len());
        let mut numbers = Vec::with_capacity(queue.len());
        if !wanting.is_empty() {
            // The last one is looked at first.
            for &a in queue.iter().rev() {
                self.enter_agent(a, (clients, &woken), &wanting, &mut supply, &mut contenders, &mut numbers);
            }
        }
        let outcome = compete(&mut supply, &contenders, &mut Rng::new(scramble(seed, DRAW)));
        self.fill_purses(&numbers, &outcome);
        let mut woken = Vec::new();
        for (entry, result) in self.groups.entries.iter_mut().zip(&outcome.results) {
            entry.won_total += result.won;
            if result.wanted == 0 || result.supply > 0 {
                entry.drawn = *result;
            }
            let was_full = std::mem::replace(&mut entry.was_full, result.won >= result.wanted);
            if was_full && !entry.was_full {
                // It has room again; agents that did not change since may have what it wants.
                woken.extend(entry.clients.iter().filter(|c| !clients.has(*c)));
            }
        }
        self.wake_clients(now, woken, true);
    }

    /// Lets groups that have room again look at all agents, though none of these changed.
    pub(crate) fn wake_groups(&mut self, now: Tick) {
        let mut woken = Vec::new();
        for entry in &mut self.groups.entries {
            if entry.was_full && entry.group.max.is_none_or(|max| entry.held_units() < max) {
                entry.was_full = false;
                woken.extend(entry.clients.iter());
            }
        }
        self.wake_clients(now, woken, true);
    }

    /// The sorters of roles and of frameworks that a share of an agent goes by.
    pub(crate) fn sorters(&self, share: Share) -> (SorterKind, SorterKind) {
        let own = match share {
            Share::Won(group) => self.groups.entries.get(group as usize).and_then(|entry| entry.group.sorter),
            Share::All | Share::Unclaimed | Share::SetApart => None,
        };
        own.map_or((self.config.role_sorter, self.config.framework_sorter), |sorter| (sorter, sorter))
    }

    fn contender(&self, entry: &Entry) -> Contender {
        let has_listed = entry.clients.iter().any(|c| self.clients.get(c).is_some_and(|client| client.listed));
        let held = entry.held_units();
        let group = &entry.group;
        let mut unit_share = 0.0;
        for (name, amount) in self.groups.columns().iter().zip(&entry.unit) {
            let total = self.scalars.find(name).map_or(0, |position| self.totals.amounts.get(position));
            if *amount > 0 && total > 0 {
                unit_share = f64::max(unit_share, *amount as f64 / total as f64);
            }
        }
        Contender {
            unit: entry.unit.to_vec(),
            weight: group.weight,
            unit_share,
            held,
            min: group.min,
            wanted: if has_listed { group.max.map_or(u64::from(u32::MAX), |max| max.saturating_sub(held)) } else { 0 },
            exclusive: group.exclusive,
            eligible: Vec::new(),
        }
    }

    fn enter_agent(
        &mut self,
        a: u32,
        (clients, woken): (&Bits, &Bits),
        wanting: &Bits,
        supply: &mut Supply,
        contenders: &mut [Contender],
        numbers: &mut Vec<u32>,
    ) {
        let Some(agent) = self.agents.get(a) else { return };
        if !agent.is_offerable() || agent.available.is_empty() {
            return;
        }
        let plain = agent.is_plain();
        self.judge(a, plain);
        let Some(agent) = self.agents.get(a) else { return };
        let Some(selected) = self.groups.selection(a) else { return };
        let enough = is_allocatable(&self.config.min_allocatable, &agent.available);
        let candidates = self.candidates(agent, enough, (!agent.dirty).then_some((clients, &agent.reopened)));
        let (changed, spurned) = (agent.dirty, self.groups.is_spurned(a));
        let fresh = |c: u32| (clients.has(c) && !woken.has(c)) || agent.reopened.has(c);
        let mut entered = None;
        let mut forgiven: SmallVec<[u32; 4]> = SmallVec::new();
        for index in 0..wanting.words() {
            for bit in ones(wanting.word(index) & selected.word(index)) {
                let g = index as u32 * 64 + bit;
                let Some(entry) = self.groups.entries.get(g as usize) else { continue };
                if !entry.meets(&candidates) {
                    continue;
                }
                if spurned && self.groups.has_spurned(g, a) {
                    if !changed && !entry.clients.iter().any(fresh) {
                        continue;
                    }
                    forgiven.push(g);
                }
                let number = *entered.get_or_insert_with(|| {
                    numbers.push(a);
                    let free = self.groups.divided(&agent.available);
                    supply.add(&free, self.groups.weight(a), self.owner(agent))
                });
                if let Some(contender) = contenders.get_mut(g as usize) {
                    contender.eligible.push(number);
                }
            }
        }
        for g in forgiven {
            self.groups.note_spurned(g, a, false);
        }
    }

    /// Which groups hold something on an agent.
    pub(crate) fn owner(&self, agent: &Agent) -> Owner {
        let mut owner = Owner::Nobody;
        for (c, _) in &agent.held {
            let group = self.groups.group_of(*c);
            let exclusive = self.groups.entries.get(group as usize).is_some_and(|entry| entry.group.exclusive);
            owner = match owner {
                Owner::Exclusive(holder) if exclusive && holder != group => return Owner::Contested,
                Owner::Exclusive(_) => owner,
                _ if exclusive => Owner::Exclusive(group),
                Owner::Nobody => Owner::Group(group),
                Owner::Group(holder) if holder == group => owner,
                _ => Owner::Several,
            };
        }
        owner
    }

    fn fill_purses(&mut self, numbers: &[u32], outcome: &Outcome) {
        for (number, &a) in numbers.iter().enumerate() {
            let mut purses: SmallVec<[Purse; 1]> = SmallVec::new();
            for (group, units) in outcome.wins(number as u32) {
                let Some(entry) = self.groups.entries.get(group as usize) else { continue };
                let left: Row = entry.unit.iter().map(|amount| amount * i64::from(units)).collect();
                purses.push(Purse { group, left });
            }
            #[cfg(test)]
            self.note_wins(a, &purses);
            if let Some(of) = self.groups.purses_mut(a) {
                *of = purses;
            }
        }
    }

    /// Tells the oracle who won what.
    #[cfg(test)]
    fn note_wins(&mut self, a: u32, purses: &[Purse]) {
        let (Some(agent), Some(run)) = (self.agents.get(a), &mut self.last_run) else { return };
        let units = |purse: &Purse| {
            let unit =
                self.groups.entries.get(purse.group as usize).map(|entry| entry.unit.clone()).unwrap_or_default();
            (purse.group as usize, u64::from(super::competition::room(&unit, &purse.left)))
        };
        run.wins.insert(agent.id.clone(), purses.iter().map(units).collect());
    }

    /// To whom an agent is offered, in this order.
    pub(crate) fn shares(&self, a: u32, agent: &Agent) -> SmallVec<[Share; 4]> {
        if self.groups.is_empty() {
            return SmallVec::from_slice(&[Share::All]);
        }
        let mut shares: SmallVec<[Share; 4]> =
            self.groups.purses(a).iter().map(|purse| Share::Won(purse.group)).collect();
        shares.push(Share::Unclaimed);
        if !agent.is_plain() {
            shares.push(Share::SetApart);
        }
        shares
    }

    /// Which of the candidates a share of an agent is for.
    pub(crate) fn mask(&self, a: u32, share: Share, index: usize) -> u64 {
        match share {
            Share::All => u64::MAX,
            Share::Won(group) => self.groups.entries.get(group as usize).map_or(0, |entry| entry.clients.word(index)),
            Share::Unclaimed => !self.groups.grouped.word(index),
            Share::SetApart => {
                let won = self.groups.purses(a).iter().map(|purse| self.mask(a, Share::Won(purse.group), index));
                self.groups.grouped.word(index) & !won.fold(0, |all, word| all | word)
            }
        }
    }

    /// What of a portion belongs to a share.
    pub(crate) fn part(&self, a: u32, agent: &Agent, portion: Resources, share: Share) -> Resources {
        let mut bound: Row = match share {
            Share::All => return portion,
            Share::SetApart => return portion.filter(|resource| !resource.is_unreserved()),
            Share::Won(group) => {
                let purse = self.groups.purses(a).iter().find(|purse| purse.group == group);
                let Some(purse) = purse else { return portion.filter(|resource| !resource.is_unreserved()) };
                purse.left.clone()
            }
            Share::Unclaimed => {
                if matches!(self.owner(agent), Owner::Exclusive(_) | Owner::Contested) {
                    return portion.filter(|resource| !resource.is_unreserved());
                }
                let purses = self.groups.purses(a);
                if purses.is_empty() {
                    return portion;
                }
                let mut free = self.groups.divided(&agent.available);
                for purse in purses {
                    free.iter_mut().zip(&purse.left).for_each(|(free, left)| *free -= left);
                }
                free
            }
        };
        self.cut_all(&portion, &mut bound)
    }

    /// So many units of a portion, with all of it that no unit names.
    pub(crate) fn units_of(&self, portion: &Resources, unit: &Row, units: u64) -> Resources {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let mut bound: Row = unit.iter().map(|amount| amount.saturating_mul(units)).collect();
        self.cut_all(portion, &mut bound)
    }

    fn cut_all(&self, portion: &Resources, bound: &mut Row) -> Resources {
        let mut part = Resources::EMPTY;
        for resource in portion {
            if let Some(resource) = self.cut(resource, bound) {
                part.add_one(resource);
            }
        }
        part
    }

    /// Cuts one resource down to what its column still allows.
    fn cut(&self, resource: &Resource, bound: &mut Row) -> Option<Resource> {
        let column = self.groups.columns().iter().position(|name| name == resource.name());
        let (Some(column), Some(amount), true) = (column, resource.scalar(), is_divided(resource)) else {
            return Some(resource.clone());
        };
        let left = bound.get_mut(column)?;
        let taken = amount.0.min(*left);
        if taken <= 0 {
            return None;
        }
        *left -= taken;
        let mut resource = resource.clone();
        resource.shrink(Quantity(taken)).then_some(resource)
    }

    /// Notes that a group spent some of what it won.
    pub(crate) fn spend(&mut self, a: u32, share: Share, granted: &Resources) {
        let Share::Won(group) = share else { return };
        let spent = self.groups.divided(granted);
        if let Some(purse) = self.groups.purse_mut(a, group) {
            purse.left.iter_mut().zip(&spent).for_each(|(left, spent)| *left -= spent);
        }
    }

    /// Gives back what of the agent was won and not offered: everybody else of `candidates` gets another chance at once.
    pub(crate) fn return_units(&mut self, now: Tick, a: u32, candidates: &[u64]) {
        let Some(purses) = self.groups.purses_mut(a).map(std::mem::take) else { return };
        let mut returned = SmallVec::<[u32; 4]>::new();
        let mut others = SmallVec::<[u64; 32]>::from_slice(candidates);
        for purse in purses.iter().filter(|purse| purse.left.iter().any(|left| *left > 0)) {
            returned.push(purse.group);
            let Some(entry) = self.groups.entries.get_mut(purse.group as usize) else { continue };
            entry.returned_total += u64::from(super::competition::room(&entry.unit, &purse.left));
            for (index, word) in others.iter_mut().enumerate() {
                *word &= !entry.clients.word(index);
            }
        }
        for group in &returned {
            self.groups.note_spurned(*group, a, true);
            let clients = self.groups.entries.get(*group as usize).map(|entry| entry.clients.iter().collect());
            // What it wanted here it still wants: elsewhere, and not so soon that nothing else is done.
            self.wake_clients(now, clients.unwrap_or_default(), false);
        }
        if returned.is_empty() || others.iter().all(|word| *word == 0) {
            return;
        }
        let Some(agent) = self.agents.get_mut(a) else { return };
        for (index, word) in others.iter().enumerate() {
            ones(*word).for_each(|bit| agent.reopened.set(index as u32 * 64 + bit));
        }
        self.mark_reopened(now, a);
    }

    /// The group a grant was won for, by name; nothing where there are no groups.
    pub(crate) fn group_of_grant(&self, c: u32) -> Option<std::sync::Arc<str>> {
        if self.groups.is_empty() {
            return None;
        }
        let group = self.groups.group_of(c);
        Some(match self.groups.name(group) {
            Some(name) if group != DEFAULT_GROUP => name.clone(),
            _ => super::DEFAULT.into(),
        })
    }
}
