//! What becomes of grants: some of it is used, the rest comes back, now or when a task ends.

use std::time::Duration;

use model::{AgentId, FrameworkId};
use resources::{
    ResourceError, Resources,
    conversion::{self, Conversion},
};
use stdx::{Tick, never};

use crate::{
    allocator::{Agent, Allocator, Client, LastGrant, without_shared},
    directory::Idx,
    profile::Settlement,
    scalars::Amounts,
    schedule::Urgency,
    tree::Role,
};

impl Allocator {
    /// A framework answered an offer: the outcome of an ACCEPT or DECLINE on one agent and one role, in one step.
    /// Ignored when framework or agent are gone.
    pub fn settle(&mut self, now: Tick, framework: &FrameworkId, agent: &AgentId, settlement: Settlement) {
        Self::check_allocated(&settlement.offered);
        let Some((a, c)) = self.find_holder(framework, agent, &settlement.offered) else { return };
        if settlement.conversions.is_empty() && settlement.used == settlement.offered {
            return;
        }
        let mut rest = self.unallocated(a, &settlement.offered);
        let used = settlement.used.unallocate();
        // What conversions made and nobody used is given back, but was never refused.
        let mut made = Resources::EMPTY;
        for conversion in &settlement.conversions {
            let (consumed, converted) = (conversion.consumed.unallocate(), conversion.converted.unallocate());
            self.convert(a, c, &consumed, &converted);
            rest = rest - &consumed + &converted;
            made = made - &consumed + &converted;
        }
        // A shared resource may be used more often than it was offered: the further copies are held on top.
        let more = used.shared() - rest.shared();
        if !more.is_empty() {
            self.hold(a, c, &more);
        }
        rest -= &used;
        made -= &used;
        self.give_back(now, a, c, &rest);
        let refused = rest - &made;
        let mut filter = settlement.filter;
        if filter.is_none() && used.is_empty() && made.is_empty() && self.config.event_driven {
            // A refusal without a filter holds until the next batch, as in Mesos; otherwise the same offer would go
            // round and round.
            filter = Some(self.config.tick_after(now).since(now));
        } else if let Some(asked) = filter {
            filter = Some(asked.max(self.config.interval_bounded()));
        }
        if let Some(filter) = filter {
            self.refuse(now, a, c, &refused, filter);
        }
        if !settlement.conversions.is_empty() {
            self.wake_groups(now);
        }
        self.drop_client_if_unused(c);
    }

    /// Resources come back: a task ended, an offer was rescinded. With a filter they are refused for that long.
    pub fn recover(
        &mut self,
        now: Tick,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filter: Option<Duration>,
    ) {
        Self::check_allocated(resources);
        for portion in by_role(resources) {
            let Some((a, c)) = self.find_holder(framework, agent, &portion) else { continue };
            let portion = self.unallocated(a, &portion);
            self.give_back(now, a, c, &portion);
            if let Some(filter) = filter {
                self.refuse(now, a, c, &portion, filter.max(self.config.interval_bounded()));
            }
            self.drop_client_if_unused(c);
        }
    }

    /// An operator converts free resources of an agent: reserves, creates volumes, or takes that back. Nothing changes
    /// when they are not all free.
    pub fn update_available(
        &mut self,
        now: Tick,
        agent: &AgentId,
        conversions: &[Conversion],
    ) -> Result<(), ResourceError> {
        let Some(a) = self.agents.find(agent) else {
            return Err(ResourceError::Malformed(format!("Agent {agent} is not known")));
        };
        let Some(row) = self.agents.get(a) else { return Ok(()) };
        let conversions: Vec<Conversion> = conversions.iter().map(unallocated_conversion).collect();
        conversion::apply_all(&row.available, &conversions)?;
        conversion::apply_all(&row.total, &conversions)?;
        for conversion in &conversions {
            self.convert_available(a, &conversion.consumed, &conversion.converted);
        }
        self.timing().mark_agent(now, a, Urgency::Freed);
        Ok(())
    }

    /// Resources that come back must say which role they were allocated to.
    fn check_allocated(resources: &Resources) {
        if let Some(resource) = resources.iter().find(|resource| resource.allocation_role().is_none()) {
            never!("{resource} comes back to the allocator without its allocation");
        }
    }

    /// The numbers of the agent, and of the framework in the role that `resources` are allocated to.
    fn find_holder(
        &self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
    ) -> Option<(Idx<Agent>, Idx<Client>)> {
        let (a, f) = (self.agents.find(agent)?, self.frameworks.find(framework)?);
        let role = resources.iter().next()?.allocation_role()?;
        Some((a, self.clients.find(&(f, self.roles.find(role)?))?))
    }

    /// `resources` without their allocation; free of charge for what was granted last.
    fn unallocated(&self, a: Idx<Agent>, resources: &Resources) -> Resources {
        match self.agents.get(a).and_then(|agent| agent.last_grant.as_ref()) {
            Some(last) if last.allocated == *resources => last.portion.clone(),
            _ => resources.unallocate(),
        }
    }

    fn give_back(&mut self, now: Tick, a: Idx<Agent>, c: Idx<Client>, resources: &Resources) {
        if !resources.is_empty() {
            self.release(a, c, resources);
            self.timing().mark_agent(now, a, Urgency::Freed);
        }
    }

    fn refuse(&mut self, now: Tick, a: Idx<Agent>, c: Idx<Client>, refused: &Resources, duration: Duration) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        if refused.is_empty() || !self.clients.get(c).is_some_and(|client| client.subscribed) {
            return;
        }
        let deadline = now + duration;
        agent.filters.insert(c, deadline, refused, &self.filter_epochs);
        if agent.expiry.is_none_or(|expiry| deadline < expiry) {
            if let Some(expiry) = agent.expiry.replace(deadline) {
                self.expiries.remove(&(expiry, a));
            }
            self.expiries.insert((deadline, a));
        }
    }

    /// Turns some of what a client holds, and of the agent's total, into something else.
    fn convert(&mut self, a: Idx<Agent>, c: Idx<Client>, consumed: &Resources, converted: &Resources) {
        self.release(a, c, consumed);
        self.convert_available(a, consumed, converted);
        self.hold_uncounted(a, c, converted);
    }

    /// Books `resources` of an agent for a client.
    pub(crate) fn hold(&mut self, a: Idx<Agent>, c: Idx<Client>, resources: &Resources) {
        self.hold_uncounted(a, c, resources);
        if let Some(client) = self.clients.get_mut(c) {
            client.standing.count += 1;
            let r = client.role;
            self.tree().count_allocation(r);
        }
    }

    fn hold_uncounted(&mut self, a: Idx<Agent>, c: Idx<Client>, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        let before = self.shared_amounts(a, c, resources);
        let Some(agent) = self.agents.get_mut(a) else { return };
        match agent.held.iter_mut().find(|(holder, _)| *holder == c) {
            Some((_, held)) => *held += resources,
            None => {
                agent.held.push((c, resources.clone()));
                self.maintenance.look_at(a);
                if let Some(client) = self.clients.get_mut(c) {
                    client.holdings += 1;
                }
            }
        }
        self.groups.account(c, resources, true);
        let taken = without_shared(resources);
        if agent.available.contains(&taken) {
            agent.available -= &taken;
        } else {
            agent.count_available();
        }
        self.account(a, c, resources, before, true);
    }

    /// Takes `resources` from what a client holds on an agent.
    pub(crate) fn release(&mut self, a: Idx<Agent>, c: Idx<Client>, resources: &Resources) {
        let before = self.shared_amounts(a, c, resources);
        let Some(agent) = self.agents.get_mut(a) else { return };
        let at = agent.held.iter().position(|(holder, held)| *holder == c && held.contains(resources));
        let Some(at) = at else {
            never!("{} gives back {resources} which it does not hold", agent.id);
            return;
        };
        self.groups.account(c, resources, false);
        if let Some((_, held)) = agent.held.get_mut(at) {
            *held -= resources;
            if held.is_empty() {
                agent.held.swap_remove(at);
                if let Some(client) = self.clients.get_mut(c) {
                    client.holdings = client.holdings.saturating_sub(1);
                }
            }
        }
        if agent.overcommitted {
            agent.count_available();
        } else {
            agent.available += &without_shared(resources);
        }
        self.account(a, c, resources, before, false);
    }

    /// Moves the standings of a client, its role and those above by what changed hands. `before` is what they had, if
    /// copies of shared resources make the difference other than the sum of `resources`.
    fn account(
        &mut self,
        a: Idx<Agent>,
        c: Idx<Client>,
        resources: &Resources,
        before: Option<SharedAmounts>,
        more: bool,
    ) {
        self.settle_available(a);
        let Some(r) = self.clients.get(c).map(|client| client.role) else { return };
        let known = self.agents.get(a).and_then(|agent| agent.last_grant.as_ref());
        let (mut amounts, mut charge) = match known {
            Some(LastGrant { portion, amounts, charge, .. }) if portion == resources => {
                (amounts.clone(), charge.clone())
            }
            _ => (self.scalars.amounts(resources), self.scalars.charge(resources)),
        };
        if !more {
            amounts.negate();
            charge.negate();
        }
        if self.has_quotas() {
            self.charge(r, &charge);
        }
        match (before, self.shared_amounts(a, c, resources)) {
            (Some(before), Some(mut after)) => {
                after.client.sub(&before.client);
                self.add_to_client(c, &after.client);
                after.leaf.sub(&before.leaf);
                self.tree().add_to_leaf(r, &after.leaf);
                for ((r, mut after), (_, before)) in after.nodes.into_iter().zip(before.nodes) {
                    after.sub(&before);
                    self.tree().add_to_node(r, &after);
                }
            }
            _ => {
                self.add_to_client(c, &amounts);
                self.tree().add_to_role(r, &amounts);
            }
        }
    }

    fn add_to_client(&mut self, c: Idx<Client>, change: &Amounts) {
        let Some(client) = self.clients.get_mut(c) else { return };
        client.standing.amounts.add(change);
        if let Some(role) = self.roles.get_mut(client.role) {
            role.order.touch(c, &mut client.standing);
        }
    }

    /// What a client, its role and those above have on an agent, when `resources` hold shared ones: copies of those
    /// count once, so that amounts cannot simply be added.
    fn shared_amounts(&mut self, a: Idx<Agent>, c: Idx<Client>, resources: &Resources) -> Option<SharedAmounts> {
        if !resources.iter().any(|resource| resource.is_shared()) {
            return None;
        }
        let r = self.clients.get(c)?.role;
        let agent = self.agents.get(a)?;
        let client = agent.held_by(c).cloned().unwrap_or_default();
        let leaf: Resources = self.held_in(agent, |role| role == r).sum();
        let mut nodes = Vec::new();
        for node in self.path_to(r) {
            let below: Resources = self.held_in(agent, |role| self.path_to(role).contains(&node)).sum();
            nodes.push((node, below));
        }
        let nodes = nodes.into_iter().map(|(node, below)| (node, self.scalars.amounts(&below))).collect();
        Some(SharedAmounts { client: self.scalars.amounts(&client), leaf: self.scalars.amounts(&leaf), nodes })
    }

    /// What clients in these roles hold on an agent.
    fn held_in<'a>(
        &'a self,
        agent: &'a Agent,
        belongs: impl Fn(Idx<Role>) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Resources> {
        let inside = move |c: Idx<Client>| self.clients.get(c).is_some_and(|client| belongs(client.role));
        agent.held.iter().filter(move |(c, _)| inside(*c)).map(|(_, held)| held)
    }
}

/// Resources by the role they are allocated to; most often there is one.
fn by_role(resources: &Resources) -> Vec<Resources> {
    let role = resources.iter().next().and_then(|resource| resource.allocation_role());
    match resources.iter().all(|resource| resource.allocation_role() == role) {
        true => vec![resources.clone()],
        false => resources.allocations().into_values().collect(),
    }
}

/// What is held on an agent, with each shared resource counted once.
struct SharedAmounts {
    client: Amounts,
    leaf: Amounts,
    nodes: Vec<(Idx<Role>, Amounts)>,
}

fn unallocated_conversion(conversion: &Conversion) -> Conversion {
    Conversion {
        consumed: conversion.consumed.unallocate(),
        converted: conversion.converted.unallocate(),
        gone: conversion.gone.as_ref().map(|resource| resource.with_allocation(None)),
    }
}
