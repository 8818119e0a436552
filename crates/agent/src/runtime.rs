//! The loop: one task owns the core, feeds it what arrives, and carries out its effects. It never waits for an effect;
//! what takes time goes to `world`, which reports back through the inbox.

use std::{collections::HashMap, time::Instant};

use agent_core::{Agent, ConnId, Effect, Effects, Event, Input, Record, Reply, ReqId, State};
use journal::Journal;
use proto::v1;
use stdx::clock::{self, Clock};
use tokio::sync::oneshot;
use transport::{
    Node,
    inbox::{self, Post, Traffic},
};

use crate::world::World;

/// How many inputs one turn of the loop takes before it looks at ended streams and timers again.
const BATCH: usize = 256;

/// Above this size the journal is written anew from the core's snapshot, if it has also doubled since the last time.
const COMPACT_BYTES_MIN: u64 = 16 << 20;

/// The ticket of records that nobody waits for.
pub const NO_TICKET: u64 = u64::MAX;

/// The actor that the agent is towards masters.
pub const ACTOR: &str = "slave(1)";

/// What goes in and out of an agent's loop.
pub struct AgentTraffic;

impl Traffic for AgentTraffic {
    type Event = Event;
    type Reply = Reply;
    type View = State;
    type Streamed = Box<v1::executor::Event>;
}

pub type Inbox = inbox::Inbox<AgentTraffic>;
pub type Arrivals = inbox::Arrivals<AgentTraffic>;
pub type Outbox = transport::Outbox<Box<v1::executor::Event>>;

/// The core and everything an effect may touch.
pub struct Loop {
    core: Agent,
    clock: Clock,
    journal: Journal,
    compacted_bytes: u64,
    node: Node,
    world: World,
    replies: HashMap<ReqId, oneshot::Sender<Reply>>,
    streams: HashMap<ConnId, Outbox>,
    effects: Effects,
    ending: Option<(u8, String)>,
}

impl Loop {
    pub fn new(core: Agent, journal: Journal, node: Node, world: World) -> Loop {
        Loop {
            core,
            clock: Clock::start(),
            compacted_bytes: journal.len_bytes(),
            journal,
            node,
            world,
            replies: HashMap::new(),
            streams: HashMap::new(),
            effects: Effects::new(),
            ending: None,
        }
    }

    /// Runs until the core is done; its exit code and reason come back.
    pub async fn run(mut self, mut arrivals: Arrivals) -> (u8, String) {
        let mut posts = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.core.next_deadline().map(|(tick, _)| self.clock.instant(tick));
            tokio::select! {
                biased;
                Some(conn) = arrivals.closings.recv() => self.on_closing(conn),
                count = arrivals.posts.recv_many(&mut posts, BATCH) => {
                    if count == 0 {
                        return (0, "nobody is left to serve".into());
                    }
                    posts.drain(..).for_each(|post| self.on_post(post));
                }
                () = sleep_until(deadline) => self.step(Event::Wake),
            }
            if let Some(ending) = self.ending.take() {
                return ending;
            }
            self.compact_journal();
        }
    }

    fn on_closing(&mut self, conn: ConnId) {
        self.streams.remove(&conn);
        self.step(Event::Closed { conn });
    }

    fn on_post(&mut self, post: Post<AgentTraffic>) {
        match post {
            Post::Event(event) => self.step(event),
            Post::Call(call) => {
                self.replies.insert(call.req, call.reply);
                self.streams.extend(call.stream);
                self.step(call.event);
            }
            Post::View(sender) => drop(sender.send(self.core.view().clone())),
        }
    }

    fn step(&mut self, event: Event) {
        let input = Input { now: self.clock.now(), wall: clock::wall(), event };
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(input, &mut effects);
        effects.drain().for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToMaster { to, message } => self.node.send(ACTOR, &to, message.name(), &message.encode()),
            Effect::Link { peer } => self.node.link(&peer),
            Effect::Unlink { peer } => self.node.unlink(&peer),
            Effect::ToExecutor { conn, event } => self.tell_executor(conn, event),
            Effect::Reply { req, reply } => {
                if let Some(sender) = self.replies.remove(&req) {
                    // A requester that has left does not want its reply.
                    let _ = sender.send(reply);
                }
            }
            Effect::Close { conn } => drop(self.streams.remove(&conn)),
            Effect::Checkpoint { ticket, record } => self.checkpoint(ticket, &record),
            Effect::Launch { spec } => self.world.launch(*spec),
            Effect::UpdateLimits { container, limits } => self.world.update_limits(container, limits),
            Effect::Signal { container, signal } => self.world.signal(&container, signal),
            Effect::Destroy { container } => self.world.destroy(container),
            Effect::Remove { container, sandbox } => self.world.remove(container, sandbox),
            Effect::RetireSandbox { path, at } => self.world.sandboxes.retire(&path, at),
            Effect::MeasureDisk => self.world.measure_disk(),
            Effect::PruneSandboxes { retired_until } => self.world.prune_sandboxes(retired_until),
            Effect::Exit { code, why } => drop(self.ending.get_or_insert((code, why))),
        }
    }

    /// An agent that cannot write its journal must not go on: it could not keep what it promises.
    fn checkpoint(&mut self, ticket: Option<u64>, record: &Record) {
        if let Err(error) = self.journal.append(ticket.unwrap_or(NO_TICKET), record.to_bytes()) {
            self.ending.get_or_insert((1, format!("cannot checkpoint: {error}")));
        }
    }

    /// An executor that does not read its events is cut off; it subscribes again and gets what it missed.
    fn tell_executor(&mut self, conn: ConnId, event: Box<v1::executor::Event>) {
        let Some(outbox) = self.streams.get(&conn) else { return };
        if outbox.send(event).is_err()
            && let Some(outbox) = self.streams.remove(&conn)
        {
            outbox.abort();
        }
    }

    fn compact_journal(&mut self) {
        let length = self.journal.len_bytes();
        if length < COMPACT_BYTES_MIN || length < 2 * self.compacted_bytes {
            return;
        }
        let records: Vec<bytes::Bytes> = self.core.snapshot().iter().map(|record| record.to_bytes()).collect();
        self.compacted_bytes = records.iter().map(|record| record.len() as u64).sum::<u64>().max(COMPACT_BYTES_MIN / 2);
        if let Err(error) = self.journal.compact(records) {
            self.ending.get_or_insert((1, format!("cannot checkpoint: {error}")));
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
