//! One allocation cycle: the agents where something changed, in random order, twice: first guarantees that are not met,
//! then fair shares. On each agent the roles come in their order, in each role the frameworks in theirs; whoever may
//! have something gets all of the agent that it may have. What happens on one agent is in `visit`.
//!
//! A pair of agent and client that got nothing gets nothing again until one of them changes, or a quota leaves more
//! room, because during a cycle everything only shrinks: what is available, what guarantees promise, what limits leave.
//! So only these need a look: dirty agents with all clients, changed clients with all agents, pairs whose filter ended,
//! and pairs that wait for room (`waiting`).

use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, Client},
    bits::Set,
    config::Budget,
    directory::{Idx, scramble},
    groups::Contest,
    profile::Grant,
    visit::Pass,
};

/// A cycle under way.
pub(crate) struct Cycle {
    /// The competition of resource groups before all else; nothing once it is over.
    pub contest: Option<Contest>,
    /// The agents that are still to come for guarantees, the next one last.
    pub first: Vec<Idx<Agent>>,
    /// And those for fair shares.
    pub queue: Vec<Idx<Agent>>,
    /// Clients that are tried on every agent.
    pub clients: Set<Client>,
    pub seed: u64,
}

impl Cycle {
    /// An agent is gone.
    pub fn forget(&mut self, a: Idx<Agent>) {
        let at = self.queue.iter().position(|other| *other == a);
        if let Some(at) = at {
            self.queue.remove(at);
        }
        self.first.retain(|other| *other != a);
        if let Some(contest) = &mut self.contest {
            contest.forget(a, at);
        }
    }
}

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
        let most = budget.steps.max(1);
        while steps < most {
            if let Some(contest) = &mut cycle.contest {
                let queue = (cycle.queue.as_slice(), &cycle.clients);
                steps = steps.saturating_add(self.go_on(now, contest, queue, most - steps));
                if contest.is_over() {
                    cycle.contest = None;
                }
            } else if let Some(a) = cycle.first.pop() {
                steps = steps.saturating_add(self.visit(now, a, Pass::Guarantees, &cycle, &mut grants));
            } else if let Some(a) = cycle.queue.pop() {
                steps = steps.saturating_add(self.visit(now, a, Pass::FairShare, &cycle, &mut grants));
                self.look_again_at_shared(now, a);
            } else {
                break;
            }
        }
        if cycle.contest.is_none() && cycle.queue.is_empty() {
            self.end_cycle(now);
        } else {
            self.cycle = Some(cycle);
        }
        grants
    }

    /// Gives up a cycle that is cut: the next one does what was left of it.
    pub(crate) fn abandon_cycle(&mut self, now: Tick) {
        let Some(cycle) = self.cycle.take() else { return };
        self.schedule.clients.add(&cycle.clients);
        for a in cycle.queue {
            self.timing().mark_reopened(now, a);
        }
        self.end_cycle(now);
    }

    fn end_cycle(&mut self, now: Tick) {
        if !std::mem::take(&mut self.room.deferred).is_zero() {
            self.timing().schedule_waiting(now);
        }
    }

    /// Begins a cycle if one is due.
    fn begin(&mut self, now: Tick) -> Option<Cycle> {
        let due = |at: Option<Tick>| at.is_some_and(|at| at <= now);
        self.note_run(now);
        if !self.config.event_driven {
            let expiry = self.expiries.first().map(|(deadline, _)| self.config.tick_after(*deadline));
            let batch = [self.schedule.batch_at, expiry].into_iter().flatten().min();
            if let Some(batch) = batch.filter(|batch| *batch <= now) {
                // Filters that end exactly with the batch, or while it was late, outlive it.
                let cutoff = Tick(batch.0.saturating_sub(1));
                self.note_run(cutoff);
                self.timing().expire_until(cutoff, now);
                return self.begin_everywhere();
            }
            if due(self.schedule.urgent_at) && !due(self.schedule.all_at) {
                self.timing().expire_until(now, now);
                return self.begin_urgent();
            }
        }
        if ![self.schedule.all_at, self.schedule.batch_at, self.expiry_deadline()].into_iter().any(due) {
            return None;
        }
        self.timing().expire_until(now, now);
        if due(self.schedule.all_at) || due(self.schedule.batch_at) { self.begin_everywhere() } else { None }
    }

    fn begin_everywhere(&mut self) -> Option<Cycle> {
        let clients = std::mem::take(&mut self.schedule.clients);
        self.schedule.all_at = None;
        self.schedule.batch_at = None;
        self.schedule.urgent_at = None;
        self.schedule.urgent.clear();
        self.wake_waiting();
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
        self.start(queue, clients)
    }

    /// Looks only at agents that are new or changed, as Mesos does between batches.
    fn begin_urgent(&mut self) -> Option<Cycle> {
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
        self.start(urgent.into_iter().collect(), Set::default())
    }

    fn start(&mut self, queue: Vec<Idx<Agent>>, clients: Set<Client>) -> Option<Cycle> {
        self.cycles += 1;
        let seed = scramble(self.cycles, self.seed);
        #[cfg(test)]
        if let Some(run) = &mut self.last_run {
            run.seed = seed;
            run.began = true;
        }
        let queue = self.in_random_order(queue, seed);
        let contest = self.begin_contest(&queue, seed);
        if queue.is_empty() && contest.is_none() {
            return None;
        }
        let first = match self.room.hungry.is_empty() {
            true => Vec::new(),
            false => self.in_random_order(queue.clone(), guarantee_seed(seed)),
        };
        Some(Cycle { contest, first, queue, clients, seed })
    }

    /// A place by lot for each agent, the same whoever else takes part; the first one stands last.
    fn in_random_order(&self, agents: Vec<Idx<Agent>>, seed: u64) -> Vec<Idx<Agent>> {
        let lot = |a: Idx<Agent>| Some((scramble(self.agents.get(a)?.id_hash, seed), a));
        let mut lots: Vec<(u64, Idx<Agent>)> = agents.into_iter().filter_map(lot).collect();
        lots.sort_unstable_by(|a, b| b.cmp(a));
        lots.dedup();
        lots.into_iter().map(|(_, a)| a).collect()
    }

    /// A shared resource goes out once in a cycle; the next batch may offer it to somebody else.
    fn look_again_at_shared(&mut self, now: Tick, a: Idx<Agent>) {
        if self.agents.get(a).is_some_and(|agent| agent.has_shared && agent.shared_offered.0 == self.cycles) {
            self.timing().mark_agent_for_batch(now, a);
        }
    }

    /// Tells tests which filters this run takes for ended.
    fn note_run(&mut self, _cutoff: Tick) {
        #[cfg(test)]
        {
            self.last_run = Some(crate::oracle::Run { cutoff: _cutoff, ..Default::default() });
        }
    }
}

/// Guarantees are given in another random order of the agents than fair shares.
pub(crate) fn guarantee_seed(seed: u64) -> u64 {
    scramble(0x6775_6172_616e_7465, seed)
}
