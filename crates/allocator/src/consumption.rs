//! Who consumes how much of its quota, how much room guarantees still need, and how much is free for them. Kept up to
//! date while there are quotas, and worked out anew when the first one comes.
//!
//! A role consumes what is reserved to its subtree, used or not, and the unreserved that its subtree was offered or
//! uses. It needs what its guarantee, or those below it, promise beyond that. All needs of the top level together are
//! kept free.

use resources::{Name, Quantities, Quantity, Resources};
use smallvec::SmallVec;

use crate::{
    allocator::{Agent, Allocator, Client},
    bits::Set,
    config::Headroom,
    directory::Idx,
    quota::Quota,
    scalars::{Amounts, Scalars},
    tree::Role,
};

/// A quota by positions.
pub(crate) struct QuotaRow {
    pub guarantees: Amounts,
    limits: SmallVec<[Option<i64>; 4]>,
}

impl QuotaRow {
    pub fn new(quota: &Quota, scalars: &mut Scalars) -> QuotaRow {
        let mut row = QuotaRow { guarantees: scalars.of_quantities(&quota.guarantees), limits: SmallVec::new() };
        for (name, bound) in quota.limits.iter() {
            let position = scalars.position(name);
            if row.limits.len() <= position {
                row.limits.resize(position + 1, None);
            }
            if let Some(limit) = row.limits.get_mut(position) {
                *limit = Some(bound.0);
            }
        }
        row
    }

    /// Whether what is left below the limits holds one of the minimum sets.
    fn leaves_enough(&self, consumed: &Amounts, minimum: &[Amounts]) -> bool {
        let left =
            |position| self.limit(position).map_or(i64::MAX, |limit| limit.saturating_sub(consumed.get(position)));
        minimum.is_empty()
            || minimum
                .iter()
                .any(|set| (0..set.len()).all(|position| set.get(position) == 0 || left(position) >= set.get(position)))
    }

    pub fn limit(&self, position: usize) -> Option<i64> {
        self.limits.get(position).copied().flatten()
    }
}

/// What a subtree of roles consumes and needs.
#[derive(Debug, Default)]
pub(crate) struct Consumption {
    pub amounts: Amounts,
    /// What must be kept free for its guarantee and those below it.
    pub need: Amounts,
    /// The sum of what its children need.
    pub children_need: Amounts,
    /// Whether its own guarantee is not met.
    pub unmet: bool,
    /// How many of itself and the roles above it have a guarantee that is not met.
    pub hungry: u32,
    /// Whether its own limit leaves too little for any offer of nothing but what quotas are about.
    pub full: bool,
    /// How many of itself and the roles above it are full.
    pub closed: u32,
    /// Whether it was full and is not any more, since those who wait were woken last.
    pub opened: bool,
    /// Whether it stands in the list of roles that consume less than before.
    pub relaxed: bool,
}

/// What is free for guarantees, and what they need.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub free: Amounts,
    pub required: Amounts,
    /// What is needed less since the cycle began, and is kept free until it ends.
    pub deferred: Amounts,
    /// Agents of which somebody would get more if more were free.
    pub waiting: Set<Agent>,
    /// The least surplus that any of these agents met.
    pub floor: Option<Amounts>,
    /// Clients in roles that have a right to more, by their own guarantee or one above.
    pub hungry: Set<Client>,
    /// Clients in roles that are full, or below such.
    pub closed: Set<Client>,
    /// Agents for which such clients were passed over.
    pub passed_over: Set<Agent>,
}

impl Room {
    /// What may be given beyond guarantees; below zero when guarantees need more than is free.
    pub fn surplus(&self, position: usize) -> i64 {
        let kept = self.required.get(position).saturating_add(self.deferred.get(position));
        self.free.get(position).saturating_sub(kept)
    }

    /// Notes that somebody would have got more of this agent.
    pub fn wait(&mut self, a: Idx<Agent>) {
        self.waiting.set(a);
        self.note_surplus(self.floor.is_none());
    }

    /// Notes the surplus that those who wait meet, after something was given; `first` says that nobody waited before.
    pub fn note_surplus(&mut self, first: bool) {
        if self.floor.is_none() && !first {
            return;
        }
        let positions = self.free.len().max(self.required.len());
        let mut floor = Amounts::default();
        for position in 0..positions {
            let met = self.floor.as_ref().map_or(i64::MAX, |floor| floor.get(position));
            floor.add_at(position, met.min(self.surplus(position)));
        }
        self.floor = Some(floor);
    }

    /// Whether there is more than the waiting agents met.
    pub fn has_grown(&self) -> bool {
        let positions = self.free.len().max(self.required.len());
        self.floor.as_ref().is_some_and(|floor| (0..positions).any(|at| self.surplus(at) > floor.get(at)))
    }
}

/// Whether anything waits for room.
pub(crate) fn is_anybody_waiting(relaxed: &[Idx<Role>], room: &Room) -> bool {
    room.floor.is_some() || !relaxed.is_empty()
}

impl Allocator {
    pub(crate) fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// Adds to what a subtree, and all above it, consume.
    pub(crate) fn charge(&mut self, r: Idx<Role>, change: &Amounts) {
        if change.is_zero() {
            return;
        }
        let less = change.iter().any(|amount| amount < 0);
        let mut next = Some(r);
        while let Some(role) = next.and_then(|r| self.roles.get_mut(r)) {
            role.consumption.amounts.add(change);
            if less && role.quota.is_some() && !std::mem::replace(&mut role.consumption.relaxed, true) {
                self.relaxed.extend(next);
            }
            next = role.parent;
        }
        self.settle_needs(r);
    }

    /// Works out what a role and those above it need.
    pub(crate) fn settle_needs(&mut self, r: Idx<Role>) {
        let mut next = Some(r);
        while let Some(r) = next {
            let Some(role) = self.roles.get_mut(r) else { return };
            let consumption = &mut role.consumption;
            let mut change = Amounts::default();
            let mut unmet = false;
            let guarantees = role.quota.as_ref().map(|quota| &quota.guarantees);
            let positions =
                guarantees.map_or(0, Amounts::len).max(consumption.children_need.len()).max(consumption.need.len());
            for position in 0..positions {
                let consumed = consumption.amounts.get(position);
                let own = guarantees.map_or(0, |g| g.get(position).saturating_sub(consumed).max(0));
                unmet |= own > 0;
                // What does not fit below the limit cannot be given, and is not kept free.
                let limit = role.quota.as_ref().and_then(|quota| quota.limit(position)).unwrap_or(i64::MAX);
                let below = consumption.children_need.get(position).min(limit.saturating_sub(consumed).max(0));
                change.add_at(position, own.max(below) - consumption.need.get(position));
            }
            consumption.need.add(&change);
            let full =
                role.quota.as_ref().is_some_and(|quota| !quota.leaves_enough(&consumption.amounts, &self.minimum));
            let filled = std::mem::replace(&mut consumption.full, full) != full;
            consumption.opened |= filled && !full;
            let turned = std::mem::replace(&mut consumption.unmet, unmet) != unmet;
            next = role.parent;
            match next.and_then(|parent| self.roles.get_mut(parent)) {
                Some(parent) => parent.consumption.children_need.add(&change),
                None => self.room.required.add(&change),
            }
            if turned {
                self.turn(r, unmet, |consumption| &mut consumption.hungry, |room| &mut room.hungry);
            }
            if filled {
                self.turn(r, full, |consumption| &mut consumption.closed, |room| &mut room.closed);
            }
        }
    }

    /// Something holds now for a role and all below it, or no longer: counts it, and notes the clients for which it
    /// does.
    fn turn(
        &mut self,
        r: Idx<Role>,
        on: bool,
        count: fn(&mut Consumption) -> &mut u32,
        noted: fn(&mut Room) -> &mut Set<Client>,
    ) {
        let mut roles = vec![r];
        while let Some(role) = roles.pop().and_then(|r| self.roles.get_mut(r)) {
            let count = count(&mut role.consumption);
            *count = if on { *count + 1 } else { count.saturating_sub(1) };
            for c in &role.clients {
                noted(&mut self.room).put(*c, *count > 0);
            }
            if self.config.nested_quota {
                roles.extend(&role.children);
            }
        }
    }

    /// Books what changed of what is available on an agent: free for guarantees, and reserved but idle.
    pub(crate) fn settle_available(&mut self, a: Idx<Agent>) {
        let has_quotas = self.has_quotas();
        let Some(agent) = self.agents.get_mut(a) else { return };
        if has_quotas {
            let counts = self.config.headroom == Headroom::Everything || agent.is_offerable();
            let free = if counts { self.scalars.charge(&agent.available) } else { Amounts::default() };
            if free != agent.free {
                self.room.free.sub(&agent.free);
                self.room.free.add(&free);
                agent.free = free;
            }
        }
        if self.config.idle_reservations_count {
            self.settle_idle(a);
        }
    }

    /// Books reservations that nobody uses for the roles they are for.
    fn settle_idle(&mut self, a: Idx<Agent>) {
        let Some(agent) = self.agents.get(a) else { return };
        let any = agent.available.iter().any(|r| !r.is_unreserved() && !r.is_shared());
        if !any && agent.idle.is_empty() {
            return;
        }
        let idle = self.by_reservation(&agent.available.non_shared());
        let Some(agent) = self.agents.get_mut(a) else { return };
        let before = std::mem::replace(&mut agent.idle, idle.clone());
        for (r, mut amounts) in before {
            amounts.negate();
            self.tree().add_to_role(r, &amounts);
        }
        for (r, amounts) in idle {
            self.tree().add_to_role(r, &amounts);
        }
    }

    /// Books what is reserved on an agent, used or not, which makes roles as needed. Returns what was booked before;
    /// its roles may be of no use any more.
    pub(crate) fn settle_reserved(&mut self, a: Idx<Agent>) -> Vec<(Idx<Role>, Amounts)> {
        let Some(agent) = self.agents.get(a) else { return Vec::new() };
        if agent.reserved.is_empty() && agent.total.iter().all(|r| r.is_unreserved()) {
            return Vec::new();
        }
        let total = agent.total.clone();
        for name in total.iter().filter_map(|r| r.reservation_role()) {
            self.ensure_role(name);
        }
        let reserved = self.by_reservation(&total);
        let Some(agent) = self.agents.get_mut(a) else { return Vec::new() };
        let before = std::mem::replace(&mut agent.reserved, reserved.clone());
        let has_quotas = self.has_quotas();
        for (r, amounts) in &reserved {
            if let Some(role) = self.roles.get_mut(*r) {
                role.reserving_agents += 1;
            }
            // As one change, so that what stays reserved does not look as if it had been freed.
            let mut change = amounts.clone();
            if let Some((_, old)) = before.iter().find(|(other, _)| other == r) {
                change.sub(old);
            }
            if has_quotas {
                self.charge(*r, &change);
            }
        }
        for (r, amounts) in &before {
            if let Some(role) = self.roles.get_mut(*r) {
                role.reserving_agents = role.reserving_agents.saturating_sub(1);
            }
            if has_quotas && !reserved.iter().any(|(other, _)| other == r) {
                let mut change = amounts.clone();
                change.negate();
                self.charge(*r, &change);
            }
        }
        before
    }

    /// Books reservations that were made or taken back; returns roles that this agent has nothing reserved for any
    /// more.
    pub(crate) fn settle_reserved_change(
        &mut self,
        a: Idx<Agent>,
        consumed: &Resources,
        converted: &Resources,
    ) -> Vec<Idx<Role>> {
        for name in converted.iter().filter_map(|r| r.reservation_role()) {
            self.ensure_role(name);
        }
        let mut changes = self.by_reservation(converted);
        for (r, amounts) in self.by_reservation(consumed) {
            match changes.binary_search_by_key(&r, |(r, _)| *r) {
                Ok(at) => changes[at].1.sub(&amounts),
                Err(at) => {
                    changes.insert(at, (r, Amounts::default()));
                    changes[at].1.sub(&amounts);
                }
            }
        }
        let mut unused = Vec::new();
        for (r, change) in changes {
            let (Some(agent), Some(role)) = (self.agents.get_mut(a), self.roles.get_mut(r)) else { continue };
            match agent.reserved.binary_search_by_key(&r, |(r, _)| *r) {
                Ok(at) => {
                    agent.reserved[at].1.add(&change);
                    let none = agent.reserved[at].1.is_zero();
                    if none && !agent.total.iter().any(|resource| resource.is_reserved_to(&role.name)) {
                        agent.reserved.remove(at);
                        role.reserving_agents = role.reserving_agents.saturating_sub(1);
                        unused.push(r);
                    }
                }
                Err(at) => {
                    agent.reserved.insert(at, (r, change.clone()));
                    role.reserving_agents += 1;
                }
            }
            if self.has_quotas() {
                self.charge(r, &change);
            }
        }
        unused
    }

    /// Scalars by the role they are reserved to.
    fn by_reservation(&mut self, resources: &Resources) -> Vec<(Idx<Role>, Amounts)> {
        let mut sums: Vec<(Idx<Role>, Amounts)> = Vec::new();
        for resource in resources {
            let Some(r) = resource.reservation_role().and_then(|name| self.roles.find(name)) else { continue };
            let at = match sums.binary_search_by_key(&r, |(r, _)| *r) {
                Ok(at) => at,
                Err(at) => {
                    sums.insert(at, (r, Amounts::default()));
                    at
                }
            };
            if let (Some(scalar), Some((_, amounts))) = (resource.scalar(), sums.get_mut(at)) {
                amounts.add_at(self.scalars.position(resource.name()), scalar.0);
            }
        }
        sums
    }

    /// Works out everything about quotas from the facts.
    pub(crate) fn recount_consumption(&mut self) {
        self.room = Room::default();
        self.relaxed.clear();
        for (_, role) in self.roles.iter_mut() {
            role.consumption = Consumption::default();
            role.waiting.clear();
        }
        if !self.has_quotas() {
            return;
        }
        let mut charges: Vec<(Idx<Role>, Amounts)> = Vec::new();
        for a in self.agent_numbers() {
            let Some(agent) = self.agents.get_mut(a) else { continue };
            agent.free = Amounts::default();
            charges.extend(agent.reserved.iter().cloned());
            for (c, held) in &agent.held {
                if let Some(client) = self.clients.get(*c) {
                    charges.push((client.role, self.scalars.charge(held)));
                }
            }
            self.settle_available(a);
        }
        for (r, amounts) in charges {
            let mut next = Some(r);
            while let Some(role) = next.and_then(|r| self.roles.get_mut(r)) {
                role.consumption.amounts.add(&amounts);
                next = role.parent;
            }
        }
        for r in self.role_numbers() {
            self.settle_needs(r);
        }
    }

    pub(crate) fn role_numbers(&self) -> Vec<Idx<Role>> {
        self.roles.iter().map(|(r, _)| r).collect()
    }

    /// What counts against a role's quota: scalars that are reserved to it or to roles below it, used or not, and
    /// unreserved ones that frameworks in these roles were offered or use.
    pub fn quota_consumption(&self, role: &str) -> Quantities {
        if self.has_quotas() {
            let role = self.roles.find(role).and_then(|r| self.roles.get(r));
            return role.map(|role| self.scalars.quantities(&role.consumption.amounts)).unwrap_or_default();
        }
        let mut consumed = Quantities::default();
        let below = |name: &str| name == role || resources::role::is_strict_subrole_of(name, role);
        for (_, agent) in self.agents.iter() {
            consumed += &agent.total.reserved_in_subtree(role).scalar_quantities();
            for (c, held) in &agent.held {
                if self.role_name(*c).is_some_and(|name| below(&name)) {
                    consumed += &held.filter(|r| r.is_unreserved() && !r.is_revocable()).scalar_quantities();
                }
            }
        }
        consumed
    }
}

impl Scalars {
    /// What these amounts are called.
    pub fn quantities(&self, amounts: &Amounts) -> Quantities {
        let named = |(position, amount): (usize, i64)| Some((self.name(position)?, Quantity(amount)));
        amounts.iter().enumerate().filter_map(named).collect::<Vec<(Name, Quantity)>>().into_iter().collect()
    }
}
