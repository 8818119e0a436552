//! The loop: one task owns the core, feeds it what arrives, and carries out its effects. It never waits for an effect;
//! what takes time goes to `world`, which reports back through the inbox.

use std::time::Instant;

use agent_core::{Agent, Effect, Effects, Event, Input, LaunchSpec, Record, State, Ticket, recording};
use journal::Journal;
use observe::flight::Flight;
use stdx::clock::{self, Clock};
use transport::{
    Node,
    auth::{authenticatee::Authenticatee, jwt::Key},
    inbox::turns::{self, Owner, Peers},
};

use crate::{
    traffic::{ACTOR, AgentTraffic, Arrivals},
    world::World,
};

/// Above this size the journal is written anew from the core's snapshot, if it has also doubled since the last time.
const COMPACT_BYTES_MIN: u64 = 16 << 20;

/// The core and everything an effect may touch.
pub struct Loop {
    core: Agent,
    clock: Clock,
    journal: Journal,
    compacted_bytes: u64,
    node: Node,
    world: World,
    /// Where there is a credential.
    authenticatee: Option<Authenticatee>,
    peers: Peers<AgentTraffic>,
    effects: Effects,
    ending: Option<(u8, String)>,
    /// The journal had no room on the disk when last looked at.
    was_short: bool,
    flight: Flight,
    /// Signs executors' tokens.
    key: Option<Key>,
}

impl Loop {
    pub fn new(core: Agent, journal: Journal, node: Node, world: World, authenticatee: Option<Authenticatee>) -> Loop {
        Loop {
            core,
            clock: Clock::start(),
            compacted_bytes: journal.len_bytes(),
            journal,
            node,
            world,
            authenticatee,
            peers: Peers::default(),
            effects: Effects::new(),
            ending: None,
            was_short: false,
            flight: Flight::default(),
            key: None,
        }
    }

    /// Every input is recorded by `flight` before the core has it.
    pub fn recorded_by(mut self, flight: Flight) -> Loop {
        self.flight = flight;
        self
    }

    /// Each executor that is launched from now on has a token that this key signed.
    pub fn signing_with(mut self, key: Option<Key>) -> Loop {
        self.key = key;
        self
    }

    /// Runs until the core is done; its exit code and reason come back.
    pub async fn run(mut self, arrivals: Arrivals) -> (u8, String) {
        turns::run(&mut self, arrivals).await.unwrap_or_else(|| (0, "nobody is left to serve".into()))
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ToMaster { to, message } => self.node.send(ACTOR, &to, message.name(), &message.encode()),
            Effect::Authenticate { master } => {
                if let Some(authenticatee) = &self.authenticatee {
                    authenticatee.begin(&master, ACTOR);
                }
            }
            Effect::Link { peer } => self.node.link(&peer),
            Effect::Unlink { peer } => self.node.unlink(&peer),
            // An executor that was cut off subscribes again and gets what it missed.
            Effect::ToExecutor { conn, event } => drop(self.peers.tell(conn, event)),
            Effect::ToDriver { to, message } => self.node.send(ACTOR, &to, message.name(), &message.encode()),
            Effect::Reply { req, reply } => self.peers.reply(req, reply),
            Effect::Close { conn } => self.peers.close(conn),
            Effect::Checkpoint { ticket, record } => self.checkpoint(ticket, &record),
            Effect::Launch { spec } => self.launch(*spec),
            Effect::UpdateLimits { container, limits } => self.world.update_limits(container, limits),
            Effect::Signal { container, signal } => self.world.signal(&container, signal),
            Effect::Destroy { container } => self.world.destroy(container),
            Effect::Remove { container, sandbox } => self.world.remove(container, sandbox),
            Effect::RetireSandbox { path, at } => self.world.sandboxes.retire(path, at),
            Effect::MakeVolume { path } => self.world.volumes.make(path),
            Effect::RemoveVolume { path, keep_directory } => self.world.volumes.remove(path, keep_directory),
            Effect::LinkVolumes { ticket, container, volumes } => self.world.link_volumes(ticket, container, volumes),
            Effect::MeasureDisk => self.world.measure_disk(),
            Effect::PruneSandboxes { retired_until } => self.world.sandboxes.prune(retired_until),
            Effect::Exit { code, why } => drop(self.ending.get_or_insert((code, why))),
        }
    }

    /// Where executors have tokens, nobody's own variables stand in for it.
    fn launch(&mut self, mut spec: LaunchSpec) {
        if let Some(key) = &self.key
            && let Some(executor) = self.core.view().executors().find(|row| row.container == spec.container)
        {
            let (framework, executor) = (executor.framework.as_str(), executor.id.as_str());
            let claims = [("cid", spec.container.as_str()), ("eid", executor), ("fid", framework)];
            let token = key.sign(&claims.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
            spec.environment.push(("MESOS_EXECUTOR_AUTHENTICATION_TOKEN".to_owned(), token));
        }
        self.world.launch(spec);
    }

    /// An agent that cannot write its journal must not go on: it could not keep what it promises.
    fn checkpoint(&mut self, ticket: Option<Ticket>, record: &Record) {
        if let Err(error) = self.journal.append(ticket, record.to_bytes()) {
            self.ending.get_or_insert((1, format!("cannot checkpoint: {error}")));
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

impl Owner for Loop {
    type Traffic = AgentTraffic;
    type End = (u8, String);

    fn step(&mut self, mut event: Event) {
        self.world.explain(&mut event, self.core.view());
        let input = Input { now: self.clock.now(), wall: clock::wall(), event };
        let mut effects = std::mem::take(&mut self.effects);
        self.flight.note(|| Some(recording::encode(&input)));
        self.core.handle(input, &mut effects);
        effects.drain().for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn deadline(&self) -> Option<Instant> {
        self.core.next_deadline().map(|(tick, _)| self.clock.instant(tick))
    }

    fn view(&self) -> State {
        self.core.view().clone()
    }

    fn figures(&self) {}

    fn peers(&mut self) -> &mut Peers<AgentTraffic> {
        &mut self.peers
    }

    fn end_turn(&mut self) -> Option<(u8, String)> {
        if self.ending.is_none() {
            self.compact_journal();
        }
        // What can be removed should be, before the journal has used up what it has.
        let short = self.journal.is_short_of_space();
        if short && !self.was_short {
            self.world.measure_disk();
        }
        self.was_short = short;
        self.ending.take()
    }
}
