//! Who is in which group, inside the allocator: the groups by number, the clients of each, which agents each selects,
//! and what was won where and is not offered yet. The cycle's side is in `hand_out`.

use std::{collections::BTreeMap, sync::Arc};

use resources::{Name, Resources};
use smallvec::SmallVec;
use stdx::Tick;

use super::{Group, competition::Result as Drawn, competition_weight, is_divided};
use crate::{
    allocator::{Agent, Client},
    bits::{Bits, Set},
    directory::Idx,
    profile::AgentProfile,
    quota,
};

/// Stands for no group: such clients are in the group `default`.
pub(crate) const DEFAULT_GROUP: u32 = u32::MAX;

/// By column: amounts in thousandths of what the units name.
pub(crate) type Row = SmallVec<[i64; 4]>;

#[derive(Default)]
pub(crate) struct GroupBook {
    /// In the order of their names.
    pub entries: Vec<Entry>,
    /// What any unit names.
    columns: Vec<Name>,
    served: BTreeMap<String, u32>,
    of_client: Vec<u32>,
    /// Clients of any group but the default one.
    pub grouped: Set<Client>,
    reads_hostnames: bool,
    classes: BTreeMap<Vec<u8>, u32>,
    /// Which groups select an agent of the class.
    selections: Vec<Bits>,
    agents: Vec<Standing>,
    /// Clients that are tried again for their group's sake, though nothing changed about them.
    pub woken: Set<Client>,
    /// Agents on which pieces are kept until a unit has come together, and for which group.
    pub kept: BTreeMap<Idx<Agent>, u32>,
}

pub(crate) struct Entry {
    pub group: Group,
    pub unit: Row,
    pub clients: Set<Client>,
    /// The same: the number of each word that has any, and the word.
    words: SmallVec<[(u32, u64); 2]>,
    /// What its clients hold.
    pub held: Row,
    /// The latest competition that it took part in.
    pub drawn: Drawn,
    pub won_total: u64,
    pub returned_total: u64,
    /// It had enough when it last competed; there may be free units on agents that did not change since.
    pub was_full: bool,
    /// Since when it has less than its minimum and wants more.
    pub lacking_since: Option<Tick>,
}

#[derive(Default)]
struct Standing {
    class: u32,
    weight: f64,
    purses: SmallVec<[Purse; 1]>,
    /// Groups that won units here since the agent changed last, and had nobody for them.
    spurned: Bits,
}

/// What a group won of an agent in this cycle and nobody was offered yet.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    pub group: u32,
    pub left: Row,
}

impl Entry {
    /// Units held, parts of one counted as a whole.
    pub fn held_units(&self) -> u64 {
        let named = self.unit.iter().zip(&self.held).filter(|(unit, _)| **unit > 0);
        named.map(|(unit, held)| (*held).max(0).unsigned_abs().div_ceil(unit.unsigned_abs())).max().unwrap_or(0)
    }

    /// Whole units held, of whatever most units are held of: parts of one do not meet a minimum.
    pub fn whole_units(&self) -> u64 {
        let named = self.unit.iter().zip(&self.held).filter(|(unit, _)| **unit > 0);
        named.map(|(unit, held)| (*held).max(0).unsigned_abs() / unit.unsigned_abs()).max().unwrap_or(0)
    }

    /// Whether any of its clients is among `words`.
    pub fn meets(&self, words: &[u64]) -> bool {
        self.words.iter().any(|(index, word)| words.get(*index as usize).is_some_and(|other| word & other != 0))
    }

    fn set(&mut self, client: Idx<Client>, on: bool) {
        self.clients.put(client, on);
        let (index, _) = client.bit();
        let word = self.clients.word(index as usize);
        self.words.retain(|(other, _)| *other != index);
        if word != 0 {
            self.words.push((index, word));
        }
    }
}

impl GroupBook {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The groups that any of these candidates is in, as words of bits.
    pub fn met_by(&self, candidates: &[u64]) -> SmallVec<[u64; 2]> {
        let mut met = SmallVec::from_elem(0, self.entries.len().div_ceil(64));
        for (g, entry) in self.entries.iter().enumerate() {
            if let Some(word) = met.get_mut(g / 64) {
                *word |= u64::from(entry.meets(candidates)) << (g % 64);
            }
        }
        met
    }

    pub fn columns(&self) -> &[Name] {
        &self.columns
    }

    /// Puts groups in place of those there are. Clients and agents must then be entered again.
    pub fn replace(&mut self, mut groups: Vec<Group>) {
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        let mut old: BTreeMap<Arc<str>, Entry> =
            std::mem::take(self).entries.into_iter().map(|entry| (entry.group.name.clone(), entry)).collect();
        let mut names: Vec<Name> =
            groups.iter().flat_map(|group| group.unit.iter().map(|(name, _)| name.clone())).collect();
        names.sort();
        names.dedup();
        self.columns = names;
        self.reads_hostnames = groups.iter().filter_map(|g| g.selector.as_ref()).any(|rule| rule.reads_hostname());
        for (number, group) in groups.into_iter().enumerate() {
            for role in &group.roles {
                self.served.insert(role.clone(), number as u32);
            }
            let before = old.remove(&group.name);
            self.entries.push(Entry {
                unit: self.columns.iter().map(|name| group.unit.get(name).0).collect(),
                clients: Set::default(),
                words: SmallVec::new(),
                held: SmallVec::from_elem(0, self.columns.len()),
                drawn: Drawn::default(),
                won_total: before.as_ref().map_or(0, |entry| entry.won_total),
                returned_total: before.as_ref().map_or(0, |entry| entry.returned_total),
                was_full: false,
                lacking_since: None,
                group,
            });
        }
    }

    /// The group that serves a role: the one that names it, or the nearest role above it.
    pub fn serving(&self, role: &str) -> u32 {
        let named = std::iter::once(role).chain(quota::ancestors_of(role)).find_map(|name| self.served.get(name));
        named.copied().unwrap_or(DEFAULT_GROUP)
    }

    pub fn enter(&mut self, client: Idx<Client>, role: &str) {
        if self.is_empty() {
            return;
        }
        let group = self.serving(role);
        if self.of_client.len() <= client.at() {
            self.of_client.resize(client.at() + 1, DEFAULT_GROUP);
        }
        if let Some(of) = self.of_client.get_mut(client.at()) {
            *of = group;
        }
        if let Some(entry) = self.entries.get_mut(group as usize) {
            entry.set(client, true);
            self.grouped.set(client);
        }
    }

    pub fn leave(&mut self, client: Idx<Client>) {
        let group = self.group_of(client);
        if let Some(entry) = self.entries.get_mut(group as usize) {
            entry.set(client, false);
            self.grouped.unset(client);
        }
        if let Some(of) = self.of_client.get_mut(client.at()) {
            *of = DEFAULT_GROUP;
        }
    }

    pub fn group_of(&self, client: Idx<Client>) -> u32 {
        self.of_client.get(client.at()).copied().unwrap_or(DEFAULT_GROUP)
    }

    pub fn name(&self, group: u32) -> Option<&Arc<str>> {
        self.entries.get(group as usize).map(|entry| &entry.group.name)
    }

    /// Notes which groups select an agent. Agents that look the same to all selectors are judged once.
    pub fn classify(&mut self, agent: Idx<Agent>, profile: &AgentProfile) {
        if self.is_empty() {
            return;
        }
        let mut looks = Vec::new();
        for attribute in &profile.attributes {
            let attribute = proto::wire::encode_to_vec(attribute);
            looks.extend((attribute.len() as u32).to_be_bytes());
            looks.extend(attribute);
        }
        looks.extend(u32::MAX.to_be_bytes());
        if let Some(domain) = &profile.domain {
            looks.extend(proto::wire::encode_to_vec(domain));
        }
        if self.reads_hostnames {
            looks.extend(u32::MAX.to_be_bytes());
            looks.extend(profile.hostname.as_bytes());
        }
        let class = match self.classes.get(&looks) {
            Some(class) => *class,
            None => {
                let mut selected = Bits::default();
                for (number, entry) in self.entries.iter().enumerate() {
                    selected.put(number as u32, entry.group.selects(profile));
                }
                self.selections.push(selected);
                let class = (self.selections.len() - 1) as u32;
                self.classes.insert(looks, class);
                class
            }
        };
        if self.agents.len() <= agent.at() {
            self.agents.resize_with(agent.at() + 1, Standing::default);
        }
        if let Some(standing) = self.agents.get_mut(agent.at()) {
            standing.class = class;
            standing.weight = competition_weight(&profile.attributes);
        }
    }

    pub fn forget(&mut self, agent: Idx<Agent>) {
        self.kept.remove(&agent);
        if let Some(standing) = self.agents.get_mut(agent.at()) {
            *standing = Standing::default();
        }
    }

    /// The groups that select an agent.
    pub fn selection(&self, agent: Idx<Agent>) -> Option<&Bits> {
        self.selections.get(self.agents.get(agent.at())?.class as usize)
    }

    pub fn has_spurned(&self, group: u32, agent: Idx<Agent>) -> bool {
        self.agents.get(agent.at()).is_some_and(|standing| standing.spurned.has(group))
    }

    /// Whether any group has spurned an agent.
    pub fn is_spurned(&self, agent: Idx<Agent>) -> bool {
        self.agents.get(agent.at()).is_some_and(|standing| !standing.spurned.is_empty())
    }

    pub fn note_spurned(&mut self, group: u32, agent: Idx<Agent>, spurned: bool) {
        if let Some(standing) = self.agents.get_mut(agent.at()) {
            standing.spurned.put(group, spurned);
        }
    }

    pub fn weight(&self, agent: Idx<Agent>) -> f64 {
        self.agents.get(agent.at()).map_or(1.0, |standing| standing.weight)
    }

    pub fn purses(&self, agent: Idx<Agent>) -> &[Purse] {
        self.agents.get(agent.at()).map_or(&[], |standing| &standing.purses)
    }

    pub fn purses_mut(&mut self, agent: Idx<Agent>) -> Option<&mut SmallVec<[Purse; 1]>> {
        Some(&mut self.agents.get_mut(agent.at())?.purses)
    }

    pub fn purse_mut(&mut self, agent: Idx<Agent>, group: u32) -> Option<&mut Purse> {
        self.purses_mut(agent)?.iter_mut().find(|purse| purse.group == group)
    }

    /// What of `resources` is divided among groups, by column.
    pub fn divided(&self, resources: &Resources) -> Row {
        let mut row: Row = SmallVec::from_elem(0, self.columns.len());
        for resource in resources.iter().filter(|resource| is_divided(resource)) {
            let column = self.columns.iter().position(|name| name == resource.name());
            if let (Some(column), Some(quantity)) = (column, resource.scalar())
                && let Some(amount) = row.get_mut(column)
            {
                *amount += quantity.0;
            }
        }
        row
    }

    /// Notes that a client holds more, or less.
    pub fn account(&mut self, client: Idx<Client>, resources: &Resources, more: bool) {
        let group = self.group_of(client);
        if self.is_empty() || group == DEFAULT_GROUP {
            return;
        }
        let change = self.divided(resources);
        if let Some(entry) = self.entries.get_mut(group as usize) {
            for (held, change) in entry.held.iter_mut().zip(&change) {
                *held += if more { *change } else { -change };
            }
        }
    }
}
