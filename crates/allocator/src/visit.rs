//! One agent on offer: which clients come into question, what each of them may have of it, and who gets it. In which
//! order they are tried is in `walk`.

use resources::{Quantities, Resources};
use smallvec::SmallVec;
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, Client, LastGrant},
    bits::Set,
    config::SorterKind,
    cycle::Cycle,
    directory::{Idx, scramble},
    groups::Share,
    profile::Grant,
    scalars::is_chargeable,
    tree::Role,
};

/// Clients as words of bits.
pub(crate) type Candidates = SmallVec<[u64; 32]>;

/// What a look at an agent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Only clients whose guarantee is not met, and only if it helps to meet it.
    Guarantees,
    FairShare,
}

/// One agent on offer.
pub(crate) struct Visit {
    pub a: Idx<Agent>,
    pub pass: Pass,
    pub share: Share,
    /// Of roles and of frameworks.
    pub sorters: (SorterKind, SorterKind),
    /// Every client could be offered the same.
    pub plain: bool,
    /// Whether there is what the master's own minimum asks for.
    pub enough: bool,
    /// All that is on offer is subject to quotas.
    pub chargeable: bool,
    pub seed: u64,
    /// Something went that filters were judged with.
    pub granted: bool,
    pub steps: usize,
}

impl Allocator {
    /// Offers one agent to whoever comes first. Returns the steps it took.
    pub(crate) fn visit(
        &mut self,
        now: Tick,
        a: Idx<Agent>,
        pass: Pass,
        cycle: &Cycle,
        grants: &mut Vec<Grant>,
    ) -> usize {
        let Some(agent) = self.agents.get(a) else { return 0 };
        let free = agent.is_offerable() && (agent.has_shared || !agent.available.is_empty());
        let plain = agent.is_plain();
        if free {
            self.judge(a, plain);
        }
        let Some(agent) = self.agents.get_mut(a) else { return 0 };
        let (everyone, reopened) = match pass {
            Pass::Guarantees => (agent.dirty, agent.reopened.clone()),
            // It changed since the competition of this cycle: groups must have another look at it.
            Pass::FairShare if agent.queued && !self.groups.is_empty() => (agent.dirty, agent.reopened.clone()),
            Pass::FairShare => (std::mem::take(&mut agent.dirty), std::mem::take(&mut agent.reopened)),
        };
        if !free {
            if pass == Pass::FairShare {
                self.return_units(now, a, &[]);
            }
            return 1;
        }
        let Some(agent) = self.agents.get(a) else { return 1 };
        let enough = is_allocatable(&self.config.min_allocatable, &agent.available);
        let mut candidates = self.candidates(agent, enough, (!everyone).then_some((&cycle.clients, &reopened)));
        // What a group won is new to all its clients.
        let mut winners = match self.groups.purses(a).is_empty() {
            true => Candidates::new(),
            false => self.candidates(agent, enough, None),
        };
        if pass == Pass::Guarantees {
            for words in [&mut candidates, &mut winners] {
                words.iter_mut().enumerate().for_each(|(index, word)| *word &= self.room.hungry.word(index));
            }
        }
        let chargeable = agent.available.iter().all(|r| r.scalar().is_some() && is_chargeable(r));
        if chargeable && self.pass_over_closed(&mut candidates) {
            self.room.passed_over.set(a);
        }
        let mut visit = Visit {
            a,
            pass,
            share: Share::All,
            sorters: (self.config.role_sorter, self.config.framework_sorter),
            plain,
            enough,
            chargeable,
            seed: cycle.seed,
            granted: agent.shared_offered.0 == self.cycles,
            steps: 1,
        };
        for share in self.shares(a, agent) {
            (visit.share, visit.sorters) = (share, self.sorters(share));
            if share == Share::All {
                self.walk(&candidates, &mut visit, grants);
            } else {
                let words = if let Share::Won(_) = share { &winners } else { &candidates };
                let ours = words.iter().enumerate().map(|(index, word)| word & self.mask(a, share, index));
                let ours: Candidates = ours.collect();
                let before = grants.len();
                self.walk(&ours, &mut visit, grants);
                if share == Share::SetApart && grants.len() > before {
                    self.look_again_at_exclusive(now, a);
                }
            }
        }
        if pass == Pass::FairShare {
            self.return_units(now, a, &candidates);
        }
        visit.steps
    }

    /// Leaves out clients that cannot get anything because a limit is reached. Says whether there were any.
    fn pass_over_closed(&self, candidates: &mut Candidates) -> bool {
        let mut any = false;
        for (index, word) in candidates.iter_mut().enumerate() {
            let closed = *word & self.room.closed.word(index) & !self.overriding.word(index);
            any |= closed != 0;
            *word &= !closed;
        }
        any
    }

    /// Clients that could be offered something of an agent whose filters are judged; `only` those of either set, if
    /// given.
    pub(crate) fn candidates(
        &self,
        agent: &Agent,
        enough: bool,
        only: Option<(&Set<Client>, &Set<Client>)>,
    ) -> Candidates {
        let mut words = Candidates::new();
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

    /// Works out whose filters hide the agent.
    pub(crate) fn judge(&mut self, a: Idx<Agent>, plain: bool) {
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

    /// Grants a client what it may have of the agent. True when nothing is left for anybody.
    pub(crate) fn offer_to(&mut self, c: Idx<Client>, visit: &mut Visit, grants: &mut Vec<Grant>) -> bool {
        visit.steps += 1;
        let Some(agent) = self.agents.get(visit.a) else { return true };
        let Some(client) = self.clients.get(c) else { return false };
        let whole = if visit.plain { agent.available.clone() } else { self.portion(agent, c, true) };
        let part = self.part(visit.a, agent, whole, visit.share);
        let Some((portion, cut)) = self.bound(client.role, part, visit) else { return false };
        let cut = cut || visit.share != Share::All;
        let (Some(agent), Some(client)) = (self.agents.get(visit.a), self.clients.get(c)) else { return true };
        let allocatable = match &client.min_allocatable {
            None if visit.plain && !visit.granted && !cut => visit.enough,
            None => is_allocatable(&self.config.min_allocatable, &portion),
            Some(minimum) => is_allocatable(minimum, &portion),
        };
        if portion.is_empty() || !allocatable {
            return false;
        }
        // Filters were judged by all that was there: less is left, and more of them may cover it.
        if (visit.granted || cut) && agent.filters.hides(c, &portion, &self.filter_epochs) {
            return false;
        }
        visit.granted = true;
        self.spend(visit.a, visit.share, &portion);
        self.grant(visit.a, c, portion, grants);
        self.agents.get(visit.a).is_none_or(|agent| agent.available.is_empty() && !agent.has_shared)
    }

    /// Cuts a portion down to what quotas leave of it; says whether it was cut. Nothing when the role is not to be
    /// served in this pass.
    fn bound(&mut self, r: Idx<Role>, portion: Resources, visit: &Visit) -> Option<(Resources, bool)> {
        if !self.has_quotas() {
            return Some((portion, false));
        }
        let free = self.agents.get(visit.a).map(|agent| &agent.free)?;
        let allowance = self.allowance(r, free);
        if visit.pass == Pass::Guarantees && allowance.promised.is_zero() {
            return None;
        }
        let bounded = match allowance.is_all() {
            true => portion.clone(),
            false => {
                self.wait_for_room(visit.a, &allowance);
                self.cut_to(&portion, &allowance.amounts)
            }
        };
        if visit.pass == Pass::Guarantees {
            let given = self.scalars.charge(&bounded);
            let helps = |position| given.get(position) > 0 && allowance.promised.get(position) > 0;
            if !(0..given.len()).any(helps) {
                return None;
            }
        }
        let cut = bounded != portion;
        Some((bounded, cut))
    }

    fn grant(&mut self, a: Idx<Agent>, c: Idx<Client>, portion: Resources, grants: &mut Vec<Grant>) {
        let Some(client) = self.clients.get_mut(c) else { return };
        client.granted_in = Some(self.cycles);
        let (f, r) = (client.framework, client.role);
        let group = self.group_of_grant(c);
        let (Some(framework), Some(role)) = (self.frameworks.get(f), self.roles.get(r)) else { return };
        let Some(agent) = self.agents.get_mut(a) else { return };
        let resources = match &agent.last_grant {
            Some(last) if last.role == role.name && last.portion == portion => last.allocated.clone(),
            _ => {
                let allocated = portion.allocate(&role.name);
                let (amounts, charge) = (self.scalars.amounts(&portion), self.scalars.charge(&portion));
                agent.last_grant = Some(LastGrant {
                    role: role.name.clone(),
                    portion: portion.clone(),
                    allocated: allocated.clone(),
                    amounts,
                    charge,
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
        agent.last_winner = Some((self.cycles, c));
        grants.push(Grant {
            framework: framework.id.clone(),
            role: role.name.clone(),
            agent: agent.id.clone(),
            resources,
            group,
        });
        let nested = role.name.contains('/');
        let mut needed = self.room.required.clone();
        self.hold(a, c, &portion);
        if nested && !self.config.nested_quota {
            // What roles below take lessens the needs of those above only with the next cycle, as in Mesos.
            needed.sub(&self.room.required);
            self.room.deferred.add(&needed);
        }
        self.room.note_surplus(false);
    }

    /// What a client could be offered of an agent: the unreserved, what is reserved to its role and those above,
    /// without what its framework cannot cope with, and with `once`, without the shared resources that went out in this
    /// cycle.
    pub(crate) fn portion(&self, agent: &Agent, c: Idx<Client>, once: bool) -> Resources {
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

/// Whether `resources` hold at least one of the sets; with no set, anything will do.
pub(crate) fn is_allocatable(minimum: &[Quantities], resources: &Resources) -> bool {
    minimum.is_empty() || minimum.iter().any(|quantities| resources.contains_quantities(quantities))
}
