//! Who leads. Each master's candidate is the real one (`election`); what it wants is carried out here, as its program
//! does. Everybody else hears of a change in their own time.

use std::time::Duration;

use election::{Candidate, Config, Effect, Elected, Event, Input, Session};
use proto::v1::MasterInfo;
use stdx::Tick;

use super::{
    World,
    happening::{Happening, Life, Node},
    masters::Office,
    service::{LIMITS, SESSION, Said, Whom},
};
use crate::{observation::Fact, scenario::secs};

#[derive(Default)]
pub(crate) struct Election {
    /// The last reign that began, and who began it, unless that one is known to lead no longer.
    pub epoch: u64,
    pub leader: Option<u32>,
    /// The most senior member, as everybody will detect, and how often that changed.
    pub first: Option<u32>,
    pub turns: u64,
}

/// How long after the end of its process a session is over, at most.
const AFTER_DEATH: u64 = 2_000;

impl World {
    pub(crate) fn stand_for_election(&mut self, master: u32, info: MasterInfo, seed: u64) {
        let config = Config {
            info,
            name: None,
            cluster: None,
            store_timeout: secs(self.scenario.tuning.store_timeout_secs),
            fetch_timeout: secs(60.0),
            place: "the simulated service".into(),
            seed,
        };
        self.masters[master as usize].candidate = Some(Box::new(Candidate::new(config)));
        self.step_candidate(master, Event::Wake);
    }

    pub(crate) fn wake_candidate(&mut self, master: u32, life: Life) {
        let host = &mut self.masters[master as usize];
        if host.life == life && host.candidate_wake == Some(self.now) {
            host.candidate_wake = None;
            self.step_candidate(master, Event::Wake);
        }
    }

    pub(crate) fn hear_service(&mut self, master: u32, said: Said) {
        match said {
            Said::Connected => {
                let session = Session { timeout: SESSION, limits: LIMITS };
                self.step_candidate(master, Event::Connected(Ok(session)));
            }
            Said::Answer(Whom::Candidate(number), answer) => {
                self.step_candidate(master, Event::Answer { number, answer });
            }
            Said::Answer(Whom::Ledger { serial, .. }, answer) => self.on_ledger_answer(master, serial, answer),
            Said::News(entries) => self.step_candidate(master, Event::News(entries)),
            Said::MembersChanged => self.step_candidate(master, Event::MembersChanged),
            Said::Ended(why) => self.step_candidate(master, Event::Ended(why)),
        }
    }

    pub(crate) fn step_candidate(&mut self, master: u32, event: Event) {
        let host = &mut self.masters[master as usize];
        let Some(event) = host.hear_as_candidate(event) else { return };
        let Some(candidate) = &mut host.candidate else { return };
        let input = Input { now: host.clock.local(self.now), wall: host.clock.wall(self.now), event };
        let mut effects = Vec::new();
        candidate.handle(input, &mut effects);
        self.arm_candidate(master);
        let life = self.masters[master as usize].life;
        for effect in effects {
            // One of the effects may have been the end of the process.
            if self.masters[master as usize].life == life {
                self.carry_out_for_candidate(master, effect);
            }
        }
    }

    fn arm_candidate(&mut self, master: u32) {
        let host = &mut self.masters[master as usize];
        let deadline = host.candidate.as_ref().and_then(|candidate| candidate.next_deadline());
        let Some(deadline) = deadline else { return };
        let at = host.clock.moment(deadline).max(self.now).max(self.heap.now());
        if host.candidate_wake.is_none_or(|wake| at < wake) {
            host.candidate_wake = Some(at);
            let life = host.life;
            self.heap.put(at, Happening::WakeCandidate { master, life });
        }
    }

    fn carry_out_for_candidate(&mut self, master: u32, effect: Effect) {
        match effect {
            Effect::Connect => self.connect_to_service(master),
            Effect::Disconnect => self.leave_service(master, Duration::from_millis(1)),
            Effect::Ask { number, ask } => self.ask_service(master, Whom::Candidate(number), ask),
            Effect::Unfollow => self.unfollow(master),
            Effect::Show | Effect::Belongs { .. } => {}
            Effect::Elected(elected) => self.take_office(master, *elected),
            Effect::Renew { until } => {
                if let Some(office) = &mut self.masters[master as usize].office {
                    office.lease = office.lease.max(until);
                }
            }
            Effect::EndLease => {
                if let Some(office) = &mut self.masters[master as usize].office {
                    office.lease = Tick::ZERO;
                }
            }
            Effect::Deposed { why } => {
                self.say(|| format!("master {master} is deposed: {why}"));
                self.lead_no_longer(master);
                // Until its process is gone it may hear of anything, and must be silent.
                let (wait, life) = (self.draws.store.below(2_000), self.masters[master as usize].life);
                self.heap.put(self.now + Duration::from_millis(wait), Happening::Deposed { master, life });
            }
            Effect::Failed { why } => {
                self.say(|| format!("master {master} cannot be a candidate: {why}"));
                self.end_master(master, secs(self.scenario.faults.master_away_secs));
            }
            Effect::Resigned => self.end_master(master, secs(self.scenario.faults.master_away_secs)),
        }
    }

    fn take_office(&mut self, master: u32, elected: Elected) {
        let Elected { epoch, registry, ledger, until, fetched: _ } = elected;
        self.say(|| format!("master {master} is elected, epoch {epoch}"));
        if self.watched.is_some() && *self.service.registry() != registry {
            let why = format!("what it took over in epoch {epoch} is not what was stored");
            self.fact(Fact::Broken { who: format!("master {master}"), why });
        }
        self.election.epoch = epoch;
        self.election.leader = Some(master);
        let host = &mut self.masters[master as usize];
        host.epoch = epoch;
        host.office = Some(Box::new(Office::new(registry.clone(), ledger, until)));
        self.fact(Fact::Elected { master, epoch });
        self.step_master(master, master_core::Event::Elected { registry: Box::new(registry) });
    }

    /// The core hears of it, once.
    pub(crate) fn lead_no_longer(&mut self, master: u32) {
        let host = &mut self.masters[master as usize];
        if !host.is_up() || std::mem::replace(&mut host.deposed, true) {
            return;
        }
        let epoch = host.epoch;
        self.fact(Fact::Deposed { master, epoch });
        self.step_master(master, master_core::Event::Deposed);
    }

    /// A program that no longer leads ends, and its supervisor starts it again.
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
        self.end_master(master, secs(self.scenario.faults.master_away_secs));
    }

    /// The leader stops acting, stores what is under way, and leaves; the next one need not wait.
    pub(crate) fn hand_over(&mut self) {
        let Some(master) = self.election.leader else { return };
        let host = &self.masters[master as usize];
        if !host.is_up() || host.deposed || host.is_paused() {
            return;
        }
        self.say(|| format!("master {master} hands over"));
        let life = host.life;
        self.lead_no_longer(master);
        if self.masters[master as usize].life == life {
            self.masters[master as usize].resigns = true;
            self.resign_if_idle(master);
        }
    }

    /// Its loop has ended; what was to be stored is stored first.
    pub(crate) fn resign_if_idle(&mut self, master: u32) {
        let host = &self.masters[master as usize];
        if host.resigns && host.office.as_ref().is_none_or(|office| office.is_idle()) {
            self.step_candidate(master, Event::Resign);
        }
    }

    /// The process is no more. Its session is over a little later.
    pub(crate) fn forget_candidate(&mut self, master: u32) {
        let host = &mut self.masters[master as usize];
        host.candidate = None;
        host.candidate_wake = None;
        host.office = None;
        host.resigns = false;
        if self.election.leader == Some(master) {
            self.election.leader = None;
        }
        let after = Duration::from_millis(self.draws.store.below(AFTER_DEATH));
        self.leave_service(master, after);
    }

    /// Everybody will detect who leads.
    pub(crate) fn announce(&mut self) {
        let agents = (0..self.agents.len() as u32).map(Node::Agent);
        let nodes: Vec<Node> = agents.chain((0..self.schedulers.len() as u32).map(Node::Framework)).collect();
        for node in nodes {
            let wait = Duration::from_millis(5 + self.draws.store.below(2_000));
            self.detect(node, wait);
        }
    }

    /// `node` will hear who leads as things stand.
    pub(crate) fn detect(&mut self, node: Node, wait: Duration) {
        let (leader, epoch, life) = (self.election.first, self.election.turns, self.life_of(node));
        let mut at = self.now + wait;
        if let Some(until) = self.service_silent_until(node) {
            at = at.max(until);
        }
        self.heap.put(at, Happening::Detect { node, life, leader, epoch });
    }
}
