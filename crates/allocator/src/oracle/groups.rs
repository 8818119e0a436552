//! Resource groups by the oracle. Who wins is drawn by lot, so it takes the real allocator's winners, judges whether
//! the rules allow them, and then hands out what was won by itself.

use std::collections::{BTreeMap, BTreeSet};

use model::AgentId;
use resources::{Quantities, Quantity, Resources};

use super::{Agent, Oracle, Run};
use crate::{
    config::SorterKind,
    groups::{Group, competition_weight, is_divided},
    quota::ancestors_of,
};

/// A part of an agent: what a group won, what nobody won, what is set apart.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Part {
    Whole,
    Won(usize),
    Unclaimed,
    SetApart,
}

impl Oracle {
    pub fn set_groups(&mut self, mut groups: Vec<Group>) {
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        self.groups = groups;
    }

    pub(super) fn group_of(&self, role: &str) -> Option<usize> {
        let names = |name: &str| self.groups.iter().position(|group| group.roles.contains(name));
        std::iter::once(role).chain(ancestors_of(role)).find_map(names)
    }

    /// What a group's frameworks hold of what is divided, on all agents.
    fn held_by_group(&self, group: usize) -> Quantities {
        let mut held = Quantities::default();
        for agent in self.agents.values() {
            for ((_, role), resources) in &agent.held {
                if self.group_of(role) == Some(group) {
                    held += &resources.filter(is_divided).scalar_quantities();
                }
            }
        }
        held
    }

    fn held_units(&self, group: usize) -> u64 {
        let held = self.held_by_group(group);
        let units = |(name, amount): (&resources::Name, Quantity)| {
            held.get(name).0.div_euclid(amount.0) + i64::from(held.get(name).0.rem_euclid(amount.0) > 0)
        };
        self.groups[group].unit.iter().map(units).max().unwrap() as u64
    }

    fn unit_room(&self, group: usize, id: &AgentId) -> u64 {
        let mut free = self.agents[id].available().filter(is_divided).scalar_quantities();
        if self.kept.get(id) != Some(&group) {
            self.kept_of(id).iter().for_each(|(name, amount)| free.sub_one(name, amount));
        }
        self.groups[group].unit.iter().map(|(name, amount)| (free.get(name).0 / amount.0) as u64).min().unwrap()
    }

    /// The groups that hold something on an agent; nothing stands for the default group.
    fn holders(&self, agent: &Agent) -> BTreeSet<Option<usize>> {
        agent.held.keys().map(|(_, role)| self.group_of(role)).collect()
    }

    fn wants(&self, group: usize) -> u64 {
        let listed = self.frameworks.values().any(|f| {
            let roles = f.profile.roles.iter().filter(|role| !f.profile.suppressed.contains(*role));
            f.known && f.active && roles.into_iter().any(|role| self.group_of(role) == Some(group))
        });
        let max = self.groups[group].max.unwrap_or(u64::from(u32::MAX));
        if listed { max.saturating_sub(self.held_units(group)) } else { 0 }
    }

    /// Whether a group may win units of an agent beside what others hold there.
    fn may_join(&self, group: usize, agent: &Agent) -> bool {
        let others: Vec<Option<usize>> = self.holders(agent).into_iter().filter(|g| *g != Some(group)).collect();
        let exclusive = |g: &Option<usize>| g.is_some_and(|g| self.groups[g].exclusive);
        self.is_offerable(agent)
            && self.groups[group].selects(&agent.profile)
            && competition_weight(&agent.profile.attributes) > 0.0
            && !others.iter().any(exclusive)
            && (others.is_empty() || !self.groups[group].exclusive || self.holders(agent).contains(&Some(group)))
    }

    /// Judges the winners of a competition, and notes what they won.
    pub(super) fn take_wins(&mut self, run: &Run) {
        self.purses.clear();
        let mut won = BTreeMap::<usize, u64>::new();
        for (id, wins) in &run.wins {
            let agent = &self.agents[id];
            let mut taken = Quantities::default();
            for (group, units) in wins {
                assert!(*units > 0 && self.may_join(*group, agent), "group {group} wins of {id}, which it may not");
                assert!(wins.len() == 1 || !self.groups[*group].exclusive, "an exclusive group shares {id}");
                let purse: Quantities = self.groups[*group]
                    .unit
                    .iter()
                    .map(|(name, amount)| (name.clone(), Quantity(amount.0 * *units as i64)))
                    .collect();
                taken += &purse;
                *won.entry(*group).or_default() += units;
                self.purses.insert((id.clone(), *group), purse);
            }
            let free = agent.available().filter(is_divided).scalar_quantities();
            assert!(free.contains(&taken), "{taken} won of {id}, which has {free}");
        }
        for (group, won) in &won {
            assert!(*won <= self.wants(*group), "group {group} wins {won} units and wants {}", self.wants(*group));
        }
        self.kept = run.kept.clone();
        for (id, group) in run.kept.iter().filter(|(id, _)| run.judged.contains(*id)) {
            let won = won.get(group).copied().unwrap_or(0);
            assert!(self.lacks(*group, won), "pieces of {id} are kept for group {group}, which lacks none");
            assert!(self.groups[*group].selects(&self.agents[id].profile), "{id} is kept for {group}");
        }
    }

    /// Whether a group has less than its minimum and wants more, after it won so much.
    pub fn lacks(&self, group: usize, won: u64) -> bool {
        let held = self.held_by_group(group);
        let whole = self.groups[group].unit.iter().map(|(name, amount)| (held.get(name).0 / amount.0) as u64).max();
        self.wants(group) > won && whole.unwrap() + won < self.groups[group].min
    }

    /// What of an agent is kept for a group.
    fn kept_of(&self, id: &AgentId) -> Quantities {
        let Some(group) = self.kept.get(id).map(|group| &self.groups[*group]) else { return Quantities::default() };
        let free = self.agents[id].available().filter(is_divided).scalar_quantities();
        let bound = |(name, amount): (&resources::Name, Quantity)| {
            (name.clone(), if group.exclusive { amount } else { amount.min(group.unit.get(name)) })
        };
        free.iter().map(bound).collect()
    }

    /// The parts of an agent, in the order in which they are offered.
    pub(super) fn parts(&self, id: &AgentId, run: &Run) -> Vec<Part> {
        if self.groups.is_empty() {
            return vec![Part::Whole];
        }
        let won = run.wins.get(id).into_iter().flatten().map(|(group, _)| Part::Won(*group));
        won.chain([Part::Unclaimed, Part::SetApart]).collect()
    }

    pub(super) fn is_for(&self, part: Part, role: &str, id: &AgentId) -> bool {
        match (part, self.group_of(role)) {
            (Part::Whole, _) => true,
            (Part::Won(group), of) => of == Some(group),
            (Part::Unclaimed, of) => of.is_none(),
            (Part::SetApart, of) => of.is_some_and(|of| !self.purses.contains_key(&(id.clone(), of))),
        }
    }

    pub(super) fn sorters(&self, part: Part) -> (SorterKind, SorterKind) {
        match part {
            Part::Won(group) => self.groups[group].sorter.map(|sorter| (sorter, sorter)),
            _ => None,
        }
        .unwrap_or((self.config.role_sorter, self.config.framework_sorter))
    }

    /// What of a portion belongs to a part of the agent.
    pub(super) fn cut_to_part(&self, part: Part, id: &AgentId, portion: &Resources) -> Resources {
        let set_apart = || portion.filter(|r| !r.is_unreserved());
        let agent = &self.agents[id];
        let mut bound = match part {
            Part::Whole => return portion.clone(),
            Part::SetApart => return set_apart(),
            Part::Won(group) => self.purses[&(id.clone(), group)].clone(),
            Part::Unclaimed => {
                let won =
                    self.purses.iter().filter(|((of, _), left)| of == id && left.iter().any(|(_, l)| l.is_positive()));
                let owners = self.holders(agent).into_iter().flatten().chain(won.map(|((_, group), _)| *group));
                if owners.into_iter().any(|group| self.groups[group].exclusive) {
                    return set_apart();
                }
                let mut free = agent.available().filter(is_divided).scalar_quantities();
                let purses = self.purses.iter().filter(|((of, _), _)| of == id);
                purses.for_each(|(_, left)| left.iter().for_each(|(name, amount)| free.sub_one(name, amount)));
                self.kept_of(id).iter().for_each(|(name, amount)| free.sub_one(name, amount));
                free
            }
        };
        let named: BTreeSet<String> =
            self.groups.iter().flat_map(|group| group.unit.iter().map(|(name, _)| name.to_string())).collect();
        let mut kept = Resources::EMPTY;
        for resource in portion {
            if !is_divided(resource) || !named.contains(resource.name().as_str()) {
                kept.add_one(resource.clone());
                continue;
            }
            let taken = resource.scalar().unwrap().min(bound.get(resource.name()));
            bound.sub_one(resource.name(), taken);
            if taken.is_positive() {
                kept.add_one(resource.with_scalar(taken));
            }
        }
        kept
    }

    pub(super) fn spend(&mut self, part: Part, id: &AgentId, granted: &Resources) {
        let Part::Won(group) = part else { return };
        let spent = granted.filter(is_divided).scalar_quantities();
        if let Some(left) = self.purses.get_mut(&(id.clone(), group)) {
            spent.iter().for_each(|(name, amount)| left.sub_one(name, amount));
        }
    }

    /// Runs in each of which one group wins of one agent all that it could; `settled` tells pairs that had their
    /// chance.
    pub fn possible_wins(&mut self, run: &Run, settled: impl Fn(&AgentId, usize) -> bool) -> Vec<Run> {
        self.kept = run.kept.clone();
        let mut runs = Vec::new();
        for group in 0..self.groups.len() {
            for (id, agent) in &self.agents {
                let units = self.unit_room(group, id).min(self.wants(group));
                if units > 0 && self.may_join(group, agent) && !settled(id, group) {
                    runs.push(Run { wins: BTreeMap::from([(id.clone(), vec![(group, units)])]), ..run.clone() });
                }
            }
        }
        runs
    }
}
