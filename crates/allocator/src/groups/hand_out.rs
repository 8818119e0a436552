//! Groups in the allocator's cycle: how they are set, what each client may have of an agent after the competition
//! (`contest`), and what becomes of units that nobody in the group took.

use std::{collections::BTreeMap, sync::Arc};

use resources::{Quantities, Quantity, Resource, Resources};
use smallvec::SmallVec;
use stdx::Tick;

use super::{
    Group, GroupError, GroupStanding, check_capacity, check_together,
    competition::Owner,
    is_divided,
    membership::{DEFAULT_GROUP, Entry, Row},
};
use crate::{
    allocator::{Agent, Allocator, Client},
    bits::ones,
    config::SorterKind,
    directory::Idx,
    schedule::Urgency,
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

    /// Whether this group can be added to `all` that there will be, or take the place of the one of its name. Says what
    /// breaks first; with `force` it does not matter whether the cluster is big enough. Changes nothing.
    pub fn check_group(
        &self,
        mut all: BTreeMap<Arc<str>, Group>,
        group: &Group,
        force: bool,
    ) -> Result<(), GroupError> {
        let taken = |role: &&String| all.values().find(|other| other.name != group.name && other.roles.contains(*role));
        if let Some((role, other)) = group.roles.iter().find_map(|role| Some((role, taken(&role)?))) {
            let (name, other) = (group.name.to_string(), other.name.to_string());
            return Err(GroupError::RoleTaken { name, role: role.clone(), other });
        }
        all.insert(group.name.clone(), group.clone());
        check_together(&all, None)?;
        let agents = || self.agents.iter().map(|(_, agent)| (&agent.profile, &agent.total));
        if force || agents().next().is_none() { Ok(()) } else { check_capacity(&all, agents()) }
    }

    /// Puts these groups in place of all there are. To be checked before. Nobody loses what he holds.
    pub fn set_groups(&mut self, now: Tick, groups: Vec<Group>) {
        self.abandon_cycle(now);
        for a in self.groups.kept.keys().copied().collect::<Vec<Idx<Agent>>>() {
            self.give_up_kept(now, a);
        }
        self.groups.replace(groups);
        let clients: Vec<Idx<Client>> = self.clients.iter().map(|(c, _)| c).collect();
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
                self.timing().mark_client(now, c);
            }
        }
    }

    /// The sorters of roles and of frameworks that a share of an agent goes by.
    pub(crate) fn sorters(&self, share: Share) -> (SorterKind, SorterKind) {
        let own = match share {
            Share::Won(group) => self.groups.entries.get(group as usize).and_then(|entry| entry.group.sorter),
            Share::All | Share::Unclaimed | Share::SetApart => None,
        };
        own.map_or((self.config.role_sorter, self.config.framework_sorter), |sorter| (sorter, sorter))
    }

    /// To whom an agent is offered, in this order.
    pub(crate) fn shares(&self, a: Idx<Agent>, agent: &Agent) -> SmallVec<[Share; 4]> {
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
    pub(crate) fn mask(&self, a: Idx<Agent>, share: Share, index: usize) -> u64 {
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
    pub(crate) fn part(&self, a: Idx<Agent>, agent: &Agent, portion: Resources, share: Share) -> Resources {
        let mut bound: Row = match share {
            Share::All => return portion,
            Share::SetApart => return portion.filter(|resource| !resource.is_unreserved()),
            Share::Won(group) => {
                let purse = self.groups.purses(a).iter().find(|purse| purse.group == group);
                let Some(purse) = purse else { return portion.filter(|resource| !resource.is_unreserved()) };
                purse.left.clone()
            }
            Share::Unclaimed => {
                let is_taken = matches!(self.owner(agent), Owner::Exclusive(_) | Owner::Contested);
                if is_taken || self.is_won_for_itself(a) {
                    return portion.filter(|resource| !resource.is_unreserved());
                }
                let (purses, kept) = (self.groups.purses(a), self.kept_of(a, agent));
                if purses.is_empty() && kept.is_none() {
                    return portion;
                }
                let mut free = self.groups.divided(&agent.available);
                let others = purses.iter().map(|purse| &purse.left).chain(kept.as_ref().map(|(_, kept)| kept));
                others.for_each(|left| free.iter_mut().zip(left).for_each(|(free, left)| *free -= left));
                free
            }
        };
        self.cut_all(&portion, &mut bound)
    }

    /// Whether an exclusive group won units here and was not offered all of them yet: guarantees come before what was
    /// won.
    fn is_won_for_itself(&self, a: Idx<Agent>) -> bool {
        self.groups.purses(a).iter().any(|purse| {
            let exclusive = self.groups.entries.get(purse.group as usize).is_some_and(|entry| entry.group.exclusive);
            exclusive && purse.left.iter().any(|left| *left > 0)
        })
    }

    /// So many units of a portion, with all of it that no unit names.
    pub(crate) fn units_of(&self, portion: &Resources, unit: &Row, units: u64) -> Resources {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let mut bound: Row = unit.iter().map(|amount| amount.saturating_mul(units)).collect();
        self.cut_all(portion, &mut bound)
    }

    pub(crate) fn cut_all(&self, portion: &Resources, bound: &mut Row) -> Resources {
        portion.cut(|resource| self.cut(resource, bound))
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

    /// An exclusive group that was offered what is set apart has the agent to itself now, and may draw the rest.
    pub(crate) fn look_again_at_exclusive(&mut self, now: Tick, a: Idx<Agent>) {
        let Some(agent) = self.agents.get(a) else { return };
        if matches!(self.owner(agent), Owner::Exclusive(_)) && !agent.available.is_empty() {
            self.timing().mark_agent(now, a, Urgency::Freed);
        }
    }

    /// Notes that a group spent some of what it won.
    pub(crate) fn spend(&mut self, a: Idx<Agent>, share: Share, granted: &Resources) {
        let Share::Won(group) = share else { return };
        let spent = self.groups.divided(granted);
        if let Some(purse) = self.groups.purse_mut(a, group) {
            purse.left.iter_mut().zip(&spent).for_each(|(left, spent)| *left -= spent);
        }
    }

    /// Gives back what of the agent was won and not offered: everybody else of `candidates` gets another chance at
    /// once.
    pub(crate) fn return_units(&mut self, now: Tick, a: Idx<Agent>, candidates: &[u64]) {
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
            self.timing().wake_clients(now, clients.unwrap_or_default(), false);
        }
        if returned.is_empty() || others.iter().all(|word| *word == 0) {
            return;
        }
        let Some(agent) = self.agents.get_mut(a) else { return };
        for (index, word) in others.iter().enumerate() {
            ones(*word).for_each(|bit| agent.reopened.set(Idx::of_bit(index, bit)));
        }
        self.timing().mark_reopened(now, a);
    }

    /// The group a grant was won for, by name; nothing where there are no groups.
    pub(crate) fn group_of_grant(&self, c: Idx<Client>) -> Option<std::sync::Arc<str>> {
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
