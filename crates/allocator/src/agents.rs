//! Agents come, change and leave.

use std::collections::{BTreeMap, BTreeSet};

use model::{AgentId, FrameworkId, capabilities::fault_domain};
use resources::Resources;
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, HAS_GPUS, LACKS_HIERARCHICAL_ROLE, LACKS_MULTI_ROLE, REMOTE_REGION},
    bits::Set,
    directory::{Idx, hash_text},
    filters::Filters,
    profile::AgentProfile,
    scalars::Amounts,
    schedule::Urgency,
};

impl Allocator {
    /// An agent registers with what it has and what runs on it, by framework and with allocation. Frameworks that are
    /// not known yet are counted, and recognised when they come back.
    pub fn add_agent(
        &mut self,
        now: Tick,
        id: &AgentId,
        profile: AgentProfile,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) {
        self.remove_agent(now, id);
        let agent = Agent {
            id: id.clone(),
            id_hash: hash_text(id.as_str()),
            whitelisted: self.whitelist.as_ref().is_none_or(|list| list.contains(&profile.hostname)),
            profile,
            flags: 0,
            total: Resources::EMPTY,
            total_amounts: Amounts::default(),
            available: Resources::EMPTY,
            overcommitted: false,
            has_shared: false,
            held: Vec::new(),
            barred: Set::default(),
            filters: Filters::default(),
            expiry: None,
            dirty: false,
            reopened: Set::default(),
            queued: false,
            last_grant: None,
            shared_offered: (0, Resources::EMPTY),
            last_winner: None,
            free: Amounts::default(),
            reserved: Vec::new(),
            idle: Vec::new(),
        };
        let a = self.agents.insert(id.clone(), agent);
        self.set_total(a, total);
        self.classify(a);
        for (framework, resources) in used {
            let f = self.ensure_framework(framework);
            for (role, portion) in resources.allocations() {
                let c = self.ensure_client(f, &role);
                self.hold(a, c, &portion.unallocate());
            }
        }
        self.end_recovery_if_over(now);
        self.timing().mark_agent(now, a, Urgency::Event);
    }

    /// An agent has other resources now: oversubscribed ones, another configuration, or an operation's outcome.
    pub fn update_agent_total(&mut self, now: Tick, id: &AgentId, total: Resources) {
        let Some(a) = self.agents.find(id) else { return };
        if self.agents.get(a).is_some_and(|agent| agent.total == total) {
            return;
        }
        self.set_total(a, total);
        self.classify(a);
        self.timing().mark_agent(now, a, Urgency::Event);
    }

    /// An agent came back with another hostname, attributes, domain or capabilities. New attributes end all its
    /// filters.
    pub fn update_agent_profile(&mut self, now: Tick, id: &AgentId, profile: AgentProfile) {
        let Some(a) = self.agents.find(id) else { return };
        let whitelisted = self.whitelist.as_ref().is_none_or(|list| list.contains(&profile.hostname));
        let Some(agent) = self.agents.get_mut(a) else { return };
        if agent.profile.attributes != profile.attributes {
            agent.filters.clear();
            if let Some(expiry) = agent.expiry.take() {
                self.expiries.remove(&(expiry, a));
            }
        }
        agent.profile = profile;
        agent.whitelisted = whitelisted;
        self.classify(a);
        self.settle_available(a);
        self.timing().mark_agent(now, a, Urgency::Event);
    }

    /// An agent reconnected or was reactivated: its resources are offered again, with the next batch in Mesos's mode.
    pub fn activate_agent(&mut self, now: Tick, id: &AgentId) {
        self.set_agent_active(now, id, true);
    }

    /// An agent disconnected or was deactivated: nothing of it is offered; what is held stays held.
    pub fn deactivate_agent(&mut self, now: Tick, id: &AgentId) {
        self.set_agent_active(now, id, false);
    }

    /// An agent is gone, and with it whatever was held there.
    pub fn remove_agent(&mut self, now: Tick, id: &AgentId) {
        let Some(a) = self.agents.find(id) else { return };
        let held = self.agents.get(a).map(|agent| agent.held.clone()).unwrap_or_default();
        for (c, resources) in held {
            self.release(a, c, &resources);
            self.drop_client_if_unused(c);
        }
        self.set_total(a, Resources::EMPTY);
        let queued = self.agents.get(a).is_some_and(|agent| agent.queued);
        if let Some((_, agent)) = self.agents.remove(id)
            && let Some(expiry) = agent.expiry
        {
            self.expiries.remove(&(expiry, a));
        }
        self.maintenance.forget_agent(a);
        self.return_units(now, a, &[]);
        self.groups.forget(a);
        self.wake_groups(now);
        self.room.waiting.unset(a);
        self.room.passed_over.unset(a);
        for (_, role) in self.roles.iter_mut() {
            role.waiting.unset(a);
        }
        self.schedule.urgent.remove(&a);
        if queued {
            self.schedule.agents.retain(|other| *other != a);
        }
        if let Some(cycle) = &mut self.cycle {
            cycle.forget(a);
        }
        self.timing().schedule_waiting(now);
    }

    /// Only agents with these hostnames are offered; `None` means all.
    pub fn set_whitelist(&mut self, now: Tick, whitelist: Option<BTreeSet<String>>) {
        self.whitelist = whitelist;
        for a in self.agent_numbers() {
            let Some(agent) = self.agents.get_mut(a) else { continue };
            let whitelisted = self.whitelist.as_ref().is_none_or(|list| list.contains(&agent.profile.hostname));
            if std::mem::replace(&mut agent.whitelisted, whitelisted) != whitelisted {
                self.settle_available(a);
                if whitelisted {
                    self.timing().mark_agent(now, a, Urgency::Freed);
                }
            }
        }
    }

    fn set_agent_active(&mut self, now: Tick, id: &AgentId, active: bool) {
        let Some(a) = self.agents.find(id) else { return };
        let Some(agent) = self.agents.get_mut(a) else { return };
        if std::mem::replace(&mut agent.profile.active, active) != active {
            self.settle_available(a);
            if active {
                self.timing().mark_agent(now, a, Urgency::Freed);
            }
        }
    }

    pub(crate) fn set_total(&mut self, a: Idx<Agent>, total: Resources) {
        let amounts = self.scalars.amounts(&total);
        let Some(agent) = self.agents.get_mut(a) else { return };
        if agent.total_amounts != amounts {
            self.totals.amounts.sub(&agent.total_amounts);
            self.totals.amounts.add(&amounts);
            self.totals.epoch += 1;
            agent.total_amounts = amounts;
        }
        agent.total = total;
        agent.count_available();
        let reserved_before = self.settle_reserved(a);
        self.settle_available(a);
        for (r, _) in reserved_before {
            self.tree().drop_if_unused(r);
        }
    }

    /// Turns some of what is available, and of the total, into something else. With very many resources on an agent it
    /// matters that only the difference is looked at.
    pub(crate) fn convert_available(&mut self, a: Idx<Agent>, consumed: &Resources, converted: &Resources) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        let any_shared = consumed.iter().chain(converted).any(|resource| resource.is_shared());
        if any_shared || agent.overcommitted || !agent.available.contains(consumed) || !agent.total.contains(consumed) {
            let total = agent.total.clone() - consumed + converted;
            self.set_total(a, total);
            return;
        }
        agent.total -= consumed;
        agent.total += converted;
        agent.available -= consumed;
        agent.available += converted;
        let mut change = self.scalars.amounts(converted);
        change.sub(&self.scalars.amounts(consumed));
        if !change.is_zero() {
            agent.total_amounts.add(&change);
            self.totals.amounts.add(&change);
            self.totals.epoch += 1;
        }
        let unused = self.settle_reserved_change(a, consumed, converted);
        self.settle_available(a);
        for r in unused {
            self.tree().drop_if_unused(r);
        }
    }

    /// Works out who may never be offered this agent.
    fn classify(&mut self, a: Idx<Agent>) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        let profile = &agent.profile;
        self.groups.classify(a, profile);
        let region = fault_domain(profile.domain.as_ref()).map(|(region, _)| region);
        let remote = matches!((&self.config.region, region), (Some(ours), Some(theirs)) if ours != theirs);
        let mut flags = 0;
        for (flag, on) in [
            (HAS_GPUS, agent.total.gpus().is_some_and(|gpus| gpus.is_positive())),
            (REMOTE_REGION, remote),
            (LACKS_MULTI_ROLE, !profile.capabilities.multi_role),
            (LACKS_HIERARCHICAL_ROLE, !profile.capabilities.hierarchical_role),
        ] {
            flags |= if on { flag } else { 0 };
        }
        agent.flags = flags;
        for c in self.constrained.iter() {
            let rule = self.clients.get(c).and_then(|client| client.constraints.as_ref());
            let admitted =
                rule.is_none_or(|rule| rule.admit(&profile.hostname, &profile.attributes, profile.domain.as_ref()));
            agent.barred.put(c, !admitted);
        }
    }
}
