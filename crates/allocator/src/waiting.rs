//! Pairs of agents and clients that wait for room: with quotas, somebody would have got more of an agent if a limit had
//! left room or if guarantees had not needed it. They are looked at again when that changes, and not before.

use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator},
    allowance::Allowance,
    directory::Idx,
    schedule::Urgency,
};

impl Allocator {
    /// Notes why a client got less of an agent than there is.
    pub(crate) fn wait_for_room(&mut self, a: Idx<Agent>, allowance: &Allowance) {
        if allowance.held_back {
            self.room.wait(a);
        }
        if let Some(role) = allowance.limited_by.and_then(|r| self.roles.get_mut(r)) {
            role.waiting.set(a);
        }
    }

    /// Puts everything that waits for room that is there now into the queue of the next cycle.
    pub(crate) fn wake_waiting(&mut self) {
        if self.room.has_grown() {
            let waiting = std::mem::take(&mut self.room.waiting);
            self.room.floor = None;
            for a in waiting.iter() {
                self.queue_agent(a, true);
            }
        }
        for r in std::mem::take(&mut self.relaxed) {
            let Some(role) = self.roles.get_mut(r) else { continue };
            role.consumption.relaxed = false;
            let opened = std::mem::take(&mut role.consumption.opened);
            let mut waiting = std::mem::take(&mut role.waiting);
            if role.quota.as_ref().is_some_and(|quota| !quota.guarantees.is_zero()) {
                waiting.add(&self.room.waiting);
            }
            if opened {
                waiting.add(&self.room.passed_over);
            }
            if waiting.is_empty() {
                continue;
            }
            let clients = self.clients_below(r);
            for a in waiting.iter() {
                if let Some(agent) = self.agents.get_mut(a) {
                    agent.reopened.add(&clients);
                    self.queue_agent(a, false);
                }
            }
        }
    }

    /// A quota changed: everybody who waits is looked at again.
    pub(crate) fn wake_all_waiting(&mut self, now: Tick) {
        let mut waiting = std::mem::take(&mut self.room.waiting);
        self.room.floor = None;
        waiting.add(&std::mem::take(&mut self.room.passed_over));
        for (_, role) in self.roles.iter_mut() {
            waiting.add(&role.waiting);
            role.waiting.clear();
        }
        for a in waiting.iter() {
            self.timing().mark_agent(now, a, Urgency::Freed);
        }
    }

    fn queue_agent(&mut self, a: Idx<Agent>, dirty: bool) {
        let Some(agent) = self.agents.get_mut(a) else { return };
        agent.dirty |= dirty;
        if !agent.queued {
            agent.queued = true;
            self.schedule.agents.push(a);
        }
    }
}
