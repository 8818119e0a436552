//! The simulated world: virtual time, and everything the cores are connected to. `happening` is what can happen, `heap`
//! keeps it by time, and each file below plays one part: `network`, `election`, `service`, `masters`, `agents` with
//! their `machine`, `executor`, `schedulers`, `operators`, `faults`. What must hold is `checks`', what a run is
//! `scenario`'s.

pub(crate) mod addresses;
pub(crate) mod agents;
mod authentication;
pub(crate) mod clock;
mod driver;
pub(crate) mod election;
pub(crate) mod executor;
pub(crate) mod faults;
pub(crate) mod happening;
pub(crate) mod heap;
pub(crate) mod light;
pub(crate) mod machine;
pub(crate) mod masters;
pub(crate) mod network;
pub(crate) mod operators;
pub(crate) mod schedulers;
pub(crate) mod service;

use std::time::Duration;

use model::{FrameworkId, TaskId};
use stdx::{Rng, Tick};

use crate::{observation::Fact, scenario::Scenario, trace::Trace};
use addresses::Addresses;
use agents::AgentHost;
pub use agents::Look;
use election::Election;
use faults::Faults;
use happening::{Happening, Node};
use heap::Heap;
use masters::MasterHost;
use network::Network;
use operators::Operator;
use schedulers::SchedulerHost;
use service::Service;

/// Each part draws from a generator of its own, so that one more draw here does not shift what happens there.
pub(crate) struct Draws {
    pub network: Rng,
    pub faults: Rng,
    pub store: Rng,
    pub machines: Rng,
    pub schedulers: Rng,
    pub operators: Rng,
    pub seeds: Rng,
}

/// Which master took it, in which life, and where the task is.
pub(crate) type Kill = (u32, happening::Life, model::AgentId);

pub struct World {
    pub(crate) now: Tick,
    pub(crate) scenario: Scenario,
    pub(crate) heap: Heap,
    pub(crate) draws: Draws,
    pub(crate) network: Network,
    pub(crate) election: Election,
    pub(crate) service: Service,
    pub(crate) masters: Vec<MasterHost>,
    /// The leader's core, while nobody looks at it.
    pub(crate) aside: Option<masters::Aside>,
    pub(crate) agents: Vec<AgentHost>,
    pub(crate) addresses: Addresses,
    pub(crate) schedulers: Vec<SchedulerHost>,
    pub(crate) operator: Operator,
    pub(crate) faults: Faults,
    pub(crate) trace: Trace,
    /// The allocator's configuration, instead of what the scenario's tuning says.
    pub(crate) policy: Option<allocator::AllocatorConfig>,
    /// What agents look like, in their order, where they do not all look alike.
    pub(crate) looks: Vec<Look>,
    /// What agents and masters say to each other, in words, if anybody wants to know.
    pub(crate) talk: Option<Vec<String>>,
    /// Whether facts are noted at all, and how many steps lie between two looks at a core's own laws.
    pub(crate) watched: Option<u32>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) steps: u64,
    /// Launches that arrived after their master had given the tasks up: what they started, no master knows of.
    pub(crate) late: std::collections::BTreeSet<(FrameworkId, TaskId)>,
    /// Kills that masters took.
    pub(crate) kills: std::collections::BTreeMap<(FrameworkId, TaskId), Kill>,
    /// The last request that a master accepted.
    pub(crate) accepted: Option<stdx::RequestId>,
    /// All is healed, and frameworks go on working.
    pub(crate) at_work: bool,
    /// The frameworks that wanted more when faults were over.
    pub(crate) hungry: std::collections::BTreeSet<u32>,
    conns: u64,
    reqs: u64,
}

impl World {
    pub fn new(scenario: Scenario, watched: Option<u32>, loud: bool) -> World {
        let mut rng = Rng::new(scenario.seed);
        let draws = Draws {
            network: rng.fork("network"),
            faults: rng.fork("faults"),
            store: rng.fork("store"),
            machines: rng.fork("machines"),
            schedulers: rng.fork("schedulers"),
            operators: rng.fork("operators"),
            seeds: rng.fork("seeds"),
        };
        let mut world = World {
            now: Tick::ZERO,
            heap: Heap::default(),
            draws,
            network: Network::default(),
            election: Election::default(),
            service: Service::new(&scenario),
            masters: Vec::new(),
            aside: None,
            agents: Vec::new(),
            addresses: Addresses::new(scenario.all_agents()),
            schedulers: Vec::new(),
            operator: Operator::default(),
            faults: Faults::default(),
            trace: Trace::new(loud),
            policy: None,
            looks: Vec::new(),
            talk: None,
            watched,
            facts: Vec::new(),
            steps: 0,
            late: Default::default(),
            kills: Default::default(),
            accepted: None,
            at_work: false,
            hungry: Default::default(),
            conns: 1,
            reqs: 1,
            scenario,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        for master in 0..self.scenario.masters {
            let clock = self.draw_clock();
            self.masters.push(MasterHost::new(master, clock));
            self.heap.put(Tick::ZERO, Happening::Start(Node::Master(master)));
        }
        for agent in 0..self.scenario.all_agents() {
            let clock = self.draw_clock();
            let full = agent < self.scenario.agents;
            self.agents.push(AgentHost::new(self.addresses.of_agent(agent), clock, full));
            let spread = Duration::from_millis(self.draws.machines.below(5_000));
            self.heap.put(Tick::ZERO + spread, Happening::Start(Node::Agent(agent)));
        }
        for (index, plan) in self.scenario.frameworks.clone().into_iter().enumerate() {
            let rng = self.draws.schedulers.fork("scheduler");
            self.schedulers.push(SchedulerHost::new(index as u32, plan, rng));
            let spread = Duration::from_millis(self.draws.schedulers.below(10_000));
            self.heap.put(Tick::ZERO + spread, Happening::Start(Node::Framework(index as u32)));
        }
    }

    /// One more framework, which starts at once.
    pub(crate) fn add_scheduler(&mut self, core: Box<dyn crate::scheduler::Scheduler>) {
        let index = self.schedulers.len() as u32;
        self.schedulers.push(SchedulerHost::of(core));
        self.heap.put(self.now, Happening::Start(Node::Framework(index)));
    }

    fn draw_clock(&mut self) -> clock::Clock {
        let most = i64::from(self.scenario.faults.clock_drift_ppm);
        clock::Clock::new(self.draws.seeds.below(2 * most as u64 + 1) as i64 - most)
    }

    /// Lets the next thing happen, unless it lies beyond `end`.
    pub fn step(&mut self, end: Tick) -> bool {
        self.carry_out_due();
        let Some((at, what)) = self.heap.take_until(end) else {
            self.now = end;
            return false;
        };
        self.now = at;
        self.steps += 1;
        self.trace.note(at.0);
        match what {
            Happening::Deliver(delivery) => self.on_delivery(*delivery),
            Happening::Wake(Node::Master(master)) => self.wake_master(master),
            Happening::Wake(Node::Agent(agent)) => self.wake_agent(agent),
            Happening::Wake(Node::Framework(framework)) => self.wake_scheduler(framework),
            Happening::Exited { node, life, peer } => self.on_exited(node, life, peer),
            Happening::Start(Node::Master(master)) => self.start_master(master),
            Happening::Start(Node::Agent(agent)) => self.start_agent(agent),
            Happening::Start(Node::Framework(framework)) => self.start_scheduler(framework),
            Happening::Detect { node, life, leader, epoch } => self.on_detection(node, life, leader, epoch),
            Happening::Deposed { master, life } => self.on_deposed(master, life),
            Happening::SessionExpires { session, late } => self.on_expiry(session, late),
            Happening::Asked { session } => self.on_asked(session),
            Happening::Told { session } => self.on_told(session),
            Happening::HeardOut { master, life, agent, peer } => self.on_heard_out(master, life, agent, peer),
            Happening::WakeCandidate { master, life } => self.wake_candidate(master, life),
            Happening::WakeLedger { master, life, serial } => self.wake_ledger(master, life, serial),
            Happening::ForeignLeaves { number } => self.on_foreign_leaving(number),
            Happening::Resumes { master, life } => self.on_resumption(master, life),
            Happening::StreamEnds { at, conn } => self.on_stream_end(at, conn),
            Happening::CallFails { framework, life, req } => self.on_call_failure(framework, life, req),
            Happening::Synced { agent, life, count, fails } => self.on_synced(agent, life, count, fails),
            Happening::Machine(event) => self.on_machine(*event),
            Happening::Fault(fault) => self.on_fault(fault),
            Happening::Operate(deed) => self.operate(deed),
        }
        true
    }

    pub fn now(&self) -> Tick {
        self.now
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn hash(&self) -> u64 {
        self.trace.hash()
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        if self.watched.is_some() {
            self.facts.push(fact);
        }
    }

    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace.loud {
            println!("{:>12.6} {}", self.now.0 as f64 / 1e9, line());
        }
    }

    pub(crate) fn mint_conn(&mut self) -> stdx::ConnectionId {
        self.conns += 1;
        stdx::ConnectionId(self.conns)
    }

    pub(crate) fn mint_req(&mut self) -> stdx::RequestId {
        self.reqs += 1;
        stdx::RequestId(self.reqs)
    }

    fn on_exited(&mut self, node: Node, life: happening::Life, peer: Node) {
        match (node, peer) {
            (Node::Master(master), Node::Agent(agent)) => self.on_master_lost_agent(master, life, agent),
            (Node::Agent(agent), Node::Master(master)) => self.on_agent_lost_master(agent, life, master),
            _ => {}
        }
    }

    fn on_stream_end(&mut self, at: Node, conn: stdx::ConnectionId) {
        match at {
            Node::Master(master) => self.on_master_stream_end(master, conn),
            Node::Framework(framework) => self.on_scheduler_stream_end(framework, conn),
            Node::Agent(_) => {}
        }
    }

    fn on_detection(&mut self, node: Node, life: happening::Life, leader: Option<u32>, epoch: u64) {
        match node {
            Node::Agent(agent) => self.on_agent_detection(agent, life, leader, epoch),
            Node::Framework(framework) => self.on_scheduler_detection(framework, life, leader, epoch),
            Node::Master(_) => {}
        }
    }

    /// Nothing new begins, so that all can come to rest.
    pub(crate) fn rest(&mut self) {
        self.at_work = false;
        self.schedulers.iter_mut().for_each(|host| host.core.rest());
    }

    /// The master that leads, if it knows.
    pub(crate) fn leader(&self) -> Option<&master_core::Master> {
        let host = &self.masters[self.election.leader? as usize];
        host.core().filter(|core| core.view().is_leading())
    }

    /// Which life of its process a node lives.
    pub(crate) fn life_of(&self, node: Node) -> happening::Life {
        match node {
            Node::Master(master) => self.masters[master as usize].life,
            Node::Agent(agent) => self.agents[agent as usize].life,
            Node::Framework(framework) => self.schedulers[framework as usize].life,
        }
    }

    pub(crate) fn is_up(&self, node: Node) -> bool {
        match node {
            Node::Master(master) => self.masters[master as usize].is_up(),
            Node::Agent(agent) => self.agents[agent as usize].is_up(),
            Node::Framework(framework) => self.schedulers[framework as usize].up,
        }
    }
}
