//! Who leads: one master after the other, each under a number of its own. Everybody hears of a change in their own
//! time, the one who leads no longer perhaps last.

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

/// How long the service of the elections waits for a silent leader.
pub(crate) const SESSION: Duration = Duration::from_secs(8);

impl World {
    /// Elects somebody who can lead, if nobody leads.
    pub(crate) fn elect(&mut self) {
        if self.election.leader.is_some() {
            return;
        }
        let now = self.now;
        let able: Vec<u32> = (0..self.masters.len() as u32)
            .filter(|master| self.masters[*master as usize].is_candidate())
            .filter(|master| self.store_silent_until(Node::Master(*master)).is_none())
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
        let wait = Duration::from_millis(self.draws.store.below(2_000));
        self.end_reign(deposed_after, wait);
    }

    fn end_reign(&mut self, deposed_after: Option<Duration>, elect_after: Duration) {
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
        self.heap.put(self.now + elect_after, Happening::Elect);
    }

    /// The leader is not heard for this long: its session ends, if that is too long.
    pub(crate) fn end_session_of_the_silent(&mut self, master: u32, silence: Duration) {
        let expires = silence > SESSION || (silence > SESSION / 2 && self.draws.store.below(4) == 0);
        if expires {
            let late = silence.saturating_sub(SESSION) + self.draw_away(self.scenario.faults.deposed_late_secs);
            let epoch = self.election.epoch;
            self.heap.put(self.now + silence.min(SESSION), Happening::SessionEnds { master, epoch, late: Some(late) });
        }
    }

    pub(crate) fn on_session_end(&mut self, master: u32, epoch: u64, late: Option<Duration>) {
        if self.election.leader != Some(master) || self.election.epoch != epoch {
            return;
        }
        match late {
            Some(_) => self.end_session(late),
            // Who resigned is not waited for.
            None => self.end_reign(None, Duration::from_millis(20)),
        }
    }

    /// The leader stops acting, stores what is under way, and leaves; the next one need not wait.
    pub(crate) fn hand_over(&mut self) {
        let Some(master) = self.election.leader else { return };
        let host = &mut self.masters[master as usize];
        if !host.is_up() || host.deposed || host.is_paused() {
            return;
        }
        self.say(|| format!("master {master} hands over"));
        let host = &mut self.masters[master as usize];
        host.deposed = true;
        let epoch = host.epoch;
        self.fact(Fact::Deposed { master, epoch });
        self.step_master(master, master_core::Event::Deposed);
        // What the core wanted when it heard of it ends a program; a core that was not ready yet wants nothing.
        let away = secs(self.scenario.faults.master_away_secs);
        self.end_process(master, away);
        let stored = self.store.last_answer().max(self.now) + Duration::from_millis(1);
        self.heap.put(stored, Happening::SessionEnds { master, epoch, late: None });
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
        if let Some(until) = self.store_silent_until(node) {
            at = at.max(until);
        }
        self.heap.put(at, Happening::Detect { node, life, leader, epoch });
    }

    pub(crate) fn on_elected(&mut self, master: u32, life: Life, epoch: u64) {
        if self.masters[master as usize].life != life || self.masters[master as usize].epoch != epoch {
            return;
        }
        // Reading the registry waits for the store, too.
        if let Some(until) = self.store_silent_until(Node::Master(master)) {
            self.heap.put(until, Happening::Elected { master, life, epoch });
            return;
        }
        let registry = self.store.registry.clone();
        self.step_master(master, master_core::Event::Elected { registry: Box::new(registry) });
    }

    pub(crate) fn on_deposed(&mut self, master: u32, life: Life) {
        let host = &mut self.masters[master as usize];
        if host.life != life || !host.is_up() {
            return;
        }
        if let Some(until) = host.paused_until() {
            // It hears of it after what it has not yet heard of.
            self.heap.put(until + Duration::from_micros(1), Happening::Deposed { master, life });
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
