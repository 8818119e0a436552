//! What is done to the cluster in one round.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use stdx::Rng;
use testkit::network::Host;

use crate::cluster::{Cluster, SESSION};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillLeader,
    /// SIGSTOP for longer than the session lasts, then SIGCONT.
    PauseLeader,
    HandOver,
    KillStandby,
    KillAgent,
    KillStoreLeader,
    /// Two of three servers of the store are away for longer than the session lasts.
    NoQuorum,
    /// The leader and the store's servers do not reach one another.
    PartFromStore,
    PartFromAgents,
    PartFromBoth,
    /// The disk of the store's leader.
    FillStoreDisk,
    FillAgentDisk,
    /// The calendars of the leader, a standby and an agent jump by up to a day, ahead or back.
    StepClock,
}

/// How long a round lasted.
pub struct Took {
    /// From the fault, or from where it ends for those that last, until a leader served a write.
    pub writes: Duration,
    /// From there until all agents were at work.
    pub agents: Duration,
}

impl Fault {
    pub const ALL: [Fault; 13] = [
        Fault::KillLeader,
        Fault::PartFromStore,
        Fault::HandOver,
        Fault::PauseLeader,
        Fault::PartFromAgents,
        Fault::KillStandby,
        Fault::KillStoreLeader,
        Fault::PartFromBoth,
        Fault::NoQuorum,
        Fault::KillAgent,
        Fault::FillStoreDisk,
        Fault::StepClock,
        Fault::FillAgentDisk,
    ];

    /// Whether it needs hosts of their own.
    pub fn needs_network(self) -> bool {
        use Fault::*;
        matches!(self, PartFromStore | PartFromAgents | PartFromBoth | FillStoreDisk | FillAgentDisk)
    }
}

impl Cluster {
    /// Does it, and waits until a leader serves writes again and all agents are back.
    pub fn suffer(&mut self, fault: Fault, rng: &mut Rng) -> Result<Took> {
        self.revive()?;
        let leader = self.wait_leader()?;
        let standby = (leader + 1) % self.masters().len();
        let begun = Instant::now();
        let long = SESSION * 2 + Duration::from_millis(rng.below(1_000));
        let writes = match fault {
            Fault::KillLeader | Fault::HandOver => {
                match fault {
                    Fault::KillLeader => self.master(leader).kill(),
                    _ => self.master(leader).signal(libc::SIGTERM),
                }
                self.wait_serving(|next| next != leader)?;
                begun.elapsed()
            }
            Fault::PauseLeader => {
                self.master(leader).signal(libc::SIGSTOP);
                let next = self.wait_serving(|next| next != leader)?;
                let took = begun.elapsed();
                sleep(long.saturating_sub(took));
                self.master(leader).signal(libc::SIGCONT);
                self.wait_serving(|still| still == next)?;
                took
            }
            Fault::KillStandby => {
                self.master(standby).kill();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::KillAgent => {
                self.agent(0).kill();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::KillStoreLeader => {
                let server = self.service()?.leader().unwrap_or(0);
                self.service()?.kill_server(server);
                self.wait_leader()?;
                let took = begun.elapsed();
                self.service()?.start_server(server);
                took
            }
            Fault::NoQuorum => {
                let service = self.service()?;
                (0..2).for_each(|i| service.kill_server(i));
                sleep(long);
                ensure!(self.serving().is_none(), "somebody served a write without a store");
                let service = self.service()?;
                (0..2).for_each(|i| service.start_server(i));
                let begun = Instant::now();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::PartFromStore | Fault::PartFromBoth => {
                let (from, mut others) = (self.master_host(leader), self.stores.clone());
                if fault == Fault::PartFromBoth {
                    others.extend(self.agent_hosts());
                }
                part(&from, &others)?;
                self.wait_serving(|next| next != leader)?;
                let took = begun.elapsed();
                sleep(long.saturating_sub(took));
                meet(&from, &others)?;
                took
            }
            Fault::PartFromAgents => {
                let (from, others) = (self.master_host(leader), self.agent_hosts());
                part(&from, &others)?;
                // Sometimes long enough for the agents to become unreachable.
                sleep(Duration::from_millis(2_000 + rng.below(6_000)));
                meet(&from, &others)?;
                let begun = Instant::now();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::FillStoreDisk => {
                let service = self.service()?;
                let directory = service.directory(service.leader().unwrap_or(0)).to_owned();
                fill_for(&directory, long);
                let begun = Instant::now();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::FillAgentDisk => {
                fill_for(&self.agent(0).work_dir(), long);
                let begun = Instant::now();
                self.wait_leader()?;
                begun.elapsed()
            }
            Fault::StepClock => {
                let calendars = [
                    self.master(leader).clock_shift(),
                    self.master(standby).clock_shift(),
                    self.agent(0).clock_shift(),
                ];
                for calendar in calendars {
                    let seconds = rng.below(2 * 86_400) as i64 - 86_400;
                    fs::write(calendar, seconds.to_string())?;
                }
                sleep(SESSION);
                let begun = Instant::now();
                ensure!(self.wait_leader()? == leader, "a step of the clock deposed the leader");
                begun.elapsed()
            }
        };
        let begun = Instant::now();
        self.wait_agents()?;
        Ok(Took { writes, agents: begun.elapsed() })
    }

    fn master_host(&mut self, i: usize) -> Vec<Host> {
        self.master(i).host.iter().cloned().collect()
    }
}

fn part(from: &[Host], others: &[Host]) -> std::io::Result<()> {
    from.iter().try_for_each(|from| others.iter().try_for_each(|other| from.part_from(other)))
}

fn meet(from: &[Host], others: &[Host]) -> std::io::Result<()> {
    from.iter().try_for_each(|from| others.iter().try_for_each(|other| from.meet(other)))
}

/// Leaves nothing free on a disk for a while, whatever its owner deletes meanwhile.
fn fill_for(directory: &Path, time: Duration) {
    let path = directory.join("filler");
    let begun = Instant::now();
    while begun.elapsed() < time {
        if let Ok(mut filler) = File::options().create(true).append(true).open(&path) {
            for size in [1 << 20, 1 << 12] {
                while filler.write_all(&vec![0; size]).is_ok() {}
            }
        }
        sleep(Duration::from_millis(50));
    }
    let _ = fs::remove_file(path);
}
