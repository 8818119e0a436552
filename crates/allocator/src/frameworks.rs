//! Frameworks come, change, fall silent and leave; roles exist as long as somebody is in them.

use std::{collections::BTreeMap, sync::Arc};

use model::{AgentId, FrameworkId};
use resources::Resources;
use stdx::Tick;

use crate::{
    allocator::{
        AGENT_FLAGS, Agent, Allocator, Client, Framework, HAS_GPUS, LACKS_HIERARCHICAL_ROLE, LACKS_MULTI_ROLE,
        REMOTE_REGION,
    },
    directory::Idx,
    profile::FrameworkProfile,
    schedule::Urgency,
    standing::Standing,
    tree::level_of,
};

impl Allocator {
    /// A framework subscribes. `used` is what it runs per agent, with allocation; it replaces what agents said before.
    /// Agents that are not known yet are skipped, they bring their use along.
    pub fn add_framework(
        &mut self,
        now: Tick,
        id: &FrameworkId,
        profile: FrameworkProfile,
        used: &BTreeMap<AgentId, Resources>,
    ) {
        let f = self.ensure_framework(id);
        if let Some(framework) = self.frameworks.get_mut(f) {
            framework.known = true;
            framework.active = profile.active;
        }
        self.maintenance.look_at_all();
        self.update_framework(now, id, profile);
        for (agent, resources) in used {
            if let Some(a) = self.agents.find(agent) {
                self.drop_holdings(now, a, Some(f));
                for (role, portion) in resources.allocations() {
                    let c = self.ensure_client(f, &role);
                    self.hold(a, c, &portion.unallocate());
                }
            }
        }
    }

    /// A framework's roles, suppressed roles, capabilities, minimum or constraints may have changed. Roles that it
    /// suppressed until now lose their filters, and its refusals to leave agents are forgotten. Whether it is active is
    /// the business of `activate_framework` and `deactivate_framework`.
    pub fn update_framework(&mut self, now: Tick, id: &FrameworkId, profile: FrameworkProfile) {
        let Some(f) = self.frameworks.find(id).filter(|f| self.frameworks.get(*f).is_some_and(|row| row.known)) else {
            return;
        };
        for role in &profile.roles {
            self.ensure_client(f, role);
        }
        let Some(framework) = self.frameworks.get_mut(f) else { return };
        let recapable = framework.capabilities != profile.capabilities;
        framework.capabilities = profile.capabilities;
        framework.constraints = profile.constraints;
        self.maintenance.forget_refusals(id);
        let Some(framework) = self.frameworks.get(f) else { return };
        for c in framework.clients.clone() {
            let Some(name) = self.role_name(c) else { continue };
            self.update_client(now, c, &name, &profile.roles, &profile.suppressed, &profile.min_allocatable, recapable);
        }
    }

    /// A framework connected: it gets offers again.
    pub fn activate_framework(&mut self, now: Tick, id: &FrameworkId) {
        self.set_framework_active(now, id, true);
    }

    /// A framework disconnected: no offers, its filters are gone, what it holds stays held.
    pub fn deactivate_framework(&mut self, now: Tick, id: &FrameworkId) {
        self.set_framework_active(now, id, false);
        for c in self.clients_of(id) {
            self.drop_filters(c);
        }
    }

    /// A framework is gone. Whatever it still holds comes free.
    pub fn remove_framework(&mut self, now: Tick, id: &FrameworkId) {
        let Some(f) = self.frameworks.find(id) else { return };
        if let Some(framework) = self.frameworks.get_mut(f) {
            framework.known = false;
            framework.active = false;
        }
        for c in self.clients_of(id) {
            if let Some(client) = self.clients.get_mut(c) {
                client.subscribed = false;
            }
            self.relist(now, c);
        }
        for a in self.agent_numbers() {
            self.drop_holdings(now, a, Some(f));
        }
        for c in self.clients_of(id) {
            self.drop_filters(c);
            self.drop_client_if_unused(c);
        }
        self.frameworks.remove(id);
        self.maintenance.forget_framework(id);
        self.timing().schedule_waiting(now);
    }

    /// No more offers for these roles, or for all of them if none is named.
    pub fn suppress(&mut self, now: Tick, id: &FrameworkId, roles: &[String]) {
        for c in self.clients_in(id, roles) {
            if let Some(client) = self.clients.get_mut(c) {
                client.suppressed = true;
            }
            self.relist(now, c);
        }
    }

    /// Offers for these roles again, or for all of them if none is named; their filters are forgotten, and all of the
    /// framework's refusals to leave agents.
    pub fn revive(&mut self, now: Tick, id: &FrameworkId, roles: &[String]) {
        self.maintenance.forget_refusals(id);
        for c in self.clients_in(id, roles) {
            self.drop_filters(c);
            if let Some(client) = self.clients.get_mut(c) {
                client.suppressed = false;
            }
            self.relist(now, c);
            if self.clients.get(c).is_some_and(|client| client.listed) {
                self.timing().mark_client(now, c);
            }
        }
        self.timing().mark_everything(now);
    }

    /// A role's weight; 1 is the default. Weights that are no positive number are refused by whoever reads them.
    pub fn set_weight(&mut self, role: &str, weight: f64) {
        let weight = if weight > 0.0 && weight.is_finite() { weight } else { 1.0 };
        self.weights.insert(role.to_owned(), weight);
        if let Some(r) = self.roles.find(role)
            && let Some(role) = self.roles.get_mut(r)
        {
            role.node.weight = weight;
            if let Some(level) = self.levels.get_mut(level_of(role.parent)) {
                level.touch(r, &mut role.node);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn update_client(
        &mut self,
        now: Tick,
        c: Idx<Client>,
        role: &str,
        roles: &std::collections::BTreeSet<String>,
        suppressed: &std::collections::BTreeSet<String>,
        min_allocatable: &BTreeMap<String, Vec<resources::Quantities>>,
        recapable: bool,
    ) {
        let subscribed = roles.contains(role);
        let Some(client) = self.clients.get_mut(c) else { return };
        let Some(framework) = self.frameworks.get(client.framework) else { return };
        let caps = framework.capabilities;
        let constraints = framework.constraints.as_ref().and_then(|all| all.for_role(role)).cloned();
        let minimum = min_allocatable.get(role).cloned();
        let mut barred_flags = 0;
        for (flag, barred) in [
            (HAS_GPUS, self.config.filter_gpu_resources && !caps.gpu_resources),
            (REMOTE_REGION, !caps.region_aware),
            (LACKS_MULTI_ROLE, caps.multi_role),
            (LACKS_HIERARCHICAL_ROLE, role.contains('/')),
        ] {
            barred_flags |= if barred { flag } else { 0 };
        }
        let reconstrained = client.constraints != constraints;
        let changed = reconstrained || recapable || client.min_allocatable != minimum;
        let suppresses = suppressed.contains(role);
        let revived = client.subscribed && subscribed && client.suppressed && !suppresses;
        client.subscribed = subscribed;
        client.suppressed = suppresses;
        client.barred_flags = barred_flags;
        self.overriding.put(c, minimum.is_some());
        client.min_allocatable = minimum;
        client.constraints = constraints.clone();
        if reconstrained {
            self.constrained.put(c, constraints.is_some());
            for (_, agent) in self.agents.iter_mut() {
                let p = &agent.profile;
                let barred =
                    constraints.as_ref().is_some_and(|rule| !rule.admit(&p.hostname, &p.attributes, p.domain.as_ref()));
                agent.barred.put(c, barred);
            }
        }
        if recapable {
            for (_, agent) in self.agents.iter_mut().filter(|(_, agent)| agent.filters.has_holder(c)) {
                agent.filters.unsettle();
            }
        }
        // A role that is no longer suppressed begins without filters, as if by `revive`.
        if !subscribed || revived {
            self.drop_filters(c);
        }
        self.relist(now, c);
        if changed && self.clients.get(c).is_some_and(|client| client.listed) {
            self.timing().mark_client(now, c);
        }
        if !subscribed {
            self.drop_client_if_unused(c);
        }
    }

    fn set_framework_active(&mut self, now: Tick, id: &FrameworkId, active: bool) {
        let Some(framework) = self.frameworks.find(id).and_then(|f| self.frameworks.get_mut(f)) else { return };
        framework.active = active;
        for c in framework.clients.clone() {
            self.relist(now, c);
        }
        if active {
            self.timing().mark_everything(now);
            self.maintenance.look_at_all();
        }
    }

    /// Makes a client take part or not, as its framework and its own state say.
    pub(crate) fn relist(&mut self, now: Tick, c: Idx<Client>) {
        let Some(client) = self.clients.get_mut(c) else { return };
        let connected = self.frameworks.get(client.framework).is_some_and(|f| f.known && f.active);
        let listed = connected && client.subscribed && !client.suppressed;
        for flags in 0..AGENT_FLAGS {
            if let Some(open) = self.open.get_mut(flags) {
                open.put(c, listed && flags as u8 & client.barred_flags == 0);
            }
        }
        if listed == client.listed {
            return;
        }
        client.listed = listed;
        if let Some(role) = self.roles.get_mut(client.role) {
            role.order.list(c, &mut client.standing, listed);
        }
        let r = client.role;
        self.tree().count_listed(r, listed);
        match listed {
            true => self.timing().mark_client(now, c),
            false => self.look_at_kept(now, c),
        }
    }

    /// Forgets the filters of a client on all agents.
    pub(crate) fn drop_filters(&mut self, c: Idx<Client>) {
        if let Some(epoch) = self.filter_epochs.get_mut(c.at()) {
            *epoch = epoch.wrapping_add(1);
        }
        for (_, agent) in self.agents.iter_mut() {
            agent.filters.forget(c);
            agent.reopened.unset(c);
        }
    }

    pub(crate) fn ensure_framework(&mut self, id: &FrameworkId) -> Idx<Framework> {
        if let Some(f) = self.frameworks.find(id) {
            return f;
        }
        let framework = Framework {
            id: id.clone(),
            known: false,
            active: false,
            capabilities: Default::default(),
            constraints: None,
            clients: Vec::new(),
        };
        self.frameworks.insert(id.clone(), framework)
    }

    pub(crate) fn ensure_client(&mut self, f: Idx<Framework>, role: &str) -> Idx<Client> {
        let r = self.ensure_role(role);
        if let Some(c) = self.clients.find(&(f, r)) {
            return c;
        }
        let name: Arc<str> = self.frameworks.get(f).map_or_else(|| "".into(), |framework| framework.id.as_str().into());
        let client = Client {
            framework: f,
            role: r,
            standing: Standing::new(name, 1.0),
            subscribed: false,
            suppressed: false,
            listed: false,
            min_allocatable: None,
            constraints: None,
            barred_flags: 0,
            holdings: 0,
            granted_in: None,
        };
        let c = self.clients.insert((f, r), client);
        self.groups.enter(c, role);
        if self.filter_epochs.len() <= c.at() {
            self.filter_epochs.resize(c.at() + 1, 0);
        }
        if let Some(framework) = self.frameworks.get_mut(f) {
            framework.clients.push(c);
        }
        if let Some(role) = self.roles.get_mut(r) {
            role.clients.push(c);
            self.room.hungry.put(c, role.consumption.hungry > 0);
            self.room.closed.put(c, role.consumption.closed > 0);
            let (word, bit) = c.bit();
            match role.words.binary_search_by_key(&word, |(w, _)| *w) {
                Ok(at) => role.words[at].1 |= bit,
                Err(at) => role.words.insert(at, (word, bit)),
            }
        }
        c
    }

    /// Removes a client that is neither subscribed nor holds anything; with the last client go its role, and a
    /// framework that never subscribed.
    pub(crate) fn drop_client_if_unused(&mut self, c: Idx<Client>) {
        let Some(client) = self.clients.get(c) else { return };
        if client.subscribed || client.holdings > 0 {
            return;
        }
        let (f, r) = (client.framework, client.role);
        self.drop_filters(c);
        let Some((_, mut client)) = self.clients.remove(&(f, r)) else { return };
        self.groups.leave(c);
        for open in &mut self.open {
            open.unset(c);
        }
        self.overriding.unset(c);
        self.constrained.unset(c);
        self.schedule.clients.unset(c);
        self.room.hungry.unset(c);
        self.room.closed.unset(c);
        if let Some(cycle) = &mut self.cycle {
            cycle.clients.unset(c);
        }
        for (_, agent) in self.agents.iter_mut() {
            agent.barred.unset(c);
        }
        if let Some(framework) = self.frameworks.get_mut(f) {
            framework.clients.retain(|other| *other != c);
            if framework.clients.is_empty() && !framework.known {
                let id = framework.id.clone();
                self.frameworks.remove(&id);
            }
        }
        let Some(role) = self.roles.get_mut(r) else { return };
        role.order.remove(&mut client.standing);
        role.clients.retain(|other| *other != c);
        let (word, bit) = c.bit();
        if let Ok(at) = role.words.binary_search_by_key(&word, |(w, _)| *w) {
            role.words[at].1 &= !bit;
            if role.words[at].1 == 0 {
                role.words.remove(at);
            }
        }
        self.tree().drop_if_unused(r);
    }

    fn clients_of(&self, id: &FrameworkId) -> Vec<Idx<Client>> {
        self.frameworks.find(id).and_then(|f| self.frameworks.get(f)).map_or_else(Vec::new, |f| f.clients.clone())
    }

    /// A framework's clients in these roles; all of them if no role is named.
    fn clients_in(&self, id: &FrameworkId, roles: &[String]) -> Vec<Idx<Client>> {
        let mut clients = self.clients_of(id);
        if !roles.is_empty() {
            clients.retain(|c| self.role_name(*c).is_some_and(|name| roles.iter().any(|role| **role == *name)));
        }
        clients
    }

    pub(crate) fn role_name(&self, c: Idx<Client>) -> Option<Arc<str>> {
        Some(self.roles.get(self.clients.get(c)?.role)?.name.clone())
    }

    pub(crate) fn agent_numbers(&self) -> Vec<Idx<Agent>> {
        self.agents.iter().map(|(a, _)| a).collect()
    }

    /// Frees what a framework (or everybody) holds on an agent.
    pub(crate) fn drop_holdings(&mut self, now: Tick, a: Idx<Agent>, of: Option<Idx<Framework>>) {
        let Some(agent) = self.agents.get(a) else { return };
        let mine =
            |c: &Idx<Client>| of.is_none_or(|f| self.clients.get(*c).is_some_and(|client| client.framework == f));
        let held: Vec<(Idx<Client>, Resources)> = agent.held.iter().filter(|(c, _)| mine(c)).cloned().collect();
        if held.is_empty() {
            return;
        }
        for (c, resources) in held {
            self.release(a, c, &resources);
            self.drop_client_if_unused(c);
        }
        self.timing().mark_agent(now, a, Urgency::Freed);
    }
}
