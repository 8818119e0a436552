//! What surrounds an agent: a journal that loses what was not synced, containers, a clock, and streams.

use crate::build;
use agent_core::{
    Agent, Config, ContainerId, Effect, Effects, Event, Found, Input, Launched, Life, Record, Termination, Ticket,
    replay,
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use stdx::{Tick, WallTime};

pub struct World {
    pub agent: Agent,
    pub config: Config,
    pub now: Tick,
    pub boot_id: String,
    /// What a crash leaves.
    pub durable: Vec<Bytes>,
    /// What a crash loses.
    pub unsynced: Vec<(Option<Ticket>, Bytes)>,
    pub containers: BTreeMap<ContainerId, ContainerState>,
    pub exited: Option<(u8, String)>,
    /// Links that have not been reported.
    pub linking: Vec<Ticket>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ContainerState {
    /// `Launched` has not been said.
    Launching,
    Running,
    /// `Terminated` has not been said.
    Destroying,
}

pub fn config() -> Config {
    let mut config = Config::new("slave(1)@127.0.0.1:5051".parse().unwrap(), build::agent_info(), "/srv/agent/");
    config.registration_backoff_factor = Duration::from_secs(1);
    config
}

impl World {
    pub fn new(config: Config, seed: u64) -> World {
        World {
            agent: Agent::new(config.clone(), seed),
            config,
            now: Tick(1_000_000_000),
            boot_id: "boot-1".into(),
            durable: Vec::new(),
            unsynced: Vec::new(),
            containers: BTreeMap::new(),
            exited: None,
            linking: Vec::new(),
            seed,
        }
    }

    pub fn wall(&self) -> WallTime {
        WallTime(1_700_000_000_000_000_000 + self.now.0 as i64)
    }

    /// One step: the effects, after this world has noted what they do to it.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Effects::new();
        self.agent.handle(Input { now: self.now, wall: self.wall(), event }, &mut out);
        if let Err(law) = self.agent.check_invariants() {
            panic!("a law is broken: {law}\nafter {:#?}", out.iter().collect::<Vec<_>>());
        }
        let effects: Vec<Effect> = out.drain().collect();
        for effect in &effects {
            self.note(effect);
        }
        effects
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Checkpoint { ticket, record } => {
                let bytes = record.to_bytes();
                // Compared as bytes: a record may hold NaN.
                let back = Record::from_bytes(&bytes).map(|record| record.to_bytes());
                assert_eq!(back.as_ref(), Ok(&bytes), "a record changes on its way");
                self.unsynced.push((*ticket, bytes));
            }
            Effect::Launch { spec } => {
                self.check_recorded(&spec.container);
                let former = self.containers.insert(spec.container.clone(), ContainerState::Launching);
                assert_eq!(former, None, "{} is launched twice", spec.container);
            }
            Effect::Destroy { container } => {
                let inside: Vec<ContainerId> =
                    self.containers.keys().filter(|id| *id == container || id.is_inside(container)).cloned().collect();
                for id in inside {
                    self.containers.insert(id, ContainerState::Destroying);
                }
            }
            Effect::LinkVolumes { ticket, .. } => self.linking.push(*ticket),
            Effect::Exit { code, why } => self.exited = Some((*code, why.clone())),
            _ => {}
        }
    }

    /// No container of a checkpointing framework starts before the journal knows it.
    fn check_recorded(&self, container: &ContainerId) {
        let state = self.agent.view();
        let executor = state.executors().find(|row| row.container == container.root());
        let checkpoints = executor.is_none_or(|row| state.frameworks[&row.framework].info.checkpoint());
        let debug = state.containers.get(container).is_some_and(|row| row.class == agent_core::Class::Debug);
        if checkpoints && !debug {
            let known =
                self.durable.iter().filter_map(|bytes| Record::from_bytes(bytes).ok()).any(|record| match record {
                    Record::Executor(record) => record.container == container.as_str(),
                    Record::Container(record) => record.container == container.as_str(),
                    _ => false,
                });
            assert!(known, "{container} is launched before the journal knows it");
        }
    }

    /// Makes everything written durable and says so.
    pub fn sync(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (ticket, bytes) in std::mem::take(&mut self.unsynced) {
            self.durable.push(bytes);
            events.extend(ticket.map(|ticket| Event::Checkpointed { ticket, outcome: Ok(()) }));
        }
        events
    }

    /// What journal and containers would say by themselves, until they have nothing more to say.
    pub fn settle(&mut self, mut told: impl FnMut(&Event, &[Effect])) {
        loop {
            let mut events = self.sync();
            let linked = std::mem::take(&mut self.linking).into_iter();
            events.extend(linked.map(|ticket| Event::VolumesLinked { ticket, outcome: Ok(()) }));
            for (id, state) in &mut self.containers {
                if *state == ContainerState::Launching {
                    *state = ContainerState::Running;
                    let outcome = Ok(Launched { pid: Some(100) });
                    events.push(Event::Launched { container: id.clone(), outcome });
                }
            }
            let destroyed: Vec<ContainerId> = self
                .containers
                .iter()
                .filter(|(_, s)| **s == ContainerState::Destroying)
                .map(|(id, _)| id.clone())
                .collect();
            for container in destroyed.into_iter().rev() {
                self.containers.remove(&container);
                let termination = Termination { status: Some(9), ..Default::default() };
                events.push(Event::Terminated { container, termination });
            }
            if events.is_empty() || self.exited.is_some() {
                return;
            }
            for event in events {
                let shown = copy(&event);
                let effects = self.step(event);
                told(&shown, &effects);
            }
        }
    }

    /// Moves the clock, waking the agent at each of its deadlines.
    pub fn wait(&mut self, time: Duration, mut told: impl FnMut(Tick, &[Effect])) {
        let end = self.now + time;
        while let Some((deadline, _)) = self.agent.next_deadline().filter(|(deadline, _)| *deadline <= end) {
            self.now = deadline.max(self.now);
            let effects = self.step(Event::Wake);
            told(self.now, &effects);
            self.settle(|_, effects| told(Tick::ZERO, effects));
        }
        self.now = end;
    }

    /// The agent dies, and all that was not synced with it; another one starts. Streams break, containers live on.
    pub fn restart(&mut self) -> Vec<Effect> {
        self.unsynced.clear();
        self.linking.clear();
        self.containers.retain(|_, state| *state != ContainerState::Destroying);
        self.seed += 1;
        self.agent = Agent::new(self.config.clone(), self.seed);
        self.exited = None;
        let records: Vec<Record> = self.durable.iter().map(|bytes| Record::from_bytes(bytes).unwrap()).collect();
        let state = replay(records.iter().cloned());
        if state.oddities() > 0 {
            let odd = (1..=records.len()).find(|end| replay(records[..*end].iter().cloned()).oddities() > 0);
            let mut names = crate::text::Names::default();
            let text: Vec<String> = records[..odd.unwrap()].iter().map(|record| names.record(record)).collect();
            panic!("the journal contradicts itself: {}", text.join("\n"));
        }
        let found = self.containers.iter_mut().map(|(id, state)| {
            *state = ContainerState::Running;
            Found { container: id.clone(), life: Life::Running { pid: Some(100) }, sandbox: None }
        });
        let event = Event::Recovered { state: Box::new(state), found: found.collect(), boot_id: self.boot_id.clone() };
        self.step(event)
    }

    /// The journal is written anew.
    pub fn compact(&mut self) {
        self.durable = self.agent.snapshot().iter().map(Record::to_bytes).collect();
    }
}

fn copy(event: &Event) -> Event {
    match event {
        Event::Checkpointed { ticket, outcome } => Event::Checkpointed { ticket: *ticket, outcome: outcome.clone() },
        Event::VolumesLinked { ticket, outcome } => Event::VolumesLinked { ticket: *ticket, outcome: outcome.clone() },
        Event::Launched { container, outcome } => {
            Event::Launched { container: container.clone(), outcome: outcome.clone() }
        }
        Event::Terminated { container, termination } => {
            Event::Terminated { container: container.clone(), termination: termination.clone() }
        }
        _ => Event::Wake,
    }
}
