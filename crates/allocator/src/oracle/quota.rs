//! How much a role may have, by the oracle: everything is added up from the facts, each time it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use resources::{Quantity, Resource, Resources, role::is_strict_subrole_of};

use super::{Agent, Oracle};
use crate::{
    config::Headroom,
    quota::{Quota, parent_of},
};

impl Oracle {
    pub(super) fn is_offerable(&self, agent: &Agent) -> bool {
        let profile = &agent.profile;
        profile.active && self.whitelist.as_ref().is_none_or(|list| list.contains(&profile.hostname))
    }

    /// Cuts what a role could be offered down to its quota. Says whether it helps to meet a guarantee.
    pub fn cut_to_quota(&self, role: &str, portion: &Resources) -> (Resources, bool) {
        if self.quotas.is_empty() {
            return (portion.clone(), false);
        }
        let mut kept = portion.filter(|r| !is_subject(r));
        let mut serves = false;
        let names: BTreeSet<String> = portion.iter().filter(|r| is_subject(r)).map(|r| r.name().to_string()).collect();
        for name in names {
            let promised = self.promised(role, &name);
            let mut left = self.most(role, &name);
            let named = |r: &&Resource| is_subject(r) && *r.name() == *name;
            let mut rows: Vec<&Resource> = portion.iter().filter(named).collect();
            // What can be divided first, then the smallest.
            rows.sort_by_key(|r| (r.is_exclusive(), r.scalar()));
            for row in rows {
                let there = row.scalar().unwrap().0;
                let taken = if row.is_exclusive() { if there <= left { there } else { 0 } } else { there.min(left) };
                left -= taken;
                kept.add_one(row.with_scalar(Quantity(taken)));
                serves |= taken > 0 && promised > 0;
            }
        }
        (kept, serves)
    }

    /// The most that a role may be given of a resource now.
    fn most(&self, role: &str, name: &str) -> i64 {
        self.room(role, name).min(self.promised(role, name).saturating_add(self.surplus(name).max(0)))
    }

    /// What is free beyond what guarantees need.
    fn surplus(&self, name: &str) -> i64 {
        let counted = self.agents.values().filter(|agent| self.is_counted(agent));
        let free: i64 = counted.map(|agent| free(agent, name)).sum();
        free - self.needed(name) - self.deferred.get(name).copied().unwrap_or(0)
    }

    fn needed(&self, name: &str) -> i64 {
        let top = self.quota_roles().into_iter().filter(|role| parent_of(role).is_none());
        top.map(|role| self.need(&role, name)).sum()
    }

    pub fn needed_by_name(&self) -> BTreeMap<String, i64> {
        if self.config.nested_quota {
            return BTreeMap::new();
        }
        NAMES.into_iter().map(|name| (name.to_owned(), self.needed(name))).collect()
    }

    /// Keeps free what a grant to a role below another made needless.
    pub fn defer(&mut self, needed_before: BTreeMap<String, i64>) {
        for (name, needed) in needed_before {
            let less = needed - self.needed(&name);
            *self.deferred.entry(name).or_default() += less;
        }
    }

    fn is_counted(&self, agent: &Agent) -> bool {
        self.config.headroom == Headroom::Everything || self.is_offerable(agent)
    }

    /// What its own guarantee and those above it promise to a role, without what others below them need; no more than
    /// it has room for.
    fn promised(&self, role: &str, name: &str) -> i64 {
        let promises =
            self.way_up(role).into_iter().map(|at| self.unmet(&at, name) - self.need_of_others(&at, role, name));
        promises.max().unwrap_or(0).max(0).min(self.room(role, name))
    }

    /// What the limits of a role and those above it leave, without what others below them need.
    fn room(&self, role: &str, name: &str) -> i64 {
        let left = |at: &String| {
            let limit = self.quotas.get(at)?.limits.get(&name.into())?;
            Some((limit.0 - self.consumed(at, name) - self.need_of_others(at, role, name)).max(0))
        };
        self.way_up(role).iter().filter_map(left).min().unwrap_or(i64::MAX)
    }

    /// The roles whose quotas bind a role.
    fn way_up(&self, role: &str) -> Vec<String> {
        let all = super::with_ancestors(role).map(str::to_owned);
        if self.config.nested_quota { all.collect() } else { all.take(1).collect() }
    }

    /// What the children of `at` need, but for the one on the way to `role`.
    fn need_of_others(&self, at: &str, role: &str, name: &str) -> i64 {
        if !self.config.nested_quota {
            return 0;
        }
        let on_the_way = |child: &str| child == role || is_strict_subrole_of(role, child);
        self.children(at).iter().filter(|child| !on_the_way(child)).map(|child| self.need(child, name)).sum()
    }

    /// What must be kept free for a role's guarantee and those below it.
    fn need(&self, role: &str, name: &str) -> i64 {
        let below: i64 = self.children(role).iter().map(|child| self.need(child, name)).sum();
        let limit = self.quotas.get(role).and_then(|quota| quota.limits.get(&name.into()));
        let fits = limit.map_or(i64::MAX, |limit| (limit.0 - self.consumed(role, name)).max(0));
        self.unmet(role, name).max(below.min(fits))
    }

    fn unmet(&self, role: &str, name: &str) -> i64 {
        let guaranteed = self.quotas.get(role).map_or(0, |quota| quota.guarantees.named(name).0);
        if guaranteed == 0 { 0 } else { (guaranteed - self.consumed(role, name)).max(0) }
    }

    /// What is reserved in the subtree, used or not, and what frameworks there hold of the rest.
    pub fn consumed(&self, role: &str, name: &str) -> i64 {
        let below = |other: &str| other == role || is_strict_subrole_of(other, role);
        let mut sum = 0;
        for agent in self.agents.values() {
            sum += amount(agent.total.reserved_in_subtree(role).iter(), name);
            for ((_, holder), held) in &agent.held {
                if below(holder) {
                    sum += amount(held.iter().filter(|r| is_subject(r)), name);
                }
            }
        }
        sum
    }

    /// Roles with quotas and those above them.
    fn quota_roles(&self) -> BTreeSet<String> {
        self.quotas.keys().flat_map(|role| super::with_ancestors(role)).map(str::to_owned).collect()
    }

    fn children(&self, role: &str) -> Vec<String> {
        self.quota_roles().into_iter().filter(|other| parent_of(other) == Some(role)).collect()
    }

    pub fn quotas(&self) -> &BTreeMap<String, Quota> {
        &self.quotas
    }

    /// How much each limit leaves and how much is free beyond what guarantees need, before a cycle.
    pub fn bounds(&self) -> Vec<(String, &'static str, i64)> {
        let mut bounds = Vec::new();
        for name in NAMES {
            for (role, quota) in &self.quotas {
                if let Some(limit) = quota.limits.get(&name.into()) {
                    bounds.push((format!("limit of {role}"), name, limit.0 - self.consumed(role, name)));
                }
            }
            if !self.quotas.is_empty() {
                bounds.push(("room of guarantees".to_owned(), name, self.surplus(name)));
            }
        }
        bounds
    }

    /// After a cycle, no limit is exceeded and no guarantee robbed of its room, unless it was so before.
    pub fn check_bounds(&self, before: &[(String, &'static str, i64)]) {
        for ((what, name, left), (_, _, was_left)) in self.bounds().into_iter().zip(before) {
            // Mesos's ways do not bind roles below others.
            if self.config.nested_quota {
                assert!(left >= 0.min(*was_left), "{what}: {left} of {name}, before {was_left}");
            }
        }
    }
}

const NAMES: [&str; 3] = ["cpus", "mem", "disk"];

/// Quotas are about unreserved scalars that are not revocable.
fn is_subject(resource: &Resource) -> bool {
    resource.scalar().is_some() && resource.is_unreserved() && !resource.is_revocable()
}

fn free(agent: &Agent, name: &str) -> i64 {
    amount(agent.available().iter().filter(|r| is_subject(r)), name)
}

fn amount<'a>(rows: impl Iterator<Item = &'a Resource>, name: &str) -> i64 {
    rows.filter(|r| *r.name() == *name).filter_map(|r| r.scalar()).map(|scalar| scalar.0).sum()
}
