//! When the allocator runs. Changes note here how soon they want to be looked at; nothing to look at means no deadline.

use std::collections::BTreeSet;

use model::AgentId;
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, Client, Framework},
    bits::Set,
    config::AllocatorConfig,
    consumption::{Room, is_anybody_waiting},
    directory::{Directory, Idx},
    tree::Role,
};

/// The work that waits, and until when.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Everything that waits is looked at then.
    pub all_at: Option<Tick>,
    /// The batch that takes everything that waits.
    pub batch_at: Option<Tick>,
    /// Only the agents in `urgent` are looked at then.
    pub urgent_at: Option<Tick>,
    pub urgent: BTreeSet<Idx<Agent>>,
    /// Agents that are dirty or have reopened clients; may name agents that no longer are.
    pub agents: Vec<Idx<Agent>>,
    /// Clients that must be tried on every agent.
    pub clients: Set<Client>,
}

/// How soon a change wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Resources came free: at once in the event-driven mode, otherwise with the next batch.
    Freed,
    /// Mesos's events, which start an allocation in either mode.
    Event,
}

fn soonest(at: &mut Option<Tick>, tick: Tick) {
    *at = Some(at.map_or(tick, |old| old.min(tick)));
}

/// How changes ask to be looked at, and all that asking changes.
pub(crate) struct Timing<'a> {
    pub config: &'a AllocatorConfig,
    pub agents: &'a mut Directory<AgentId, Agent>,
    pub clients: &'a Directory<(Idx<Framework>, Idx<Role>), Client>,
    pub schedule: &'a mut Schedule,
    pub expiries: &'a mut BTreeSet<(Tick, Idx<Agent>)>,
    pub filter_epochs: &'a [u32],
    /// Clients that are tried again for their group's sake.
    pub woken: &'a mut Set<Client>,
    pub relaxed: &'a [Idx<Role>],
    pub room: &'a Room,
}

impl Allocator {
    pub(crate) fn timing(&mut self) -> Timing<'_> {
        Timing {
            config: &self.config,
            agents: &mut self.agents,
            clients: &self.clients,
            schedule: &mut self.schedule,
            expiries: &mut self.expiries,
            filter_epochs: &self.filter_epochs,
            woken: &mut self.groups.woken,
            relaxed: &self.relaxed,
            room: &self.room,
        }
    }

    /// When `allocate` wants to be called next, and why. `None` until something changes.
    pub fn next_deadline(&self) -> Option<(Tick, &'static str)> {
        if self.cycle.is_some() {
            return Some((Tick::ZERO, "go on with a cut allocation"));
        }
        if let Some(until) = self.recovery_deadline() {
            return Some((until, "wait for agents to come back"));
        }
        let candidates = [
            (self.schedule.all_at, "allocate"),
            (self.schedule.urgent_at, "allocate new agents"),
            (self.schedule.batch_at, "allocate the batch"),
            (self.expiry_deadline(), "end offer filters"),
            (self.maintenance.deadline(), "make inverse offers"),
        ];
        candidates.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }

    /// When the first filter ends.
    pub(crate) fn expiry_deadline(&self) -> Option<Tick> {
        self.expiries.first().map(|(deadline, _)| match self.config.event_driven {
            true => *deadline + self.config.coalesce,
            false => self.config.tick_after(*deadline),
        })
    }

    /// Ends the filters whose time is up. `allocate` does it too; calling it between allocations only frees memory.
    pub fn expire(&mut self, now: Tick) {
        self.timing().expire_until(now, now);
    }
}

impl Timing<'_> {
    /// Room may have come for those who wait for it.
    pub(crate) fn schedule_waiting(&mut self, now: Tick) {
        if is_anybody_waiting(self.relaxed, self.room) {
            match self.config.event_driven {
                true => soonest(&mut self.schedule.all_at, now + self.config.coalesce),
                false => {
                    let batch = self.config.tick_after(now);
                    soonest(&mut self.schedule.batch_at, batch);
                }
            }
        }
    }

    /// Every client must be tried on this agent.
    pub(crate) fn mark_agent(&mut self, now: Tick, a: Idx<Agent>, urgency: Urgency) {
        let batch = self.config.tick_after(now);
        let Some(agent) = self.agents.get_mut(a) else { return };
        agent.dirty = true;
        if !agent.queued {
            agent.queued = true;
            self.schedule.agents.push(a);
        }
        match urgency {
            _ if self.config.event_driven => soonest(&mut self.schedule.all_at, now + self.config.coalesce),
            Urgency::Freed => soonest(&mut self.schedule.batch_at, batch),
            Urgency::Event => {
                self.schedule.urgent.insert(a);
                soonest(&mut self.schedule.urgent_at, now + self.config.coalesce);
                self.schedule_waiting(now);
            }
        }
    }

    /// The clients that are noted as reopened on this agent must be tried soon, in either mode.
    pub(crate) fn mark_reopened(&mut self, now: Tick, a: Idx<Agent>) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        if !agent.queued {
            agent.queued = true;
            self.schedule.agents.push(a);
        }
        soonest(&mut self.schedule.all_at, now + self.config.coalesce);
    }

    /// The next batch must try every client on this agent, in either mode.
    pub(crate) fn mark_agent_for_batch(&mut self, now: Tick, a: Idx<Agent>) {
        let batch = self.config.tick_after(now);
        let Some(agent) = self.agents.get_mut(a) else { return };
        agent.dirty = true;
        if !agent.queued {
            agent.queued = true;
            self.schedule.agents.push(a);
        }
        soonest(&mut self.schedule.batch_at, batch);
    }

    /// This client must be tried on every agent.
    pub(crate) fn mark_client(&mut self, now: Tick, c: Idx<Client>) {
        self.schedule.clients.set(c);
        self.woken.unset(c);
        soonest(&mut self.schedule.all_at, now + self.config.coalesce);
    }

    /// These clients must be tried on every agent, at once or with the next batch, for the sake of their group.
    pub(crate) fn wake_clients(&mut self, now: Tick, clients: Vec<Idx<Client>>, at_once: bool) {
        for c in clients {
            if !self.clients.get(c).is_some_and(|client| client.listed) {
                continue;
            }
            if !self.schedule.clients.has(c) {
                self.woken.set(c);
            }
            self.schedule.clients.set(c);
            match at_once {
                true => soonest(&mut self.schedule.all_at, now + self.config.coalesce),
                false => {
                    let batch = self.config.tick_after(now);
                    soonest(&mut self.schedule.batch_at, batch);
                }
            }
        }
    }

    /// All agents are looked at soon, dirty or not; only those where something changed since can yield a grant.
    pub(crate) fn mark_everything(&mut self, now: Tick) {
        if !self.schedule.agents.is_empty() || !self.schedule.clients.is_empty() {
            soonest(&mut self.schedule.all_at, now + self.config.coalesce);
        }
    }

    /// Ends filters with deadlines up to `cutoff`, and notes their clients for another try.
    pub(crate) fn expire_until(&mut self, cutoff: Tick, now: Tick) {
        while let Some(&(deadline, a)) = self.expiries.first()
            && deadline <= cutoff
        {
            self.expiries.pop_first();
            let Some(agent) = self.agents.get_mut(a) else { continue };
            let lost = agent.filters.expire(cutoff, self.filter_epochs);
            agent.expiry = agent.filters.next_deadline();
            if let Some(next) = agent.expiry {
                self.expiries.insert((next, a));
            }
            if lost.is_empty() || (agent.available.is_empty() && !agent.has_shared) {
                continue;
            }
            for client in lost {
                agent.reopened.set(client);
            }
            if !agent.queued {
                agent.queued = true;
                self.schedule.agents.push(a);
            }
            match self.config.event_driven {
                true => soonest(&mut self.schedule.all_at, now),
                false => {
                    let tick = self.config.tick_after(now);
                    soonest(&mut self.schedule.batch_at, tick);
                }
            }
        }
    }
}
