//! What goes wrong and when: each kind comes back after a random time of its own, until faults are over.

use std::{collections::BTreeSet, time::Duration};

use agent_core::{ContainerId, Termination};

use super::{
    World,
    happening::{Happening, Node},
    machine::Stage,
    network::Cut,
};
use crate::scenario::{self, secs};

#[derive(Default)]
pub(crate) struct Faults {
    /// Nothing goes wrong (any more).
    pub calm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Partition,
    OneWay,
    BreakLink,
    AgentCrash,
    AgentReboot,
    MasterCrash,
    Depose,
    FrameworkCrash,
    ExecutorCrash,
    Compact,
    SlowReader,
    WallStep,
    StoreOutage,
    StoreFull,
    StoreParted,
    Pause,
    HandOver,
    ForeignMaster,
    SwapAddresses,
}

const ALL: [Fault; 19] = [
    Fault::Partition,
    Fault::OneWay,
    Fault::BreakLink,
    Fault::AgentCrash,
    Fault::AgentReboot,
    Fault::MasterCrash,
    Fault::Depose,
    Fault::FrameworkCrash,
    Fault::ExecutorCrash,
    Fault::Compact,
    Fault::SlowReader,
    Fault::WallStep,
    Fault::StoreOutage,
    Fault::StoreFull,
    Fault::StoreParted,
    Fault::Pause,
    Fault::HandOver,
    Fault::ForeignMaster,
    Fault::SwapAddresses,
];

impl Fault {
    /// Mean seconds between two of them; 0 for never.
    fn every(self, faults: &scenario::Faults) -> f64 {
        match self {
            Fault::Partition => faults.partition_every,
            Fault::OneWay => faults.one_way_every,
            Fault::BreakLink => faults.break_link_every,
            Fault::AgentCrash => faults.agent_crash_every,
            Fault::AgentReboot => faults.agent_reboot_every,
            Fault::MasterCrash => faults.master_crash_every,
            Fault::Depose => faults.depose_every,
            Fault::FrameworkCrash => faults.framework_crash_every,
            Fault::ExecutorCrash => faults.executor_crash_every,
            Fault::Compact => faults.compact_every,
            Fault::SlowReader => faults.slow_reader_every,
            Fault::WallStep => faults.wall_step_every,
            Fault::StoreOutage => faults.store_outage_every,
            Fault::StoreFull => faults.store_full_every,
            Fault::StoreParted => faults.store_parted_every,
            Fault::Pause => faults.pause_every,
            Fault::HandOver => faults.hand_over_every,
            Fault::ForeignMaster => faults.foreign_every,
            Fault::SwapAddresses => faults.swap_every,
        }
    }
}

impl World {
    pub(crate) fn begin_faults(&mut self) {
        ALL.into_iter().for_each(|fault| self.schedule(fault));
    }

    /// From here on the world is kind.
    pub(crate) fn end_faults(&mut self) {
        self.faults.calm = true;
        let now = self.now;
        self.service.heal(now);
        self.end_foreign_masters();
        self.network.heal();
        self.resume_all();
    }

    fn schedule(&mut self, fault: Fault) {
        let every = fault.every(&self.scenario.faults);
        if every > 0.0 {
            let wait = self.draw_interval(every);
            self.heap.put(self.now + wait, Happening::Fault(fault));
        }
    }

    /// An exponentially distributed time with this mean.
    pub(crate) fn draw_interval(&mut self, mean_secs: f64) -> Duration {
        secs(-(1.0 - self.draws.faults.unit()).ln() * mean_secs).max(Duration::from_millis(1))
    }

    pub(crate) fn on_fault(&mut self, fault: Fault) {
        if self.faults.calm {
            return;
        }
        self.say(|| format!("fault: {fault:?}"));
        match fault {
            Fault::Partition => self.part(true, true),
            Fault::OneWay => {
                let inward = self.draws.faults.below(2) == 0;
                self.part(inward, !inward);
            }
            Fault::BreakLink => {
                let (from, to) = self.draw_pair();
                let now = self.now;
                self.break_channel(from, to, now);
            }
            Fault::AgentCrash => {
                let (agent, away) = (self.draw_agent(), self.draw_away(self.scenario.faults.agent_away_secs));
                self.end_agent(agent, away);
            }
            Fault::AgentReboot => {
                let (agent, away) = (self.draw_agent(), self.draw_away(self.scenario.faults.agent_away_secs));
                self.end_agent(agent, away);
                self.reboot(agent);
            }
            Fault::MasterCrash => {
                let master = self.draw_master();
                let away = self.draw_away(self.scenario.faults.master_away_secs);
                self.end_master(master, away);
            }
            Fault::Depose => {
                let late = self.draw_away(self.scenario.faults.deposed_late_secs);
                self.lose_session_of_leader(late);
            }
            Fault::FrameworkCrash => {
                let framework = self.draws.faults.below(self.schedulers.len().max(1) as u64) as u32;
                let away = self.draw_away(15.0);
                if (framework as usize) < self.schedulers.len() {
                    self.end_scheduler(framework, away);
                }
            }
            Fault::ExecutorCrash => self.crash_executor(),
            Fault::Compact => {
                let agent = self.draw_agent();
                self.compact_journal(agent);
            }
            Fault::SlowReader => {
                let framework = self.draws.faults.below(self.schedulers.len().max(1) as u64) as u32;
                let time = self.draw_away(20.0);
                if (framework as usize) < self.schedulers.len() {
                    self.stall_scheduler(framework, time);
                }
            }
            Fault::WallStep => self.step_some_wall(),
            Fault::StoreOutage => {
                let time = self.draw_away(self.scenario.faults.store_outage_secs);
                self.take_service_away(time);
            }
            Fault::StoreFull => {
                let time = self.draw_away(self.scenario.faults.store_full_secs);
                self.fill_service(time);
            }
            Fault::StoreParted => {
                let time = self.draw_away(self.scenario.faults.store_parted_secs);
                self.part_leader_from_service(time);
            }
            Fault::Pause => {
                let (master, time) = (self.draw_master(), self.draw_away(self.scenario.faults.pause_secs));
                self.pause_master(master, time);
            }
            Fault::HandOver => self.hand_over(),
            Fault::SwapAddresses => self.swap_addresses(),
            Fault::ForeignMaster => {
                let time = self.draw_away(self.scenario.faults.foreign_secs);
                self.bring_foreign_master(time);
            }
        }
        self.schedule(fault);
    }

    /// Most often the one that leads.
    fn draw_master(&mut self) -> u32 {
        match self.election.leader {
            Some(leader) if self.draws.faults.below(3) != 0 => leader,
            _ => self.draws.faults.below(self.masters.len() as u64) as u32,
        }
    }

    pub(super) fn draw_agent(&mut self) -> u32 {
        self.draws.faults.below(self.agents.len() as u64) as u32
    }

    pub(crate) fn draw_away(&mut self, most_secs: f64) -> Duration {
        secs(0.05 + self.draws.faults.unit() * most_secs)
    }

    /// A random part of the nodes is parted from the rest.
    fn part(&mut self, inward: bool, outward: bool) {
        let masters = (0..self.masters.len() as u32).map(Node::Master);
        let agents = (0..self.agents.len() as u32).map(Node::Agent);
        let frameworks = (0..self.schedulers.len() as u32).map(Node::Framework);
        let all: Vec<Node> = masters.chain(agents).chain(frameworks).collect();
        let share = 1 + self.draws.faults.below(4);
        let mut island = BTreeSet::new();
        for node in all {
            if self.draws.faults.below(5) < share {
                island.insert(node);
            }
        }
        let until = self.now + self.draw_away(self.scenario.faults.partition_secs);
        let now = self.now;
        self.say(|| format!("parted until {}: {island:?}", until.0 as f64 / 1e9));
        self.network.forget_past(now);
        // A master that the ensemble does not see for long loses its session.
        let masters = (0..self.masters.len() as u32).filter(|master| island.contains(&Node::Master(*master)));
        let silent: Vec<u32> = masters.filter(|_| outward).collect();
        self.network.cut(Cut { island, inward, outward, until });
        silent.into_iter().for_each(|master| self.fall_silent(master, until.since(now)));
    }

    fn crash_executor(&mut self) {
        let agent = self.draw_agent();
        let Some(machine) = self.machine(agent) else { return };
        let running = machine.containers.iter().filter(|(_, row)| row.stage == Stage::Running);
        let running: Vec<ContainerId> = running.map(|(id, _)| id.clone()).collect();
        if running.is_empty() {
            return;
        }
        let id = running[self.draws.faults.below(running.len() as u64) as usize].clone();
        let termination = Termination { status: Some(11), ..Termination::default() };
        self.end_container(agent, &id, termination, Duration::from_millis(2));
    }

    fn step_some_wall(&mut self) {
        let hours = self.draws.faults.below(49) as i64 - 24;
        let nanos = hours * 3_600_000_000_000 + self.draws.faults.below(1_000_000_000) as i64;
        let machines = self.masters.len() + self.agents.len();
        let drawn = self.draws.faults.below(machines as u64) as usize;
        match self.masters.get_mut(drawn) {
            Some(host) => host.clock.step_wall(nanos),
            None => self.agents[drawn - self.masters.len()].clock.step_wall(nanos),
        }
    }
}
