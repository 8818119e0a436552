//! The masters: real cores, with what their program does around them, and processes that end and start anew.

mod aside;
mod noted;
mod office;
mod pause;

pub(crate) use aside::Aside;
pub(crate) use office::Office;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use allocator::SorterKind;
use master_core::{Actor, Config, ConnectionId, Effect, Effects, Event, Input, Master, Reply, RequestId};
use model::{AgentId, FrameworkId, TaskId};
use proto::{
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1,
};
use stdx::Tick;

use super::{
    World,
    clock::Clock,
    happening::{Happening, Life, Message, Node},
    network::{host_of, master_upid},
};
use crate::{
    observation::Fact,
    scenario::{Scenario, secs},
};

pub(crate) struct MasterHost {
    pub life: Life,
    upid: Upid,
    pub core: Core,
    pub clock: Clock,
    /// What it was elected in, in this life.
    pub epoch: u64,
    /// It was told that it leads no longer.
    pub deposed: bool,
    leads: bool,
    wake: Option<Tick>,
    /// By the address that was asked for, the agent that was there.
    links: BTreeMap<Upid, u32>,
    streams: BTreeMap<ConnectionId, Stream>,
    callers: HashMap<RequestId, Caller>,
    effects: Effects,
    /// To the registry, asked for and not heard of again.
    pub writes: u32,
    pub candidate: Option<Box<election::Candidate>>,
    pub candidate_wake: Option<Tick>,
    /// With the service of the elections.
    pub session: Option<u64>,
    /// While it leads.
    pub office: Option<Box<Office>>,
    /// Its loop has ended, and it leaves once all is stored.
    pub resigns: bool,
    pause: pause::Pause,
}

pub(crate) enum Core {
    Down,
    Here(Box<Master>),
    /// The process is up; its core is `World::aside`'s.
    Aside,
}

/// A scheduler's event stream, from the master's side.
struct Stream {
    framework: u32,
    /// Sent and not yet read.
    unread: u32,
    /// The step of the last event.
    turn: u64,
}

#[derive(Clone, Copy)]
enum Caller {
    /// With the stream that a SUBSCRIBE would open.
    Scheduler {
        framework: u32,
        life: Life,
        opens: Option<ConnectionId>,
    },
    Operator,
}

impl MasterHost {
    pub fn new(master: u32, clock: Clock) -> MasterHost {
        MasterHost {
            life: 0,
            upid: master_upid(master),
            core: Core::Down,
            clock,
            epoch: 0,
            deposed: false,
            leads: false,
            wake: None,
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            callers: HashMap::new(),
            effects: Effects::new(),
            writes: 0,
            candidate: None,
            candidate_wake: None,
            session: None,
            office: None,
            resigns: false,
            pause: pause::Pause::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        !matches!(self.core, Core::Down)
    }

    /// The core, if it is here to be looked at.
    pub fn core(&self) -> Option<&Master> {
        match &self.core {
            Core::Here(core) => Some(core),
            Core::Down | Core::Aside => None,
        }
    }

    /// Whether it leads and its right to do so has run out.
    fn has_run_out(&self, now: Tick) -> bool {
        !self.deposed && self.office.as_ref().is_some_and(|office| office.lease <= self.clock.local(now))
    }
}

impl World {
    pub(crate) fn start_master(&mut self, master: u32) {
        let seed = self.draws.seeds.next_u64();
        let id = stdx::Rng::new(seed ^ 0x1d).uuid_text();
        let info = v1::MasterInfo {
            id,
            ip: u32::from_ne_bytes([10, 0, 0, master as u8 + 1]),
            port: 5050,
            pid: Some(master_upid(master).to_string()),
            hostname: Some(host_of(Node::Master(master))),
            version: Some("1.11.0".into()),
            ..Default::default()
        };
        let mut config = config(&self.scenario);
        if let Some(policy) = &self.policy {
            config.allocator = policy.clone();
        }
        let host = &mut self.masters[master as usize];
        if host.is_up() {
            return;
        }
        host.epoch = 0;
        host.deposed = false;
        host.leads = false;
        host.core = Core::Here(Box::new(Master::new(config, info.clone(), seed)));
        self.say(|| format!("master {master} starts"));
        self.stand_for_election(master, info, seed);
    }

    /// The process is no more, and so is its session; another may come.
    pub(crate) fn end_master(&mut self, master: u32, away: Duration) {
        self.end_process(master, away);
    }

    fn end_process(&mut self, master: u32, away: Duration) {
        self.call_leader_home();
        let host = &mut self.masters[master as usize];
        if !host.is_up() {
            return;
        }
        host.core = Core::Down;
        host.life += 1;
        host.writes = 0;
        host.pause = pause::Pause::default();
        host.wake = None;
        host.links.clear();
        host.callers.clear();
        let streams = std::mem::take(&mut host.streams);
        self.forget_candidate(master);
        self.say(|| format!("master {master} ends"));
        for (conn, stream) in streams {
            let at = self.now + self.draw_latency();
            self.heap.put(at, Happening::StreamEnds { at: Node::Framework(stream.framework), conn });
        }
        for agent in 0..self.agents.len() as u32 {
            if self.agents[agent as usize].link == Some(master) {
                self.break_link_to_dead(Node::Agent(agent), Node::Master(master));
            }
        }
        self.fail_calls_to(master);
        let away = away + Duration::from_millis(self.draws.faults.below(1_000));
        self.heap.put(self.now + away, Happening::Start(Node::Master(master)));
    }

    /// A peer finds that nobody listens any more, at once or when a partition ends.
    pub(crate) fn break_link_to_dead(&mut self, node: Node, peer: Node) {
        let mut at = self.now + self.draw_latency();
        if let Some(until) = self.network.cut_until(peer, node, self.now) {
            at = at.max(until);
        }
        let life = self.life_of(node);
        self.heap.put(at, Happening::Exited { node, life, peer });
    }

    pub(crate) fn tell_master(&mut self, master: u32, from: Upid, to: Actor, message: ToMaster) {
        self.step_master(master, Event::FromAgent { from, to, message });
    }

    pub(crate) fn call_master(
        &mut self,
        master: u32,
        from: Node,
        req: RequestId,
        conn: Option<ConnectionId>,
        stream_id: Option<String>,
        call: Box<v1::scheduler::Call>,
    ) {
        let Node::Framework(framework) = from else { return };
        let life = self.life_of(from);
        let host = &mut self.masters[master as usize];
        let opens = conn.filter(|_| call.subscribe.is_some());
        host.callers.insert(req, Caller::Scheduler { framework, life, opens });
        if let Some(conn) = opens {
            host.streams.insert(conn, Stream { framework, unread: 0, turn: 0 });
        }
        let kind = call.r#type().as_str_name();
        let kill = self.find_kill(master, &call);
        self.step_master(master, Event::FromScheduler { req, conn: opens, principal: None, stream_id, call });
        if self.accepted == Some(req) {
            self.kills.extend(kill);
        }
        let host = &self.masters[master as usize];
        if self.watched.is_some() && host.callers.contains_key(&req) && !host.is_paused() && !host.resigns {
            self.fact(Fact::Unanswered { what: format!("master {master} did not answer {kind}") });
        }
    }

    pub(crate) fn call_master_as_operator(&mut self, master: u32, call: v1::master::Call) {
        let req = self.mint_req();
        self.masters[master as usize].callers.insert(req, Caller::Operator);
        self.step_master(master, Event::FromOperator { req, principal: None, call: Box::new(call) });
    }

    pub(crate) fn on_master_lost_agent(&mut self, master: u32, life: Life, agent: u32) {
        let host = &mut self.masters[master as usize];
        if host.life != life {
            return;
        }
        let broken: Vec<Upid> = host.links.extract_if(.., |_, peer| *peer == agent).map(|(upid, _)| upid).collect();
        for peer in broken {
            self.say(|| format!("master {master} lost its link to agent {agent} at {peer}"));
            self.step_master(master, Event::Exited { peer });
        }
    }

    pub(crate) fn on_master_stream_end(&mut self, master: u32, conn: ConnectionId) {
        // The stream may have been cut already; the core must be able to hear of it all the same.
        self.masters[master as usize].streams.remove(&conn);
        self.step_master(master, Event::Closed { conn });
    }

    /// Every stream between the two is cut.
    pub(crate) fn break_streams(&mut self, master: u32, framework: u32, at: Tick) {
        let streams = &self.masters[master as usize].streams;
        let conns: Vec<ConnectionId> =
            streams.iter().filter(|(_, stream)| stream.framework == framework).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.heap.put(at, Happening::StreamEnds { at: Node::Master(master), conn });
            self.heap.put(at, Happening::StreamEnds { at: Node::Framework(framework), conn });
        }
    }

    /// A scheduler has read one event.
    pub(crate) fn note_read(&mut self, master: u32, conn: ConnectionId) {
        if let Some(stream) = self.masters[master as usize].streams.get_mut(&conn) {
            stream.unread = stream.unread.saturating_sub(1);
        }
    }

    pub(crate) fn wake_master(&mut self, master: u32) {
        let host = &mut self.masters[master as usize];
        if host.wake == Some(self.now) {
            host.wake = None;
            self.step_master(master, Event::Wake);
        }
    }

    pub(crate) fn step_master(&mut self, master: u32, event: Event) {
        let host = &mut self.masters[master as usize];
        if host.resigns {
            return;
        }
        let Some(event) = host.hear(event) else { return };
        // Whoever acted now could do so beside another leader.
        if host.has_run_out(self.now) {
            let epoch = host.epoch;
            self.say(|| format!("the right of master {master} to lead has run out"));
            self.fact(Fact::Deposed { master, epoch });
            return self.end_master(master, secs(self.scenario.faults.master_away_secs));
        }
        if let Event::Persisted { .. } = event {
            host.writes = host.writes.saturating_sub(1);
        }
        let input = Input { now: host.clock.local(self.now), wall: host.clock.wall(self.now), event };
        match &mut host.core {
            Core::Down => {}
            Core::Here(core) => {
                let mut effects = std::mem::take(&mut host.effects);
                core.handle(input, &mut effects);
                let deadline = core.next_deadline().map(|(tick, _)| tick);
                self.carry_out_step(master, &mut effects, deadline);
                self.masters[master as usize].effects = effects;
            }
            Core::Aside => self.tell_aside(input),
        }
    }

    /// Does what a core wants done after one event.
    fn carry_out_step(&mut self, master: u32, effects: &mut Effects, deadline: Option<Tick>) {
        self.trace.note(effects.len() as u64);
        self.check_master(master);
        for effect in effects.drain() {
            self.carry_out_for_master(master, effect);
        }
        self.arm_master(master, deadline);
    }

    fn arm_master(&mut self, master: u32, deadline: Option<Tick>) {
        let host = &mut self.masters[master as usize];
        let Some(deadline) = deadline.filter(|_| host.is_up()) else { return };
        let at = host.clock.moment(deadline).max(self.now).max(self.heap.now());
        if host.wake.is_none_or(|wake| at < wake) {
            host.wake = Some(at);
            self.heap.put(at, Happening::Wake(Node::Master(master)));
        }
    }

    fn carry_out_for_master(&mut self, master: u32, effect: Effect) {
        let deposed = self.masters[master as usize].deposed;
        match effect {
            Effect::ToAgent { from_actor, to, message } => {
                self.spoke(master, deposed, message.name());
                self.master_to_agent(master, from_actor, &to, message);
            }
            Effect::Link { peer } => {
                if let Some(Node::Agent(agent)) = self.node_at(&peer) {
                    self.masters[master as usize].links.insert(peer, agent);
                    if !self.is_up(Node::Agent(agent)) {
                        self.break_link_to_dead(Node::Master(master), Node::Agent(agent));
                    }
                }
            }
            Effect::Unlink { peer } => {
                self.masters[master as usize].links.remove(&peer);
            }
            Effect::ToScheduler { conn, event } => {
                self.spoke(master, deposed, "an event to a scheduler");
                self.master_to_scheduler(master, conn, event);
            }
            Effect::Reply { req, reply } => self.master_replies(master, req, reply),
            Effect::Close { conn } => {
                if let Some(stream) = self.masters[master as usize].streams.remove(&conn) {
                    let at = self.stream_end_after_events(master, stream.framework);
                    self.heap.put(at, Happening::StreamEnds { at: Node::Framework(stream.framework), conn });
                }
            }
            Effect::Persist { ticket, operations } => {
                self.spoke(master, deposed, "a write");
                self.note_stored(master, &operations);
                self.persist(master, ticket, operations);
            }
            // No v0 driver takes part.
            Effect::Publish { .. } | Effect::ToDriver { .. } => {}
            Effect::StepDown { why } => {
                self.say(|| format!("master {master} steps down: {why}"));
                let away = secs(self.scenario.faults.master_away_secs);
                let host = &mut self.masters[master as usize];
                let epoch = host.epoch;
                if !std::mem::replace(&mut host.deposed, true) {
                    self.fact(Fact::Deposed { master, epoch });
                    self.end_master(master, away);
                }
                // Whoever was told before ends by itself, once it has handed over, or a little later.
            }
        }
    }

    fn master_to_agent(&mut self, master: u32, from_actor: Actor, to: &Upid, message: ToAgent) {
        let Some(node @ Node::Agent(agent)) = self.node_at(to) else { return };
        match &message {
            _ if self.watched.is_none() => {}
            ToAgent::StatusUpdateAcknowledgement(ack) => {
                let (framework, task) = (FrameworkId::from(&ack.framework_id), TaskId::from(&ack.task_id));
                self.fact(Fact::AgentAcknowledged { agent, framework, task, uuid: ack.uuid.clone() });
            }
            ToAgent::ShutdownFramework(over) => {
                self.fact(Fact::FrameworkShutDown { agent, id: FrameworkId::from(&over.framework_id) });
            }
            ToAgent::KillTask(kill) => {
                let (framework, task) = (FrameworkId::from(&kill.framework_id), TaskId::from(&kill.task_id));
                self.fact(Fact::KillSent { framework, task });
            }
            ToAgent::SlaveRegistered(m) => self.note_let_in(master, AgentId::from(&m.agent_id)),
            ToAgent::SlaveReregistered(m) => self.note_let_in(master, AgentId::from(&m.agent_id)),
            _ => {}
        }
        let mut from = self.masters[master as usize].upid.clone();
        if from_actor != Actor::Master {
            from.id = from_actor.to_string().into();
        }
        self.send(Node::Master(master), node, Message::ToAgent(from, message));
    }

    /// A scheduler that has not read what earlier steps said is cut off, and the core hears of it a little later.
    fn master_to_scheduler(&mut self, master: u32, conn: ConnectionId, event: Box<v1::scheduler::Event>) {
        let outbox = self.scenario.network.outbox;
        let host = &mut self.masters[master as usize];
        let Some(stream) = host.streams.get_mut(&conn) else { return };
        let framework = stream.framework;
        let first = std::mem::replace(&mut stream.turn, self.steps) != self.steps;
        if first && stream.unread >= outbox {
            host.streams.remove(&conn);
            self.say(|| format!("master {master} cuts stream {conn} of framework {framework}, which does not read"));
            let at = self.now + Duration::from_micros(100);
            self.heap.put(at, Happening::StreamEnds { at: Node::Master(master), conn });
            self.heap.put(at, Happening::StreamEnds { at: Node::Framework(framework), conn });
            return;
        }
        stream.unread += 1;
        if self.watched.is_some() {
            self.note_event(master, framework, &event);
        }
        self.send(Node::Master(master), Node::Framework(framework), Message::Event { conn, event });
    }

    fn master_replies(&mut self, master: u32, req: RequestId, reply: Reply) {
        if reply == Reply::Accepted {
            self.accepted = Some(req);
        }
        match self.masters[master as usize].callers.remove(&req) {
            // Nobody waits for a word that all is well.
            Some(Caller::Scheduler { .. }) if reply == Reply::Accepted && self.watched.is_none() => {}
            None => self.fact(Fact::Unanswered { what: format!("master {master} answered request {req} twice") }),
            Some(Caller::Operator) => {
                self.say(|| format!("master {master} answers the operator: {reply:?}"));
                self.on_operator_reply(&reply);
            }
            Some(Caller::Scheduler { framework, life, opens }) => {
                if let Some(conn) = opens.filter(|_| !matches!(reply, Reply::Stream { .. })) {
                    self.masters[master as usize].streams.remove(&conn);
                }
                if self.life_of(Node::Framework(framework)) == life {
                    self.send(Node::Master(master), Node::Framework(framework), Message::Reply { req, reply });
                }
            }
        }
    }

    /// The end of a stream comes after what was sent on it.
    fn stream_end_after_events(&mut self, master: u32, framework: u32) -> Tick {
        let at = self.now + self.draw_latency();
        self.network.not_before(Node::Master(master), Node::Framework(framework), at)
    }
}

fn config(scenario: &Scenario) -> Config {
    let tuning = &scenario.tuning;
    let mut config = Config {
        agent_ping_timeout: secs(tuning.ping_secs),
        max_agent_ping_timeouts: tuning.ping_timeouts,
        agent_reregister_timeout: secs(tuning.reregister_secs),
        offer_timeout: (tuning.offer_timeout_secs > 0.0).then(|| secs(tuning.offer_timeout_secs)),
        agent_removal_rate_limit: (tuning.removals_per_minute > 0)
            .then_some((tuning.removals_per_minute, Duration::from_secs(60))),
        registry_gc_interval: secs(tuning.registry_gc_secs),
        authenticate_agents: tuning.authenticate,
        registry_max_agent_count: tuning.registry_max_agents as usize,
        max_completed_frameworks: tuning.history as usize,
        max_completed_tasks_per_framework: tuning.history as usize,
        max_unreachable_tasks_per_framework: tuning.history as usize,
        ..Config::default()
    };
    config.allocator.event_driven = tuning.event_driven;
    if tuning.random_sorters {
        config.allocator.role_sorter = SorterKind::Random;
        config.allocator.framework_sorter = SorterKind::Random;
    }
    config
}
