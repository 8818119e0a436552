//! The service in which masters meet and keep the registry: keys with versions, members that vanish with their session,
//! news in order. It answers what `election` asks, sometimes slowly; now and then an answer is lost, it has no quorum,
//! no room, or one master does not reach it, and a session that was silent for too long is over.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use election::{
    Answer, Ask,
    layout::{self, EPOCH, FORMAT, HEADER, Header, Values},
    space::{Entry, Guard, Limits, Member, SpaceError, Stored, Write},
};
use proto::v1::MasterInfo;
use registry::{Operation, Registry};
use stdx::Tick;

use super::{
    World,
    happening::{Happening, Life, Node},
};
use crate::{
    observation::Fact,
    scenario::{QuotaPlan, Scenario, secs},
};

/// How long the service waits for a silent session.
pub(crate) const SESSION: Duration = Duration::from_secs(8);
/// How much one transaction may hold: little, so that large changes are common here.
pub(crate) const LIMITS: Limits = Limits { writes: 24, bytes: 64 << 10 };

pub(crate) struct Service {
    keys: BTreeMap<String, Stored>,
    /// What the keys say, unless they have changed since.
    registry: Option<Registry>,
    /// The most senior first.
    members: Vec<Seat>,
    sessions: BTreeMap<u64, Session>,
    /// How many sessions there were, and versions.
    counted: u64,
    /// It has no quorum until then.
    away_until: Tick,
    /// It has no room until then.
    full_until: Tick,
    /// The master that does not reach it, and until when.
    parted: Option<(u32, Tick)>,
    pub calm: bool,
}

struct Session {
    master: u32,
    life: Life,
    follows: bool,
    watches: bool,
    over: bool,
    /// What is on its way, in order: each `Happening::Asked` and `Happening::Told` is the next one's arrival.
    asked: VecDeque<(Whom, Ask)>,
    told: VecDeque<Said>,
    last_asked: Tick,
    last_told: Tick,
}

struct Seat {
    /// `None`: a master of another program.
    session: Option<u64>,
    member: Member,
    info: Bytes,
}

/// Who of a master's process asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Candidate(u64),
    /// Of the reign in this epoch.
    Ledger {
        serial: u64,
        epoch: u64,
    },
}

pub(crate) enum Said {
    Connected,
    Answer(Whom, Answer),
    News(Vec<Entry>),
    MembersChanged,
    Ended(String),
}

impl Service {
    pub fn new(scenario: &Scenario) -> Service {
        let mut registry = Registry { weights: scenario.weights.clone(), ..Registry::default() };
        let groups = scenario.groups.iter().map(|plan| Operation::SetGroup(Box::new(plan.to_proto())));
        let quotas = scenario.quotas.iter().map(QuotaPlan::to_proto).collect();
        for operation in groups.chain([Operation::UpdateQuota(quotas)]) {
            if let Err(refusal) = registry::apply(&mut registry, &operation) {
                stdx::never!("the scenario's {operation:?}: {refusal}");
            }
        }
        let mut service = Service {
            keys: BTreeMap::new(),
            registry: None,
            members: Vec::new(),
            sessions: BTreeMap::new(),
            counted: 0,
            away_until: Tick::ZERO,
            full_until: Tick::ZERO,
            parted: None,
            calm: false,
        };
        let header = Header { format: FORMAT, cluster: "simulated".into(), name: None };
        service.put(HEADER, Some(layout::to_json(&header)));
        service.put(EPOCH, Some("0".into()));
        service.edit(|former| *former = registry);
        service
    }

    /// Changes the registry by hand, before anybody runs.
    pub fn edit(&mut self, change: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry().clone();
        change(&mut registry);
        self.keys.retain(|key, _| key.starts_with('_'));
        let parts: Vec<(String, Bytes)> = registry.entries().map(|(key, value)| (key.to_string(), value)).collect();
        parts.into_iter().for_each(|(key, value)| drop(self.put(&key, Some(value))));
    }

    fn put(&mut self, key: &str, value: Option<Bytes>) -> Option<Stored> {
        self.counted += 1;
        self.registry = None;
        let version = i64::try_from(self.counted).unwrap_or(i64::MAX);
        let stored = value.map(|value| Stored { value, version });
        match &stored {
            Some(stored) => self.keys.insert(key.to_owned(), stored.clone()),
            None => self.keys.remove(key),
        };
        stored
    }

    /// The registry as it is stored.
    pub fn registry(&mut self) -> &Registry {
        let keys = &self.keys;
        self.registry.get_or_insert_with(|| {
            let values: Values = keys.iter().map(|(key, stored)| (key.clone(), stored.value.clone())).collect();
            layout::assemble(&values).unwrap_or_else(|error| panic!("what is stored cannot be read: {error}"))
        })
    }

    /// The present reign.
    pub fn epoch(&self) -> u64 {
        self.keys.get(EPOCH).map(|stored| layout::number(&stored.value)).unwrap_or_default()
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Member(member) => self.members.iter().any(|seat| seat.member == *member),
            Guard::Version(key, version) => self.keys.get(key).is_some_and(|stored| stored.version == *version),
        }
    }

    fn transact(&mut self, guards: &[Guard], writes: &[Write]) -> Result<Vec<Entry>, SpaceError> {
        let fits = writes.iter().all(|write| match write {
            Write::Create(key, _) => !self.keys.contains_key(key),
            Write::Set(key, _) | Write::Delete(key) => self.keys.contains_key(key),
        });
        if !fits || !guards.iter().all(|guard| self.holds(guard)) {
            return Err(SpaceError::Fenced);
        }
        if writes.len() > LIMITS.writes || writes.iter().map(Write::bytes).sum::<usize>() > LIMITS.bytes {
            return Err(SpaceError::Failed("too much for one transaction".into()));
        }
        let entry = |service: &mut Service, write: &Write| {
            let value = match write {
                Write::Create(_, value) | Write::Set(_, value) => Some(value.clone()),
                Write::Delete(_) => None,
            };
            (write.key().to_owned(), service.put(write.key(), value))
        };
        Ok(writes.iter().map(|write| entry(self, write)).collect())
    }

    /// The master that is the most senior member, if it is one of ours.
    fn first(&self) -> Option<u32> {
        let session = self.members.first()?.session?;
        self.sessions.get(&session).map(|session| session.master)
    }

    /// All is well with it from here on.
    pub fn heal(&mut self, now: Tick) {
        self.calm = true;
        self.away_until = self.away_until.min(now);
        self.full_until = self.full_until.min(now);
        self.parted = None;
    }
}

impl World {
    /// Until when a node does not hear the service, and the service not the node.
    pub(crate) fn service_silent_until(&self, node: Node) -> Option<Tick> {
        let parted = self.service.parted.filter(|(master, _)| node == Node::Master(*master)).map(|(_, until)| until);
        let silent = [Some(self.service.away_until), parted, self.network.island_until(node, self.now)];
        silent.into_iter().flatten().filter(|until| *until > self.now).max()
    }

    pub(crate) fn take_service_away(&mut self, time: Duration) {
        self.service.away_until = self.now + time;
        (0..self.masters.len() as u32).for_each(|master| self.fall_silent(master, time));
    }

    pub(crate) fn fill_service(&mut self, time: Duration) {
        self.service.full_until = self.now + time;
    }

    pub(crate) fn part_leader_from_service(&mut self, time: Duration) {
        if let Some(leader) = self.election.leader {
            self.service.parted = Some((leader, self.now + time));
            self.fall_silent(leader, time);
        }
    }

    /// A master is not heard for this long: its session ends, if that is too long.
    pub(crate) fn fall_silent(&mut self, master: u32, silence: Duration) {
        let Some(session) = self.masters[master as usize].session else { return };
        let expires = silence > SESSION || (silence > SESSION / 2 && self.draws.store.below(4) == 0);
        if expires {
            let late = silence.saturating_sub(SESSION) + self.draw_away(self.scenario.faults.deposed_late_secs);
            self.heap.put(self.now + silence.min(SESSION), Happening::SessionExpires { session, late });
        }
    }

    /// A master's process begins a session.
    pub(crate) fn connect_to_service(&mut self, master: u32) {
        self.service.counted += 1;
        let (session, life) = (self.service.counted, self.masters[master as usize].life);
        let row = Session {
            master,
            life,
            follows: false,
            watches: false,
            over: false,
            asked: VecDeque::new(),
            told: VecDeque::new(),
            last_asked: self.now,
            last_told: self.now,
        };
        self.service.sessions.insert(session, row);
        self.masters[master as usize].session = Some(session);
        self.tell_session(session, Said::Connected, Duration::ZERO);
    }

    /// A session ends by itself, or because its process is gone.
    pub(crate) fn leave_service(&mut self, master: u32, after: Duration) {
        if let Some(session) = self.masters[master as usize].session.take() {
            let late = Duration::from_secs(3600);
            self.heap.put(self.now + after, Happening::SessionExpires { session, late });
        }
    }

    /// The leader's session is lost; it hears of it later.
    pub(crate) fn lose_session_of_leader(&mut self, late: Duration) {
        let leader = self.election.leader.and_then(|leader| self.masters[leader as usize].session);
        if let Some(session) = leader {
            self.on_expiry(session, late);
        }
    }

    pub(crate) fn on_expiry(&mut self, session: u64, late: Duration) {
        let Some(row) = self.service.sessions.get_mut(&session) else { return };
        if std::mem::replace(&mut row.over, true) {
            return;
        }
        let (master, gone) = (row.master, self.masters[row.master as usize].session != Some(session));
        self.say(|| format!("a session of master {master} is over"));
        let before = self.service.members.len();
        self.service.members.retain(|seat| seat.session != Some(session));
        match gone {
            true => drop(self.service.sessions.remove(&session)),
            false => self.tell_session(session, Said::Ended("expired".into()), late),
        }
        if self.service.members.len() != before {
            self.on_members_change();
        }
    }

    fn on_members_change(&mut self) {
        let sessions = self.service.sessions.iter_mut();
        let watching = sessions.filter_map(|(session, row)| std::mem::take(&mut row.watches).then_some(*session));
        let watching: Vec<u64> = watching.collect();
        watching.into_iter().for_each(|session| self.tell_session(session, Said::MembersChanged, Duration::ZERO));
        let first = self.service.first();
        if self.election.first != first {
            self.election.first = first;
            self.election.turns += 1;
            self.announce();
        }
    }

    /// Masters of another program come to where ours meet, or go.
    pub(crate) fn bring_foreign_master(&mut self, stays: Duration) {
        self.service.counted += 1;
        let number = i64::try_from(self.service.counted).unwrap_or(i64::MAX);
        let info = MasterInfo { id: "foreign".into(), ip: 1, port: 5050, ..Default::default() };
        let member = Member { name: format!("json.info_{number:010}"), number };
        let info = election::announce::write(&info);
        self.say(|| format!("a foreign master joins for {stays:?}"));
        self.service.members.push(Seat { session: None, member, info });
        self.heap.put(self.now + stays, Happening::ForeignLeaves { number });
        self.on_members_change();
    }

    pub(crate) fn on_foreign_leaving(&mut self, number: i64) {
        let before = self.service.members.len();
        self.service.members.retain(|seat| seat.session.is_some() || seat.member.number != number);
        if self.service.members.len() != before {
            self.on_members_change();
        }
    }

    /// No foreign master stays.
    pub(crate) fn end_foreign_masters(&mut self) {
        let foreign = self.service.members.iter().filter(|seat| seat.session.is_none());
        let numbers: Vec<i64> = foreign.map(|seat| seat.member.number).collect();
        numbers.into_iter().for_each(|number| self.on_foreign_leaving(number));
    }

    fn draw_way(&mut self) -> Duration {
        Duration::from_micros(200 + self.draws.store.below(1_500))
    }

    /// When something that a node and the service say now arrives.
    fn arrival(&mut self, master: u32, after: Duration) -> Tick {
        let begins = self.service_silent_until(Node::Master(master)).unwrap_or(self.now).max(self.now + after);
        begins + self.draw_way()
    }

    pub(crate) fn ask_service(&mut self, master: u32, whom: Whom, ask: Ask) {
        let Some(session) = self.masters[master as usize].session else { return };
        let faults = &self.scenario.faults;
        let mut wait = Duration::ZERO;
        if matches!(ask, Ask::Transact { .. })
            && !self.service.calm
            && faults.store_slow > 0.0
            && self.draws.store.unit() < faults.store_slow
        {
            wait = secs(self.draws.store.unit() * self.scenario.faults.store_slow_secs);
        }
        let mut at = self.arrival(master, wait);
        let Some(row) = self.service.sessions.get_mut(&session) else { return };
        at = at.max(row.last_asked);
        row.last_asked = at;
        row.asked.push_back((whom, ask));
        self.heap.put(at, Happening::Asked { session });
    }

    fn tell_session(&mut self, session: u64, said: Said, after: Duration) {
        let Some(master) = self.service.sessions.get(&session).map(|row| row.master) else { return };
        let mut at = self.arrival(master, after);
        let Some(row) = self.service.sessions.get_mut(&session) else { return };
        at = at.max(row.last_told);
        row.last_told = at;
        row.told.push_back(said);
        self.heap.put(at, Happening::Told { session });
    }

    /// The next word of the service arrives.
    pub(crate) fn on_told(&mut self, session: u64) {
        let Some(row) = self.service.sessions.get_mut(&session) else { return };
        let (master, life) = (row.master, row.life);
        let host = &self.masters[master as usize];
        if host.life != life || host.session != Some(session) {
            return;
        }
        if let Some(until) = self.service_silent_until(Node::Master(master)) {
            self.heap.put(until, Happening::Told { session });
            return;
        }
        let said = self.service.sessions.get_mut(&session).and_then(|row| row.told.pop_front());
        if let Some(said) = said {
            self.hear_service(master, said);
        }
    }

    /// The next question arrives.
    pub(crate) fn on_asked(&mut self, session: u64) {
        let Some(row) = self.service.sessions.get(&session) else { return };
        let (master, over) = (row.master, row.over);
        if let Some(until) = self.service_silent_until(Node::Master(master)) {
            self.heap.put(until, Happening::Asked { session });
            return;
        }
        let asked = self.service.sessions.get_mut(&session).and_then(|row| row.asked.pop_front());
        let Some((whom, ask)) = asked else { return };
        let answer = match over {
            true => refusal(&ask, SpaceError::Ended("expired".into())),
            false => self.answer(session, whom, ask),
        };
        self.tell_session(session, Said::Answer(whom, answer), Duration::ZERO);
    }

    fn answer(&mut self, session: u64, whom: Whom, ask: Ask) -> Answer {
        let service = &mut self.service;
        match ask {
            Ask::Follow => {
                let entries = service.keys.iter().map(|(key, stored)| (key.clone(), Some(stored.clone()))).collect();
                service.sessions.entry(session).and_modify(|row| row.follows = true);
                Answer::Follow(Ok(entries))
            }
            Ask::Foreign => {
                let foreign = service.members.iter().any(|seat| seat.session.is_none());
                Answer::Foreign(Ok(foreign.then(|| "masters of another program".to_owned())))
            }
            Ask::Join(info) => {
                service.counted += 1;
                let number = i64::try_from(service.counted).unwrap_or(i64::MAX);
                let member = Member { name: format!("json.info_{number:010}"), number };
                service.members.push(Seat { session: Some(session), member: member.clone(), info });
                self.on_members_change();
                Answer::Join(Ok(member))
            }
            Ask::Leave(member) => {
                service.members.retain(|seat| seat.member != member);
                self.on_members_change();
                Answer::Leave(Ok(()))
            }
            Ask::Members => {
                service.sessions.entry(session).and_modify(|row| row.watches = true);
                let members = service.members.iter().map(|seat| (seat.member.clone(), seat.info.clone())).collect();
                Answer::Members(Ok(members))
            }
            Ask::Get(key) => Answer::Get(Ok(service.keys.get(key).cloned())),
            Ask::Transact { guards, writes } => Answer::Transact(self.transact(session, whom, &guards, &writes)),
            Ask::InPlace => Answer::InPlace(Ok(true)),
            Ask::Move(_) => Answer::Move(Ok(false)),
            Ask::Tidy => Answer::Tidy(Ok(true)),
        }
    }

    fn transact(
        &mut self,
        session: u64,
        whom: Whom,
        guards: &[Guard],
        writes: &[Write],
    ) -> Result<Vec<i64>, SpaceError> {
        let faults = &self.scenario.faults;
        let (fail, fail_after) = (faults.store_fail, faults.store_fail_after);
        let draw = if self.service.calm { 1.0 } else { self.draws.store.unit() };
        if draw < fail {
            return Err(SpaceError::Unsure("the request was lost".into()));
        }
        if self.service.full_until > self.now && !self.service.calm {
            return Err(SpaceError::Failed("no space left on device".into()));
        }
        let entries = self.service.transact(guards, writes)?;
        if let (Whom::Ledger { epoch, .. }, Some(row)) = (whom, self.service.sessions.get(&session)) {
            let (master, current) = (row.master, self.service.epoch());
            self.fact(Fact::Stored { master, epoch, current });
        }
        let versions = entries.iter().map(|(_, stored)| stored.as_ref().map_or(0, |stored| stored.version)).collect();
        let following = self.service.sessions.iter().filter(|(_, row)| row.follows && !row.over);
        let following: Vec<u64> = following.map(|(session, _)| *session).collect();
        for session in following {
            self.tell_session(session, Said::News(entries.clone()), Duration::ZERO);
        }
        if draw < fail + fail_after {
            return Err(SpaceError::Unsure("the answer was lost".into()));
        }
        Ok(versions)
    }

    /// A master wants no news any more.
    pub(crate) fn unfollow(&mut self, master: u32) {
        let session = self.masters[master as usize].session;
        if let Some(row) = session.and_then(|session| self.service.sessions.get_mut(&session)) {
            row.follows = false;
        }
    }
}

fn refusal(ask: &Ask, error: SpaceError) -> Answer {
    match ask {
        Ask::Follow => Answer::Follow(Err(error)),
        Ask::Foreign => Answer::Foreign(Err(error)),
        Ask::Join(_) => Answer::Join(Err(error)),
        Ask::Leave(_) => Answer::Leave(Err(error)),
        Ask::Members => Answer::Members(Err(error)),
        Ask::Get(_) => Answer::Get(Err(error)),
        Ask::Transact { .. } => Answer::Transact(Err(error)),
        Ask::InPlace => Answer::InPlace(Err(error)),
        Ask::Move(_) => Answer::Move(Err(error)),
        Ask::Tidy => Answer::Tidy(Err(error)),
    }
}
