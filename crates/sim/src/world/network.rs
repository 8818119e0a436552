//! The network: messages keep their order on one connection and on no two. Connections break and lose what was under
//! way, partitions hold messages back or lose them, some messages come late or twice.

use std::{collections::BTreeSet, time::Duration};

use proto::{upid::Upid, v1};
use stdx::{Rng, Tick};

use super::{
    World,
    happening::{Delivery, Happening, Message, Node},
};
use crate::scenario::secs;

/// How long a sender waits for a silent peer before its connection breaks.
const PATIENCE: Duration = Duration::from_secs(12);

#[derive(Default)]
pub(crate) struct Network {
    channels: Channels,
    cuts: Vec<Cut>,
    /// Faults of the network are off.
    pub calm: bool,
}

/// One direction of one connection.
#[derive(Clone, Copy, Default)]
struct Channel {
    last: Tick,
    generation: u32,
}

/// Every channel has a master at one end: they are kept by that master, then by the other end.
#[derive(Default)]
struct Channels(Vec<[Vec<Channel>; 4]>);

impl Channels {
    fn between(&mut self, from: Node, to: Node) -> &mut Channel {
        let (master, kind, other) = match (from, to) {
            (Node::Master(master), Node::Agent(other)) => (master, 0, other),
            (Node::Agent(other), Node::Master(master)) => (master, 1, other),
            (Node::Master(master), Node::Framework(other)) => (master, 2, other),
            (Node::Framework(other), Node::Master(master)) => (master, 3, other),
            (from, to) => panic!("{from:?} and {to:?} do not talk"),
        };
        let kinds = at(&mut self.0, master);
        at(&mut kinds[kind], other)
    }
}

/// The place in a list, which grows to have it.
fn at<T: Default>(list: &mut Vec<T>, place: u32) -> &mut T {
    let place = place as usize;
    if list.len() <= place {
        list.resize_with(place + 1, T::default);
    }
    &mut list[place]
}

/// A part of the nodes does not hear the rest, or is not heard, or both.
pub(crate) struct Cut {
    pub island: BTreeSet<Node>,
    pub inward: bool,
    pub outward: bool,
    pub until: Tick,
}

impl Network {
    pub fn cut(&mut self, cut: Cut) {
        self.cuts.push(cut);
    }

    /// Until when nothing gets from `from` to `to`, if nothing does.
    pub fn cut_until(&self, from: Node, to: Node, now: Tick) -> Option<Tick> {
        let parted = |cut: &&Cut| match (cut.island.contains(&from), cut.island.contains(&to)) {
            (true, false) => cut.outward,
            (false, true) => cut.inward,
            _ => false,
        };
        self.cuts.iter().filter(|cut| cut.until > now).filter(parted).map(|cut| cut.until).max()
    }

    /// Until when a node is on some island: what the elections and the store see of it.
    pub fn island_until(&self, node: Node, now: Tick) -> Option<Tick> {
        self.cuts.iter().filter(|cut| cut.until > now && cut.island.contains(&node)).map(|cut| cut.until).max()
    }

    /// The moment at which something sent to arrive at `at` does arrive, after all that went before.
    pub fn not_before(&mut self, from: Node, to: Node, at: Tick) -> Tick {
        let channel = self.channels.between(from, to);
        channel.last = channel.last.max(at);
        channel.last
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        self.calm = true;
    }

    pub fn forget_past(&mut self, now: Tick) {
        self.cuts.retain(|cut| cut.until > now);
    }
}

/// Where a node is reached.
pub(crate) fn host_of(node: Node) -> String {
    match node {
        Node::Master(n) => format!("10.0.0.{}", n + 1),
        Node::Agent(n) => format!("10.{}.{}.{}", 128 + (n >> 16), (n >> 8) & 255, n & 255),
        Node::Framework(n) => format!("10.1.{}.{}", n >> 8, n & 255),
    }
}

pub(crate) fn master_upid(master: u32) -> Upid {
    Upid::new("master", host_of(Node::Master(master)), 5050)
}

impl World {
    /// How long the next message takes.
    pub(crate) fn draw_latency(&mut self) -> Duration {
        let network = &self.scenario.network;
        let (min, max, spike, spike_secs) =
            (network.latency_min_ms, network.latency_max_ms, network.spike, network.spike_secs);
        let rng = &mut self.draws.network;
        if spike > 0.0 && !self.network.calm && rng.unit() < spike {
            return secs(rng.unit() * spike_secs);
        }
        Duration::from_nanos(((min + rng.unit() * (max - min)) * 1e6) as u64)
    }

    pub(crate) fn send(&mut self, from: Node, to: Node, message: Message) {
        let message = if self.scenario.network.encode { message.through_the_wire() } else { message };
        let mut at = self.now + self.draw_latency();
        if let Some(until) = self.network.cut_until(from, to, self.now) {
            if until.since(self.now) > PATIENCE {
                let breaks = self.now + PATIENCE;
                self.lose(from, to, &message, breaks);
                self.break_channel(from, to, breaks);
                return;
            }
            at = at.max(until + at.since(self.now));
        }
        let faults = &self.scenario.faults;
        let (lose, duplicate) = (faults.lose, faults.duplicate);
        if !self.network.calm && lose > 0.0 && self.draws.network.unit() < lose {
            self.lose(from, to, &message, at);
            self.break_channel(from, to, at);
            return;
        }
        let (from_life, life) = (self.life_of(from), self.life_of(to));
        let channel = self.network.channels.between(from, to);
        at = at.max(channel.last);
        channel.last = at;
        let generation = channel.generation;
        let between_cores = matches!(message, Message::ToAgent(..) | Message::ToMaster(..));
        if between_cores && !self.network.calm && duplicate > 0.0 && self.draws.network.unit() < duplicate {
            let again = Delivery { from, to, from_life, life, generation, message: message.clone() };
            self.heap.put(at, Happening::Deliver(Box::new(again)));
        }
        self.heap.put(at, Happening::Deliver(Box::new(Delivery { from, to, from_life, life, generation, message })));
    }

    /// A message that never arrives. Who called and waits hears of that much.
    fn lose(&mut self, from: Node, to: Node, message: &Message, at: Tick) {
        self.say(|| format!("lost: {} from {from:?}", message.name()));
        let (caller, req) = match (from, to, message) {
            (Node::Framework(_), _, Message::Call { req, .. }) => (from, *req),
            (_, Node::Framework(_), Message::Reply { req, .. }) => (to, *req),
            _ => return,
        };
        let life = self.life_of(caller);
        if let Node::Framework(framework) = caller {
            self.heap.put(at, Happening::CallFails { framework, life, req });
        }
    }

    /// What `from` sent to `to` and what is under way is lost, and `from` hears of it if it keeps a link.
    pub(crate) fn break_channel(&mut self, from: Node, to: Node, at: Tick) {
        self.network.channels.between(from, to).generation += 1;
        let life = self.life_of(from);
        self.heap.put(at, Happening::Exited { node: from, life, peer: to });
        let pair = match (from, to) {
            (Node::Master(master), Node::Framework(framework)) | (Node::Framework(framework), Node::Master(master)) => {
                (master, framework)
            }
            _ => return,
        };
        self.break_streams(pair.0, pair.1, at);
    }

    pub(crate) fn on_delivery(&mut self, delivery: Delivery) {
        let Delivery { from, to, from_life, life, generation, message } = delivery;
        let standing = self.network.channels.between(from, to).generation == generation;
        if !standing || life != self.life_of(to) || !self.is_up(to) {
            let at = self.now + Duration::from_millis(1);
            self.lose(from, to, &message, at);
            return;
        }
        self.say(|| format!("{from:?} -> {to:?}: {}", describe(&message)));
        self.trace.text(message.name());
        if let Some(talk) = &mut self.talk
            && matches!(message, Message::ToAgent(..) | Message::ToMaster(..))
        {
            talk.push(describe(&message));
        }
        match (to, message) {
            // Its process is no more, and another leads at its address.
            (Node::Agent(agent), _) if self.agents[agent as usize].shuts_out(from, from_life) => {}
            (Node::Master(master), Message::ToMaster(sender, to, message)) => {
                self.tell_master(master, sender, to, message)
            }
            (Node::Master(master), Message::Call { req, conn, stream_id, call }) => {
                self.call_master(master, from, req, conn, stream_id, call);
            }
            (Node::Agent(agent), Message::ToAgent(sender, message)) => self.tell_agent(agent, sender, message),
            (Node::Master(master), Message::Prove(peer)) => {
                if let Node::Agent(agent) = from {
                    self.hear_out(master, agent, peer);
                }
            }
            (Node::Agent(agent), Message::Proof(master, taken)) => self.hear_proof(agent, master, taken),
            (Node::Framework(framework), Message::Reply { req, reply }) => self.on_reply(framework, req, reply),
            (Node::Framework(framework), Message::Event { conn, event }) => {
                let Node::Master(master) = from else { return };
                self.on_scheduler_event(framework, master, conn, event);
            }
            (to, message) => panic!("{} is not for {to:?}", message.name()),
        }
    }

    /// Two nodes, of which one is a master, for a fault between them.
    pub(crate) fn draw_pair(&mut self) -> (Node, Node) {
        let rng: &mut Rng = &mut self.draws.faults;
        let master = Node::Master(rng.below(self.masters.len() as u64) as u32);
        let others = self.agents.len() + self.schedulers.len();
        let other = rng.below(others.max(1) as u64) as u32;
        let agents = self.agents.len() as u32;
        let other = if other < agents { Node::Agent(other) } else { Node::Framework(other - agents) };
        if rng.below(2) == 0 { (master, other) } else { (other, master) }
    }
}

/// A message in a few words, for people.
fn describe(message: &Message) -> String {
    use proto::link::{ToAgent, ToMaster};
    let name = message.name().rsplit('.').next().unwrap_or_default();
    match message {
        Message::ToMaster(_, _, ToMaster::StatusUpdate(m)) => {
            let status = &m.update.status;
            format!("{name} {} {}", status.task_id.value, status.state().as_str_name())
        }
        Message::ToAgent(_, ToAgent::RunTask(m)) => format!("{name} {}", m.task.task_id.value),
        Message::ToAgent(_, ToAgent::KillTask(m)) => format!("{name} {}", m.task_id.value),
        Message::ToAgent(_, ToAgent::StatusUpdateAcknowledgement(m)) => format!("{name} {}", m.task_id.value),
        Message::ToAgent(from, _) => format!("{name} as {}", from.id),
        Message::Event { conn, event } => match (&event.update, &event.offers) {
            (Some(update), _) => {
                let status = &update.status;
                let uuid = if status.uuid.is_some() { "" } else { " (no uuid)" };
                let why = status.message.as_deref().unwrap_or_default();
                format!("{name} {} {}{uuid} on {conn} {why}", status.task_id.value, status.state().as_str_name())
            }
            (_, Some(offers)) => {
                let amounts = |offer: &v1::Offer| {
                    let scalars = offer
                        .resources
                        .iter()
                        .filter_map(|resource| Some(format!("{}:{}", resource.name, resource.scalar.as_ref()?.value)));
                    format!("{} ({})", offer.agent_id.value, scalars.collect::<Vec<_>>().join(";"))
                };
                let all: Vec<String> = offers.offers.iter().map(amounts).collect();
                format!("{name} on {conn}: {}", all.join(", "))
            }
            _ => format!("{name} on {conn}"),
        },
        Message::Call { req, .. } => format!("{name} as request {req}"),
        Message::Reply { req, reply } => format!("{name} {reply:?} to {req}"),
        Message::ToMaster(..) | Message::Prove(_) | Message::Proof(..) => name.to_owned(),
    }
}
