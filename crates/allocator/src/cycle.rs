//! One allocation cycle: the agents where something changed, in random order; on each the roles in their order, in each role
//! the frameworks in theirs; whoever may have something gets all of the agent that it may have.
//!
//! A pair of agent and client that got nothing gets nothing again until one of them changes, because what is available on
//! an agent only shrinks during a cycle. So only these need a look: dirty agents with all clients, changed clients with
//! all agents, and pairs whose filter ended.

use std::cmp::Ordering;

use resources::{Quantities, Resources};
use smallvec::SmallVec;
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, LastGrant},
    bits::{Bits, ones},
    config::{Budget, SorterKind},
    directory::scramble,
    groups::Share,
    profile::Grant,
};

/// A cycle under way.
pub(crate) struct Cycle {
    /// The agents that are still to come, the next one last.
    pub queue: Vec<u32>,
    /// Clients that are tried on every agent.
    pub clients: Bits,
    pub seed: u64,
}

/// Up to so many candidates are sorted by themselves; with more, the order of all is walked.
const FEW: u32 = 24;

impl Allocator {
    /// Hands out what is due. Stops when the budget is used up; `next_deadline` then asks for another call.
    pub fn allocate(&mut self, now: Tick, budget: Budget) -> Vec<Grant> {
        let mut grants = Vec::new();
        self.end_recovery_if_over(now);
        if self.is_recovering() {
            return grants;
        }
        if self.cycle.is_none() {
            self.cycle = self.begin(now);
        }
        let Some(mut cycle) = self.cycle.take() else { return grants };
        let mut steps = 0usize;
        while let Some(a) = cycle.queue.pop() {
            steps = steps.saturating_add(self.consider(now, a, &cycle, &mut grants));
            self.look_again_at_shared(now, a);
            if steps >= budget.steps && !cycle.queue.is_empty() {
                self.cycle = Some(cycle);
                break;
            }
        }
        grants
    }

    /// Begins a cycle if one is due.
    fn begin(&mut self, now: Tick) -> Option<Cycle> {
        let due = |at: Option<Tick>| at.is_some_and(|at| at <= now);
        #[cfg(test)]
        {
            self.last_run = Some(crate::oracle::Run { cutoff: now, ..Default::default() });
        }
        if !self.config.event_driven {
            let expiry = self.expiries.first().map(|(deadline, _)| self.tick_after(*deadline));
            let batch = [self.schedule.batch_at, expiry].into_iter().flatten().min();
            if let Some(batch) = batch.filter(|batch| *batch <= now) {
                // Filters that end exactly with the batch, or while it was late, outlive it.
                let cutoff = Tick(batch.0.saturating_sub(1));
                #[cfg(test)]
                {
                    self.last_run = Some(crate::oracle::Run { cutoff, ..Default::default() });
                }
                self.expire_until(cutoff, now);
                return self.begin_everywhere(now);
            }
            if due(self.schedule.urgent_at) && !due(self.schedule.all_at) {
                self.expire_until(now, now);
                return self.begin_urgent(now);
            }
        }
        if self.next_deadline().is_none_or(|(deadline, _)| deadline > now) {
            return None;
        }
        self.expire_until(now, now);
        if due(self.schedule.all_at) || due(self.schedule.batch_at) { self.begin_everywhere(now) } else { None }
    }

    fn begin_everywhere(&mut self, now: Tick) -> Option<Cycle> {
        let clients = std::mem::take(&mut self.schedule.clients);
        self.schedule.all_at = None;
        self.schedule.batch_at = None;
        self.schedule.urgent_at = None;
        self.schedule.urgent.clear();
        let mut queue = std::mem::take(&mut self.schedule.agents);
        for a in &queue {
            if let Some(agent) = self.agents.get_mut(*a) {
                agent.queued = false;
            }
        }
        if !clients.is_empty() {
            let free = |agent: &Agent| agent.is_offerable() && (agent.has_shared || !agent.available.is_empty());
            queue.extend(self.agents.iter().filter(|(_, agent)| free(agent)).map(|(a, _)| a));
        }
        self.start(now, queue, clients)
    }

    /// Looks only at agents that are new or changed, as Mesos does between batches.
    fn begin_urgent(&mut self, now: Tick) -> Option<Cycle> {
        self.schedule.urgent_at = None;
        let urgent = std::mem::take(&mut self.schedule.urgent);
        self.schedule.agents.retain(|a| !urgent.contains(a));
        for a in &urgent {
            if let Some(agent) = self.agents.get_mut(*a) {
                agent.queued = false;
            }
        }
        #[cfg(test)]
        if let Some(run) = &mut self.last_run {
            run.only = Some(urgent.iter().filter_map(|a| Some(self.agents.get(*a)?.id.clone())).collect());
        }
        self.start(now, urgent.into_iter().collect(), Bits::default())
    }

    fn start(&mut self, now: Tick, mut queue: Vec<u32>, clients: Bits) -> Option<Cycle> {
        self.cycles += 1;
        let seed = scramble(self.cycles, self.seed);
        #[cfg(test)]
        if let Some(run) = &mut self.last_run {
            run.seed = seed;
            run.began = true;
        }
        // A place by lot for each agent, the same whoever else takes part.
        let mut lots: Vec<(u64, u32)> =
            queue.drain(..).filter_map(|a| Some((scramble(self.agents.get(a)?.id_hash, seed), a))).collect();
        lots.sort_unstable_by(|a, b| b.cmp(a));
        lots.dedup();
        queue.extend(lots.into_iter().map(|(_, a)| a));
        self.compete(now, &queue, &clients, seed);
        (!queue.is_empty()).then_some(Cycle { queue, clients, seed })
    }

    /// Offers one agent to whoever comes first. Returns the steps it took.
    fn consider(&mut self, now: Tick, a: u32, cycle: &Cycle, grants: &mut Vec<Grant>) -> usize {
        let Some(agent) = self.agents.get(a) else { return 0 };
        let free = agent.is_offerable() && (agent.has_shared || !agent.available.is_empty());
        let plain = agent.is_plain();
        if free {
            self.judge(a, plain);
        }
        let Some(agent) = self.agents.get_mut(a) else { return 0 };
        let everyone = std::mem::take(&mut agent.dirty);
        let reopened = std::mem::take(&mut agent.reopened);
        if !free {
            return 1;
        }
        let Some(agent) = self.agents.get(a) else { return 1 };
        let enough = is_allocatable(&self.config.min_allocatable, &agent.available);
        let candidates = self.candidates(agent, enough, (!everyone).then_some((&cycle.clients, &reopened)));
        let mut visit = Visit { a, plain, enough, seed: cycle.seed, granted: false, steps: 1, share: Share::All };
        for share in self.shares(a, agent) {
            visit.share = share;
            let mut count = 0;
            let mut words: SmallVec<[u64; 32]> = SmallVec::new();
            for (index, word) in candidates.iter().enumerate() {
                let word = word & self.mask(a, share, index);
                count += word.count_ones();
                words.push(word);
            }
            let (roles, frameworks) = self.sorters(share);
            if count == 0 {
                continue;
            }
            if count <= FEW || [roles, frameworks].contains(&SorterKind::Random) {
                self.walk_few(&words, &mut visit, grants);
            } else {
                self.walk_all(&words, &mut visit, grants);
            }
        }
        self.return_units(now, a, &candidates);
        visit.steps
    }

    /// Clients that could be offered something of an agent whose filters are judged; `only` those of either set, if given.
    pub(crate) fn candidates(&self, agent: &Agent, enough: bool, only: Option<(&Bits, &Bits)>) -> SmallVec<[u64; 32]> {
        let mut words = SmallVec::new();
        let Some(open) = self.open.get(usize::from(agent.flags)) else { return words };
        for index in 0..open.words() {
            let mut word = open.word(index) & !agent.filters.covered().word(index) & !agent.barred.word(index);
            if let Some((clients, reopened)) = only {
                word &= clients.word(index) | reopened.word(index);
            }
            if !enough {
                word &= self.overriding.word(index);
            }
            words.push(word);
        }
        words
    }

    /// A shared resource goes out once in a cycle; the next batch may offer it to somebody else.
    fn look_again_at_shared(&mut self, now: Tick, a: u32) {
        if self.agents.get(a).is_some_and(|agent| agent.has_shared && agent.shared_offered.0 == self.cycles) {
            self.mark_agent_for_batch(now, a);
        }
    }

    /// Works out whose filters hide the agent.
    pub(crate) fn judge(&mut self, a: u32, plain: bool) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        let mut filters = std::mem::take(&mut agent.filters);
        if let Some(agent) = self.agents.get(a) {
            filters.judge(&agent.available, plain, &self.filter_epochs, |c, refused| {
                refused.contains(&self.portion(agent, c, false))
            });
        }
        if let Some(agent) = self.agents.get_mut(a) {
            agent.filters = filters;
        }
    }

    /// Tries candidates sorted by themselves.
    fn walk_few(&mut self, words: &[u64], visit: &mut Visit, grants: &mut Vec<Grant>) {
        self.refresh_roles();
        let mut candidates: SmallVec<[u32; FEW as usize]> = SmallVec::new();
        for (index, word) in words.iter().enumerate() {
            candidates.extend(ones(*word).map(|bit| index as u32 * 64 + bit));
        }
        for &c in &candidates {
            if let Some(r) = self.clients.get(c).map(|client| client.role) {
                self.refresh_clients(r);
            }
        }
        if candidates.len() > 1 {
            let seed = self.agents.get(visit.a).map_or(0, |agent| draw_seed(agent.id_hash, visit.seed));
            let sorters = self.sorters(visit.share);
            candidates.sort_by(|x, y| self.compare(*x, *y, sorters, seed));
        }
        for c in candidates {
            if self.offer_to(c, visit, grants) {
                return;
            }
        }
    }

    /// Tries candidates in the order of all roles and all their frameworks.
    fn walk_all(&mut self, words: &[u64], visit: &mut Visit, grants: &mut Vec<Grant>) {
        self.refresh_roles();
        // Granting only notes that orders are stale, so they can be walked outside of their place meanwhile.
        let roles = std::mem::take(&mut self.role_order.places);
        'roles: for place in &roles {
            let r = place.node;
            let Some(role) = self.roles.get(r) else { continue };
            let mut count = 0;
            for &(index, mask) in &role.words {
                count += (words.get(index as usize).copied().unwrap_or(0) & mask).count_ones();
            }
            if count == 0 {
                continue;
            }
            self.refresh_clients(r);
            let Some(role) = self.roles.get_mut(r) else { continue };
            let frameworks = std::mem::take(&mut role.order.places);
            let mut done = false;
            for place in &frameworks {
                let c = place.node;
                if words.get(c as usize / 64).copied().unwrap_or(0) >> (c % 64) & 1 == 0 {
                    continue;
                }
                done = self.offer_to(c, visit, grants);
                count -= 1;
                if done || count == 0 {
                    break;
                }
            }
            if let Some(role) = self.roles.get_mut(r) {
                role.order.places = frameworks;
            }
            if done {
                break 'roles;
            }
        }
        self.role_order.places = roles;
    }

    /// The order of two candidates: by their roles, then within the role.
    fn compare(&self, x: u32, y: u32, (roles, frameworks): (SorterKind, SorterKind), seed: u64) -> Ordering {
        let (Some(cx), Some(cy)) = (self.clients.get(x), self.clients.get(y)) else { return Ordering::Equal };
        let (Some(rx), Some(ry)) = (self.roles.get(cx.role), self.roles.get(cy.role)) else { return Ordering::Equal };
        let by_role = match roles {
            _ if cx.role == cy.role => Ordering::Equal,
            SorterKind::Drf => rx.standing.key().cmp(&ry.standing.key()),
            SorterKind::Random => rx.standing.lot(seed).total_cmp(&ry.standing.lot(seed)),
        };
        by_role.then_with(|| match frameworks {
            SorterKind::Drf => cx.standing.key().cmp(&cy.standing.key()),
            SorterKind::Random => cx.standing.lot(seed).total_cmp(&cy.standing.lot(seed)),
        })
    }

    /// Grants a client what it may have of the agent. True when nothing is left for anybody.
    fn offer_to(&mut self, c: u32, visit: &mut Visit, grants: &mut Vec<Grant>) -> bool {
        visit.steps += 1;
        let Some(agent) = self.agents.get(visit.a) else { return true };
        let Some(client) = self.clients.get(c) else { return false };
        let portion = if visit.plain { agent.available.clone() } else { self.portion(agent, c, true) };
        let portion = self.part(visit.a, agent, portion, visit.share);
        let whole = visit.plain && visit.share == Share::All;
        let allocatable = match &client.min_allocatable {
            None if whole && !visit.granted => visit.enough,
            None => is_allocatable(&self.config.min_allocatable, &portion),
            Some(minimum) => is_allocatable(minimum, &portion),
        };
        if portion.is_empty() || !allocatable {
            return false;
        }
        // Filters were judged for all that was free; they may cover what is left of it, or a group's part.
        if (visit.granted || visit.share != Share::All) && agent.filters.hides(c, &portion, &self.filter_epochs) {
            return false;
        }
        visit.granted = true;
        self.spend(visit.a, visit.share, &portion);
        self.grant(visit.a, c, portion, grants);
        self.agents.get(visit.a).is_none_or(|agent| agent.available.is_empty() && !agent.has_shared)
    }

    fn grant(&mut self, a: u32, c: u32, portion: Resources, grants: &mut Vec<Grant>) {
        let Some(client) = self.clients.get(c) else { return };
        let (f, r) = (client.framework, client.role);
        let group = self.group_of_grant(c);
        let (Some(framework), Some(role)) = (self.frameworks.get(f), self.roles.get(r)) else { return };
        let Some(agent) = self.agents.get_mut(a) else { return };
        let resources = match &agent.last_grant {
            Some(last) if last.role == role.name && last.portion == portion => last.allocated.clone(),
            _ => {
                let allocated = portion.allocate(&role.name);
                let amounts = self.scalars.amounts(&portion);
                agent.last_grant = Some(LastGrant {
                    role: role.name.clone(),
                    portion: portion.clone(),
                    allocated: allocated.clone(),
                    amounts,
                });
                allocated
            }
        };
        if agent.has_shared {
            let shared = portion.shared();
            if agent.shared_offered.0 != self.cycles {
                agent.shared_offered = (self.cycles, Resources::EMPTY);
            }
            agent.shared_offered.1 += &shared;
        }
        grants.push(Grant {
            framework: framework.id.clone(),
            role: role.name.clone(),
            agent: agent.id.clone(),
            resources,
            group,
        });
        self.hold(a, c, &portion);
    }

    /// What a client could be offered of an agent: the unreserved, what is reserved to its role and those above, without what
    /// its framework cannot cope with, and with `once`, without the shared resources that went out in this cycle.
    fn portion(&self, agent: &Agent, c: u32, once: bool) -> Resources {
        let Some(client) = self.clients.get(c) else { return Resources::EMPTY };
        let (Some(framework), Some(role)) = (self.frameworks.get(client.framework), self.roles.get(client.role)) else {
            return Resources::EMPTY;
        };
        let caps = &framework.capabilities;
        let offered_before = (once && agent.shared_offered.0 == self.cycles).then_some(&agent.shared_offered.1);
        agent.available.filter(|resource| {
            resource.is_allocatable_to(&role.name)
                && (caps.shared_resources || !resource.is_shared())
                && (caps.revocable_resources || !resource.is_revocable())
                && (caps.reservation_refinement || !resource.has_refined_reservations())
                && !(resource.is_shared() && offered_before.is_some_and(|shared| shared.contains_one(resource)))
        })
    }
}

/// The seed of the random sorters' draw for one agent.
pub(crate) fn draw_seed(agent_hash: u64, cycle_seed: u64) -> u64 {
    scramble(agent_hash.rotate_left(17), cycle_seed)
}

/// One agent on offer.
struct Visit {
    a: u32,
    plain: bool,
    /// Whether the agent has what the master's own minimum asks for.
    enough: bool,
    seed: u64,
    granted: bool,
    steps: usize,
    share: Share,
}

/// Whether `resources` hold at least one of the sets; with no set, anything will do.
pub(crate) fn is_allocatable(minimum: &[Quantities], resources: &Resources) -> bool {
    minimum.is_empty() || minimum.iter().any(|quantities| resources.contains_quantities(quantities))
}
