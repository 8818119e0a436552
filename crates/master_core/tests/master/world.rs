//! One master with a clock, a registry and peers that only exist as ids. Every step ends with a look at the invariants.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use master_core::{Actor, Config, ConnectionId, Effect, Effects, Event, Input, Master, Reply, RequestId, Ticket};
use proto::{
    internal,
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1,
};
use registry::{Operation, Registry};
use stdx::{Tick, WallTime};

/// 1970-01-01 00:16:40: wall time when the tick is zero.
const EPOCH: i64 = 1_000_000_000_000;

pub struct World {
    pub master: Master,
    pub now: Tick,
    pub config: Config,
    pub unwritten: VecDeque<Ticket>,
    /// Agents that answer no ping.
    pub silent: BTreeSet<u16>,
    /// Writes are durable at once.
    pub auto_persist: bool,
    /// Writes that are stored at once, whether others wait or not.
    noted: Vec<Ticket>,
    /// By conn: the stream id of its reply.
    pub streams: BTreeMap<ConnectionId, String>,
    /// By conn: the framework it was told to be.
    pub frameworks: BTreeMap<ConnectionId, String>,
    pub stepped_down: bool,
    /// By agent: the number of the observer that pinged it last.
    observers: BTreeMap<u16, u64>,
    /// With the stream that a SUBSCRIBE would open.
    reqs: BTreeMap<RequestId, Option<ConnectionId>>,
    next_req: u64,
}

pub fn config() -> Config {
    let mut config = Config::default();
    config.allocator.coalesce = Duration::ZERO;
    config
}

impl World {
    /// The masters of one world have different ids: `m`, and for later ones the seed.
    pub fn new(config: Config, seed: u64) -> World {
        let info = v1::MasterInfo {
            id: if seed < 1000 { "m".into() } else { format!("m{seed}") },
            ip: 0,
            port: 5050,
            pid: Some("master@10.0.0.100:5050".into()),
            ..Default::default()
        };
        World {
            master: Master::new(config.clone(), info, seed),
            now: Tick::ZERO,
            config,
            unwritten: VecDeque::new(),
            silent: BTreeSet::new(),
            auto_persist: true,
            noted: Vec::new(),
            streams: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            stepped_down: false,
            observers: BTreeMap::new(),
            reqs: BTreeMap::new(),
            next_req: 1,
        }
    }

    pub fn wall(&self) -> WallTime {
        WallTime(EPOCH + self.now.0 as i64)
    }

    /// Gives one event to the master and returns what it wants done.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Effects::new();
        self.master.handle(Input { now: self.now, wall: self.wall(), event }, &mut out);
        let mut effects: Vec<Effect> = out.drain().collect();
        if let Err(broken) = self.master.check_invariants() {
            panic!("{broken}");
        }
        for effect in &effects {
            self.note(effect);
        }
        for ticket in std::mem::take(&mut self.noted) {
            effects.extend(self.step(Event::Persisted { ticket, outcome: Ok(()) }));
        }
        while self.auto_persist
            && let Some(ticket) = self.unwritten.pop_front()
        {
            effects.extend(self.step(Event::Persisted { ticket, outcome: Ok(()) }));
        }
        effects
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            // Nobody waits for these, so scripts do not either.
            Effect::Persist { ticket, operations } if operations.iter().all(is_note) => self.noted.push(*ticket),
            Effect::Persist { ticket, .. } => self.unwritten.push_back(*ticket),
            Effect::Reply { req, reply } => {
                let conn = self.reqs.remove(req).expect("each request is answered once");
                if let Reply::Stream { stream_id } = reply {
                    self.streams.insert(conn.expect("a stream to open"), stream_id.clone());
                }
            }
            Effect::ToScheduler { conn, event } => {
                if let Some(subscribed) = &event.subscribed {
                    self.frameworks.insert(*conn, subscribed.framework_id.value.clone());
                }
            }
            Effect::ToAgent { from_actor: Actor::Observer(number), .. } => {
                self.observers.extend(pinged(effect).map(|agent| (agent, *number)));
            }
            Effect::StepDown { .. } => self.stepped_down = true,
            _ => {}
        }
    }

    pub fn elect(&mut self, registry: Registry) -> Vec<Effect> {
        self.step(Event::Elected { registry: Box::new(registry) })
    }

    /// Another master takes over with what this one made durable.
    pub fn fail_over(&mut self, seed: u64) -> Vec<Effect> {
        let registry = Registry::clone(&self.master.view().registry);
        let next = World::new(self.config.clone(), seed);
        self.master = next.master;
        self.unwritten.clear();
        self.reqs.clear();
        self.streams.clear();
        self.elect(registry)
    }

    pub fn advance(&mut self, by: Duration) -> Vec<Effect> {
        let end = self.now + by;
        let mut effects = Vec::new();
        let mut wakes = 0;
        while let Some((tick, why)) = self.master.next_deadline()
            && tick <= end
        {
            wakes += 1;
            assert!(wakes < 100_000, "the master wants to be woken for {why:?} without end");
            self.now = self.now.max(tick);
            effects.extend(self.wake());
        }
        self.now = end;
        effects.extend(self.wake());
        effects
    }

    /// Wakes the master, and lets the agents answer its pings.
    fn wake(&mut self) -> Vec<Effect> {
        let effects = self.step(Event::Wake);
        let mut all = Vec::new();
        for effect in effects {
            let pinged = pinged(&effect);
            all.push(effect);
            if let Some(agent) = pinged.filter(|agent| !self.silent.contains(agent)) {
                all.extend(self.hear(agent, internal::PongSlaveMessage {}.into()));
            }
        }
        all
    }

    pub fn hear(&mut self, agent: u16, message: ToMaster) -> Vec<Effect> {
        let to = match (&message, self.observers.get(&agent)) {
            (ToMaster::PongSlave(_), Some(observer)) => Actor::Observer(*observer),
            _ => Actor::Master,
        };
        self.step(Event::FromAgent { from: pid(agent), to, message })
    }

    /// A call on stream `conn`, with the ids that belong to it unless the call has its own.
    pub fn call(
        &mut self,
        conn: ConnectionId,
        mut call: v1::scheduler::Call,
        stream_id: Option<String>,
    ) -> Vec<Effect> {
        let is_subscribe = call.subscribe.is_some();
        if call.framework_id.is_none() && !is_subscribe {
            call.framework_id = self.frameworks.get(&conn).map(|id| v1::FrameworkId { value: id.clone() });
        }
        let own = self.streams.get(&conn).filter(|_| !is_subscribe).cloned();
        let opens = is_subscribe.then_some(conn);
        let req = self.req(opens);
        let stream_id = stream_id.or(own);
        self.step(Event::FromScheduler { req, conn: opens, principal: None, stream_id, call: Box::new(call) })
    }

    pub fn operator(&mut self, call: v1::master::Call) -> Vec<Effect> {
        let req = self.req(None);
        self.step(Event::FromOperator { req, principal: None, call: Box::new(call) })
    }

    fn req(&mut self, conn: Option<ConnectionId>) -> RequestId {
        let req = RequestId(self.next_req);
        self.next_req += 1;
        self.reqs.insert(req, conn);
        req
    }

    /// Requests that have no reply yet.
    pub fn unanswered(&self) -> usize {
        self.reqs.len()
    }
}

/// Which agent a ping goes to.
pub fn pinged(effect: &Effect) -> Option<u16> {
    match effect {
        Effect::ToAgent { to, message: ToAgent::PingSlave(_), .. } => to.host.rsplit('.').next()?.parse().ok(),
        _ => None,
    }
}

/// The address of the agent with this number.
pub fn pid(agent: u16) -> Upid {
    Upid::new("slave(1)", format!("10.0.0.{agent}"), 5051)
}

pub fn resources(text: &str) -> Vec<v1::Resource> {
    resources::Resources::parse(text, "*").expect("resources of a test").to_protos()
}

fn is_note(operation: &Operation) -> bool {
    matches!(operation, Operation::RecordFramework(_) | Operation::RemoveFramework { .. })
}
