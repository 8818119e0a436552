//! The loop: one task owns the core, feeds it what arrives, and carries out its effects. It never waits for an effect.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use coordination::{Outcome, Registrar, registrar::OnOutcome};
use master_core::{ConnId, Effect, Effects, Event, Input, Master, PersistError, Reply, ReqId, State, Ticket};
use observe::metrics;
use proto::v1;
use stdx::clock::{self, Clock};
use tokio::sync::oneshot;
use transport::{
    Node,
    inbox::{self, Post, Traffic},
};

/// How many inputs one turn of the loop takes before it looks at ended streams and timers again.
const BATCH: usize = 256;

/// What goes in and out of a master's loop.
pub struct MasterTraffic;

impl Traffic for MasterTraffic {
    type Event = Event;
    type Reply = Reply;
    type View = View;
    type Streamed = Box<v1::scheduler::Event>;
}

/// What readers get: a snapshot of the state, and what the allocator's books say.
#[derive(Clone, Debug)]
pub struct View {
    pub state: State,
    pub allocation: Allocation,
}

/// Of the allocator's books, what does not follow from the state.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Cycles begun.
    pub runs: u64,
    /// The dominant share of each role.
    pub shares: BTreeMap<Arc<str>, f64>,
}

pub type Inbox = inbox::Inbox<MasterTraffic>;
pub type Arrivals = inbox::Arrivals<MasterTraffic>;
pub type Outbox = transport::Outbox<Box<v1::scheduler::Event>>;

/// The core and everything an effect may touch.
pub struct Loop {
    core: Master,
    clock: Clock,
    registrar: Registrar,
    node: Node,
    replies: HashMap<ReqId, oneshot::Sender<Reply>>,
    streams: HashMap<ConnId, Outbox>,
    effects: Effects,
    writes: Writes,
    /// Why the master must end, once it must.
    ending: Option<String>,
}

impl Loop {
    pub fn new(core: Master, clock: Clock, registrar: Registrar, node: Node, metrics: &metrics::Registry) -> Loop {
        Loop {
            core,
            clock,
            registrar,
            node,
            replies: HashMap::new(),
            streams: HashMap::new(),
            effects: Effects::new(),
            writes: Writes::new(metrics),
            ending: None,
        }
    }

    /// Runs until the core steps down; the reason comes back.
    pub async fn run(mut self, mut arrivals: Arrivals) -> String {
        let mut posts = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.core.next_deadline().map(|(tick, _)| self.clock.instant(tick));
            tokio::select! {
                biased;
                Some(conn) = arrivals.closings.recv() => self.on_closing(conn),
                count = arrivals.posts.recv_many(&mut posts, BATCH) => {
                    if count == 0 {
                        return "nobody is left to serve".into();
                    }
                    posts.drain(..).for_each(|post| self.on_post(post));
                }
                () = sleep_until(deadline) => self.step(Event::Wake),
            }
            if let Some(why) = self.ending.take() {
                return why;
            }
        }
    }

    fn on_closing(&mut self, conn: ConnId) {
        self.streams.remove(&conn);
        self.step(Event::Closed { conn });
    }

    fn on_post(&mut self, post: Post<MasterTraffic>) {
        match post {
            Post::Event(event) => self.step(event),
            Post::Call(call) => {
                self.replies.insert(call.req, call.reply);
                self.streams.extend(call.stream);
                self.step(call.event);
            }
            Post::View(sender) => drop(sender.send(self.view())),
        }
    }

    fn view(&self) -> View {
        let allocator = self.core.allocator();
        let allocation = Allocation { runs: allocator.cycles(), shares: allocator.role_shares() };
        View { state: self.core.view().clone(), allocation }
    }

    fn step(&mut self, event: Event) {
        if let Event::Persisted { ticket, .. } = &event {
            self.writes.done(*ticket);
        }
        let input = Input { now: self.clock.now(), wall: clock::wall(), event };
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(input, &mut effects);
        effects.drain().for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToAgent { from_actor, to, message } => {
                self.node.send(&from_actor.to_string(), &to, message.name(), &message.encode());
            }
            Effect::Link { peer } => self.node.link(&peer),
            Effect::Unlink { peer } => self.node.unlink(&peer),
            Effect::ToScheduler { conn, event } => self.tell_scheduler(conn, event),
            Effect::Reply { req, reply } => {
                if let Some(sender) = self.replies.remove(&req) {
                    // A requester that has left does not want its reply.
                    let _ = sender.send(reply);
                }
            }
            Effect::Close { conn } => drop(self.streams.remove(&conn)),
            Effect::Persist { ticket, operations } => {
                self.writes.begin(ticket);
                if let Err(why) = self.registrar.persist(ticket, operations) {
                    self.step_down(why);
                }
            }
            // The core is told not to publish while nothing serves the operator event stream.
            Effect::Publish { .. } => {}
            Effect::StepDown { why } => self.step_down(why),
        }
    }

    /// A scheduler that does not read its events is cut off; it hears of it by the end of its stream.
    fn tell_scheduler(&mut self, conn: ConnId, event: Box<v1::scheduler::Event>) {
        let Some(outbox) = self.streams.get(&conn) else { return };
        if outbox.send(event).is_err()
            && let Some(outbox) = self.streams.remove(&conn)
        {
            tracing::warn!(conn, "a scheduler is gone or reads too slowly; its stream is cut");
            outbox.abort();
        }
    }

    fn step_down(&mut self, why: String) {
        self.ending.get_or_insert(why);
    }
}

/// The writes to the registry that are under way, measured.
struct Writes {
    begun: HashMap<Ticket, Instant>,
    waiting: metrics::Gauge,
    took: metrics::Timer,
}

impl Writes {
    fn new(metrics: &metrics::Registry) -> Writes {
        Writes {
            begun: HashMap::new(),
            waiting: metrics.gauge("registrar/queued_operations"),
            took: metrics.timer("registrar/state_store"),
        }
    }

    fn begin(&mut self, ticket: Ticket) {
        self.begun.insert(ticket, Instant::now());
        self.waiting.set(self.begun.len() as f64);
    }

    fn done(&mut self, ticket: Ticket) {
        if let Some(begun) = self.begun.remove(&ticket) {
            self.took.record(begun.elapsed());
        }
        self.waiting.set(self.begun.len() as f64);
    }
}

/// Turns what the registrar reports into events.
pub fn on_outcome(inbox: Inbox) -> OnOutcome {
    Box::new(move |ticket, outcome| {
        let outcome = match outcome {
            Outcome::Stored => Ok(()),
            Outcome::Refused(refusal) => Err(PersistError(refusal.to_string())),
            Outcome::Failed(why) => Err(PersistError(why)),
        };
        inbox.put_blocking(Event::Persisted { ticket, outcome });
    })
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
