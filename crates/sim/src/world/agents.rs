//! The agents' processes, full and light alike: they start, hear, speak and end. What a full one does to its machine is
//! `machine`'s.

use std::{sync::Arc, time::Duration};

use agent_core::{Agent, Config, Effect, Effects, Event, Input, Recover};
use model::{FrameworkId, TaskId};
use proto::{
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1::{self, task_status::Source},
};
use stdx::Tick;

use super::{
    World,
    clock::Clock,
    happening::{Happening, Life, Message, Node},
    light::Light,
    machine::Machine,
    network::{host_of, master_upid},
};
use crate::{
    observation::Fact,
    scenario::{POOL, Scenario, pool, secs},
};

pub(crate) struct AgentHost {
    pub life: Life,
    pub upid: Upid,
    pub core: Core,
    pub clock: Clock,
    /// The master whose link it keeps.
    pub link: Option<u32>,
    /// The newest word on who leads.
    epoch: u64,
    /// The process that leads, by the same word.
    leader: Option<(Node, Life)>,
    wake: Option<Tick>,
    /// A light agent has none: nothing of it is real.
    pub machine: Option<Box<Machine>>,
}

/// What selectors see of an agent.
#[derive(Clone, Debug, Default)]
pub struct Look {
    pub hostname: String,
    pub attributes: Arc<[v1::Attribute]>,
    pub domain: Option<v1::DomainInfo>,
}

impl Look {
    fn put_on(&self, info: &mut v1::AgentInfo) {
        info.hostname.clone_from(&self.hostname);
        info.attributes = self.attributes.to_vec();
        info.domain.clone_from(&self.domain);
    }
}

pub(crate) enum Core {
    Down,
    Full(Box<Agent>),
    Light(Box<Light>),
}

impl AgentHost {
    pub fn new(upid: Upid, clock: Clock, full: bool) -> AgentHost {
        let machine = full.then(Box::default);
        AgentHost { life: 0, upid, core: Core::Down, clock, link: None, epoch: 0, leader: None, wake: None, machine }
    }

    /// Whether a message is of a process that was at the leader's address before it.
    pub fn shuts_out(&self, from: Node, life: Life) -> bool {
        self.leader.is_some_and(|leader| leader.0 == from && leader.1 > life)
    }

    pub fn is_up(&self) -> bool {
        !matches!(self.core, Core::Down)
    }

    pub fn full(&self) -> Option<&Agent> {
        match &self.core {
            Core::Full(agent) => Some(agent),
            Core::Down | Core::Light(_) => None,
        }
    }
}

impl World {
    pub(crate) fn start_agent(&mut self, agent: u32) {
        let index = agent as usize;
        if self.agents[index].is_up() {
            return;
        }
        let seed = self.draws.seeds.next_u64();
        let mut config = config(&self.scenario, agent, self.agents[index].upid.clone());
        if let Some(look) = self.looks.get(index) {
            look.put_on(&mut config.info);
        }
        self.say(|| format!("agent {agent} starts"));
        if self.agents[index].machine.is_some() {
            self.agents[index].core = Core::Full(Box::new(Agent::new(config, seed)));
            let event = self.take_up_machine(agent);
            self.step_agent(agent, event);
            self.check_recovered(agent);
        } else {
            self.agents[index].core = Core::Light(Box::new(Light::new(config.info, config.upid, seed)));
        }
        let wait = Duration::from_millis(1 + self.draws.machines.below(300));
        self.detect(Node::Agent(agent), wait);
    }

    /// The process ends; its machine and what runs there stay.
    pub(crate) fn end_agent(&mut self, agent: u32, away: Duration) {
        let host = &mut self.agents[agent as usize];
        if !host.is_up() {
            return;
        }
        host.core = Core::Down;
        host.life += 1;
        host.link = None;
        host.epoch = 0;
        host.leader = None;
        host.wake = None;
        self.say(|| format!("agent {agent} ends"));
        self.cut_off_machine(agent);
        for master in 0..self.masters.len() as u32 {
            self.break_link_to_dead(Node::Master(master), Node::Agent(agent));
        }
        self.heap.put(self.now + away, Happening::Start(Node::Agent(agent)));
    }

    pub(crate) fn tell_agent(&mut self, agent: u32, from: Upid, message: ToAgent) {
        self.note_late_launches(&from, &message);
        if let ToAgent::Shutdown(shutdown) = &message {
            let why = shutdown.message.clone().unwrap_or_default();
            self.fact(Fact::ShutDown { agent, why });
        }
        self.step_agent(agent, Event::FromMaster { from, message });
    }

    /// Launches that arrive after their master has given the tasks up.
    fn note_late_launches(&mut self, from: &Upid, message: &ToAgent) {
        if self.watched.is_none() {
            return;
        }
        let (framework, tasks) = match message {
            ToAgent::RunTask(m) => (m.framework.id.clone(), vec![TaskId::from(&m.task.task_id)]),
            ToAgent::RunTaskGroup(m) => {
                (m.framework.id.clone(), m.task_group.tasks.iter().map(|task| TaskId::from(&task.task_id)).collect())
            }
            _ => return,
        };
        let Some(framework) = framework.as_ref().map(FrameworkId::from) else { return };
        let Some(Node::Master(master)) = self.node_at(from) else { return };
        let Some(state) = self.masters[master as usize].core().map(|core| core.view().clone()) else { return };
        for task in tasks.into_iter().filter(|task| state.find_task(&framework, task).is_none()) {
            self.late.insert((framework.clone(), task.clone()));
            self.fact(Fact::LaunchedLate { framework: framework.clone(), task });
        }
    }

    pub(crate) fn on_agent_lost_master(&mut self, agent: u32, life: Life, master: u32) {
        let host = &mut self.agents[agent as usize];
        if host.life == life && host.link == Some(master) {
            host.link = None;
            self.step_agent(agent, Event::Exited { peer: master_upid(master) });
        }
    }

    pub(crate) fn on_agent_detection(&mut self, agent: u32, life: Life, leader: Option<u32>, epoch: u64) {
        let host = &mut self.agents[agent as usize];
        if host.life != life || epoch < host.epoch {
            return;
        }
        host.epoch = epoch;
        host.leader = leader.map(|master| (Node::Master(master), self.masters[master as usize].life));
        self.step_agent(agent, Event::MasterDetected { master: leader.map(master_upid) });
    }

    pub(crate) fn wake_agent(&mut self, agent: u32) {
        let host = &mut self.agents[agent as usize];
        if host.wake == Some(self.now) {
            host.wake = None;
            self.step_agent(agent, Event::Wake);
        }
    }

    pub(crate) fn step_agent(&mut self, agent: u32, event: Event) {
        let host = &mut self.agents[agent as usize];
        let input = Input { now: host.clock.local(self.now), wall: host.clock.wall(self.now), event };
        let mut effects = Effects::new();
        let deadline = match &mut host.core {
            Core::Down => return,
            Core::Full(core) => {
                core.handle(input, &mut effects);
                core.next_deadline().map(|(tick, _)| tick)
            }
            Core::Light(core) => {
                core.handle(input, &mut effects);
                core.next_deadline()
            }
        };
        self.trace.note(effects.len() as u64);
        self.check_agent(agent);
        for effect in effects.drain() {
            self.carry_out_for_agent(agent, effect);
        }
        let host = &mut self.agents[agent as usize];
        let Some(deadline) = deadline.filter(|_| host.is_up()) else { return };
        let at = host.clock.moment(deadline).max(self.now);
        if host.wake.is_none_or(|wake| at < wake) {
            host.wake = Some(at);
            self.heap.put(at, Happening::Wake(Node::Agent(agent)));
        }
    }

    fn check_agent(&mut self, agent: u32) {
        let Some(every) = self.watched else { return };
        if !(self.steps + u64::from(agent)).is_multiple_of(u64::from(every.max(1))) {
            return;
        }
        let Some(core) = self.agents[agent as usize].full() else { return };
        if let Err(why) = core.check_invariants() {
            self.fact(Fact::Broken { who: format!("agent {agent}"), why });
        }
    }

    fn carry_out_for_agent(&mut self, agent: u32, effect: Effect) {
        match effect {
            Effect::ToMaster { to, message } => self.agent_to_master(agent, &to, message),
            Effect::Link { peer } => {
                let Some(node @ Node::Master(master)) = self.node_at(&peer) else { return };
                self.agents[agent as usize].link = Some(master);
                if !self.is_up(node) {
                    self.break_link_to_dead(Node::Agent(agent), node);
                }
            }
            Effect::Unlink { peer } if self.node_at(&peer).is_none() => {}
            Effect::Unlink { .. } => self.agents[agent as usize].link = None,
            Effect::Authenticate { master } => self.agent_proves_itself(agent, &master),
            Effect::Exit { code, why } => self.on_agent_exit(agent, code, &why),
            local => self.carry_out_on_machine(agent, local),
        }
    }

    fn agent_to_master(&mut self, agent: u32, to: &Upid, message: ToMaster) {
        let Some(node) = self.node_at(to) else { return };
        if self.watched.is_some()
            && let ToMaster::StatusUpdate(said) = &message
        {
            let update = &said.update;
            let (framework, task) = (FrameworkId::from(&update.framework_id), TaskId::from(&update.status.task_id));
            let (state, uuid) = (update.status.state(), update.uuid.clone().unwrap_or_default());
            // What an agent says of a task it never took is worth no record: asked again, it says so again.
            let of_executor = update.status.source() == Source::Executor;
            let recorded = !of_executor || self.is_update_recorded(agent, &framework, &uuid);
            self.fact(Fact::AgentSaid { agent, framework, task, state, uuid, recorded });
        }
        let from = self.agents[agent as usize].upid.clone();
        let Some(actor) = master_core::Actor::find(&to.id) else { return };
        self.send(Node::Agent(agent), node, Message::ToMaster(from, actor, message));
    }

    /// An agent that was given up comes back as a new one, mostly on a machine that is set up anew; any other is
    /// started again by its supervisor.
    fn on_agent_exit(&mut self, agent: u32, code: u8, why: &str) {
        self.say(|| format!("agent {agent} exits with {code}: {why}"));
        let wiped = self.faults.calm || self.draws.machines.below(2) == 0;
        self.end_agent(agent, secs(1.0 + self.scenario.faults.agent_away_secs));
        if code != 0 || self.agents[agent as usize].machine.is_none() {
            return;
        }
        match wiped {
            true => self.wipe_machine(agent),
            false => self.fact(Fact::MachineLost { agent }),
        }
    }
}

fn pool_of(scenario: &Scenario, agent: u32) -> Option<v1::Attribute> {
    let number = agent.checked_rem(scenario.pools)?;
    Some(v1::Attribute {
        name: POOL.to_owned(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text { value: pool(number) }),
        ..Default::default()
    })
}

fn config(scenario: &Scenario, agent: u32, upid: Upid) -> Config {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let kind = scenario.kind_of(agent);
    let all = [("cpus", kind.cpus), ("mem", kind.mem_mb), ("disk", kind.disk_mb), ("gpus", kind.gpus)];
    let given = all.into_iter().filter(|(_, value)| *value > 0.0);
    let info = v1::AgentInfo {
        hostname: host_of(Node::Agent(agent)),
        port: Some(5051),
        resources: given.map(|(name, value)| scalar(name, value)).collect(),
        attributes: pool_of(scenario, agent).into_iter().collect(),
        ..Default::default()
    };
    let mut config = Config::new(upid, info, "/srv/agent");
    config.registration_backoff_factor = secs(scenario.tuning.backoff_secs);
    config.executor_reregistration_timeout = secs(scenario.tuning.executor_reregister_secs);
    config.recover = Recover::Reconnect;
    config.authenticate = scenario.tuning.authenticate;
    config
}
