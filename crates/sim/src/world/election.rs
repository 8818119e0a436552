//! Who leads: one master after the other, each under a number of its own. Everybody hears of it in their own time, the
//! one who leads no longer perhaps last.

use std::time::Duration;

use super::{
    World,
    happening::{Happening, Life, Node},
};
use crate::{observation::Fact, scenario::secs};

#[derive(Default)]
pub(crate) struct Election {
    pub epoch: u64,
    pub leader: Option<u32>,
}

impl World {
    /// Elects somebody who can lead, if nobody leads.
    pub(crate) fn elect(&mut self) {
        if self.election.leader.is_some() {
            return;
        }
        let now = self.now;
        let network = &self.network;
        let able: Vec<u32> = (0..self.masters.len() as u32)
            .filter(|master| self.masters[*master as usize].is_candidate())
            .filter(|master| network.island_until(Node::Master(*master), now).is_none())
            .collect();
        if able.is_empty() {
            self.heap.put(now + Duration::from_millis(500), Happening::Elect);
            return;
        }
        let master = able[self.draws.store.below(able.len() as u64) as usize];
        self.election.epoch += 1;
        self.election.leader = Some(master);
        let epoch = self.election.epoch;
        let host = &mut self.masters[master as usize];
        host.epoch = epoch;
        let life = host.life;
        self.say(|| format!("master {master} is elected, epoch {epoch}"));
        self.fact(Fact::Elected { master, epoch });
        let load = Duration::from_millis(1 + self.draws.store.below(50));
        self.heap.put(now + load, Happening::Elected { master, life, epoch });
        self.announce();
    }

    /// The leader's session is over: it is dead, cut off, or taken for that.
    pub(crate) fn end_session(&mut self, deposed_after: Option<Duration>) {
        let Some(master) = self.election.leader.take() else { return };
        self.say(|| format!("the session of master {master} is over"));
        // Whatever it writes from here on comes from another age.
        self.election.epoch += 1;
        if let Some(wait) = deposed_after {
            let life = self.masters[master as usize].life;
            self.heap.put(self.now + wait, Happening::Deposed { master, life });
        }
        if self.draws.store.below(2) == 0 {
            self.announce();
        }
        let wait = Duration::from_millis(self.draws.store.below(2_000));
        self.heap.put(self.now + wait, Happening::Elect);
    }

    /// Everybody will detect who leads.
    fn announce(&mut self) {
        let agents = (0..self.agents.len() as u32).map(Node::Agent);
        let nodes: Vec<Node> = agents.chain((0..self.schedulers.len() as u32).map(Node::Framework)).collect();
        for node in nodes {
            let wait = Duration::from_millis(5 + self.draws.store.below(2_000));
            self.detect(node, wait);
        }
    }

    /// `node` will hear who leads as things stand.
    pub(crate) fn detect(&mut self, node: Node, wait: Duration) {
        let (leader, epoch, life) = (self.election.leader, self.election.epoch, self.life_of(node));
        let mut at = self.now + wait;
        if let Some(until) = self.network.island_until(node, self.now) {
            at = at.max(until);
        }
        self.heap.put(at, Happening::Detect { node, life, leader, epoch });
    }

    pub(crate) fn on_elected(&mut self, master: u32, life: Life, epoch: u64) {
        if self.masters[master as usize].life != life || self.masters[master as usize].epoch != epoch {
            return;
        }
        let registry = self.store.registry.clone();
        self.step_master(master, master_core::Event::Elected { registry });
    }

    pub(crate) fn on_deposed(&mut self, master: u32, life: Life) {
        let host = &mut self.masters[master as usize];
        if host.life != life || host.core.is_none() {
            return;
        }
        if host.deposed {
            // A program that no longer leads ends, and its supervisor starts it again.
            return self.end_master(master, secs(self.scenario.faults.master_away_secs));
        }
        host.deposed = true;
        let epoch = host.epoch;
        self.fact(Fact::Deposed { master, epoch });
        self.step_master(master, master_core::Event::Deposed);
        // Until its process is gone it may hear of anything, and must be silent.
        let wait = Duration::from_millis(self.draws.store.below(2_000));
        self.heap.put(self.now + wait, Happening::Deposed { master, life });
    }
}
