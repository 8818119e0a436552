//! Standing for election among several masters: a member of the service from its start, a standby that follows the
//! registry, the leader once all its seniors are gone. What it needs of the service it asks for (`Ask`) and hears of
//! (`Answer`); what it comes to, it tells its program (`Effect`).
//!
//! One life of a candidate, each word a `Phase`: away, connects, reads the registry, joins, waits until it is the most
//! senior member (`waits`), takes the registry over (`takes_over`), leads (`reign`), and hands over or is deposed. When
//! its session is over before it leads, it begins anew.

mod reign;
mod takes_over;
mod waits;

use std::time::Duration;

use bytes::Bytes;
use proto::v1::MasterInfo;
use registry::Registry;
use stdx::{Rng, Tick, WallTime};

use crate::{
    Copy, Epoch, Ledger, StoreError, announce,
    layout::Header,
    space::{Entry, Guard, Limits, Member, SpaceError, Stored, Write},
};
use reign::{HandingOver, Reigning};
use takes_over::Step;
use waits::Look;

pub struct Input {
    pub now: Tick,
    pub wall: WallTime,
    pub event: Event,
}

#[derive(Debug)]
pub enum Event {
    /// A deadline has come.
    Wake,
    /// What became of `Effect::Connect`.
    Connected(Result<Session, SpaceError>),
    /// The session is over.
    Ended(String),
    /// The members are no longer those that were told last.
    MembersChanged,
    /// What has changed since the last `Ask::Follow`, in order.
    News(Vec<Entry>),
    /// News may have been lost, and no more will come.
    NewsLost,
    Answer {
        number: u64,
        answer: Answer,
    },
    /// Somebody wants this master to leave. Whoever writes to the registry has stopped.
    Resign,
}

/// What there is to know of a session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// How long the service keeps our member after it last heard from us.
    pub timeout: Duration,
    pub limits: Limits,
}

/// A question to the service, in the present session. Each has one answer of the same name.
#[derive(Debug)]
pub enum Ask {
    /// All keys and their values, and from there every change.
    Follow,
    /// Whether masters of another program are where ours meet.
    Foreign,
    /// To be a member, junior to all others, until the session ends.
    Join(Bytes),
    /// To be one no longer.
    Leave(Member),
    /// The members, the most senior first, and to be told of the next change.
    Members,
    Get(&'static str),
    /// All of `writes` if every guard holds, or nothing.
    Transact {
        guards: Vec<Guard>,
        writes: Vec<Write>,
    },
    /// Whether the registry lies where this session looks for it.
    InPlace,
    /// To move a registry that lies where former versions left it. If it was moved, this session is of no more use.
    Move(Vec<Guard>),
    /// To remove what a move has left for former versions, once none is there.
    Tidy,
}

#[derive(Debug)]
pub enum Answer {
    Follow(Result<Vec<Entry>, SpaceError>),
    Foreign(Result<Option<String>, SpaceError>),
    Join(Result<Member, SpaceError>),
    Leave(Result<(), SpaceError>),
    Members(Result<Vec<(Member, Bytes)>, SpaceError>),
    Get(Result<Option<Stored>, SpaceError>),
    /// The versions of what was written.
    Transact(Result<Vec<i64>, SpaceError>),
    InPlace(Result<bool, SpaceError>),
    Move(Result<bool, SpaceError>),
    Tidy(Result<bool, SpaceError>),
}

#[derive(Debug)]
pub enum Effect {
    /// A session with the service, said with `Event::Connected`.
    Connect,
    /// Nothing more is heard of the session, and it may end.
    Disconnect,
    /// A question, said with `Event::Answer`.
    Ask { number: u64, ask: Ask },
    /// No news is wanted any more.
    Unfollow,
    /// `Candidate::standing` has changed.
    Show,
    /// The cluster whose registry was found.
    Belongs { cluster: String },
    /// This master leads.
    Elected(Box<Elected>),
    /// The right to act lasts until then.
    Renew { until: Tick },
    /// The right to act has ended.
    EndLease,
    /// This master leads no more and must stop acting at once. Nothing follows.
    Deposed { why: String },
    /// This master cannot be a candidate. Nothing follows.
    Failed { why: StoreError },
    /// This master has left. Nothing follows.
    Resigned,
}

#[derive(Debug)]
pub struct Elected {
    pub epoch: Epoch,
    pub registry: Registry,
    pub ledger: Ledger,
    /// How long this master may act, unless it is renewed.
    pub until: Tick,
    /// How long reading the registry took: all of it when this master joined, and the rest when it was elected.
    pub fetched: Duration,
}

/// Who leads and who else could, as this master knows it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// This master leads.
    pub leading: bool,
    pub leader: Option<Box<MasterInfo>>,
    /// The present reign, once it is known.
    pub epoch: Option<Epoch>,
    pub since: Option<WallTime>,
    /// All candidates but the leader, the next one first.
    pub standbys: Vec<MasterInfo>,
    /// How often the leader was seen to change.
    pub elections: u64,
    /// Whether it follows the registry, as a standby.
    pub follows: bool,
}

/// How a master stands for election.
#[derive(Clone)]
pub struct Config {
    pub info: MasterInfo,
    /// The cluster's name, if it has one.
    pub name: Option<String>,
    /// The cluster whose registry this must be, if this master belonged to one before.
    pub cluster: Option<String>,
    /// For how long a write to the registry is tried.
    pub store_timeout: Duration,
    /// For how long reading the registry may take.
    pub fetch_timeout: Duration,
    /// For people: which service, and where.
    pub place: String,
    /// Of the name of a cluster that begins here.
    pub seed: u64,
}

pub struct Candidate {
    config: Config,
    rng: Rng,
    phase: Phase,
    /// What lasts as long as a session.
    live: Option<Live>,
    standing: Standing,
    /// `standing` is not yet shown.
    changed: bool,
    cluster: Option<String>,
    /// Masters of another program that are where ours meet.
    foreign: Option<String>,
    /// The service answered once.
    ever_reached: bool,
    /// It was a member once.
    ever_joined: bool,
    /// How long it stays away after its next loss.
    retry: Duration,
    questions: Questions,
}

struct Live {
    session: Session,
    copy: Copy,
    /// When the copy is read anew, or the question about it.
    again: Again,
    member: Option<Member>,
    begun: Tick,
    /// How long reading the copy took.
    fetched: Duration,
}

enum Again {
    No,
    At(Tick),
    Asked(u64),
}

/// Numbers what is asked.
#[derive(Default)]
struct Questions(u64);

impl Questions {
    fn ask(&mut self, ask: Ask, out: &mut Vec<Effect>) -> u64 {
        self.0 += 1;
        out.push(Effect::Ask { number: self.0, ask });
        self.0
    }
}

enum Phase {
    /// Connects then.
    Away(Tick),
    Connects,
    /// Reads the registry.
    Reads(u64),
    /// Looks who else is there before it joins.
    Looks(u64),
    Joins(u64),
    /// Until no senior member is left.
    Waits(Look),
    /// From being the most senior to leading.
    TakesOver(Step),
    Leads(Box<Reigning>),
    HandsOver(Box<HandingOver>),
    /// Leaves before the end; for so long, if the service says nothing.
    Leaves {
        number: u64,
        until: Tick,
        end: End,
    },
    Over,
}

/// How a session came to its end.
#[derive(Debug)]
enum End {
    /// Another one may follow.
    Lost(String),
    Deposed(String),
    Failed(StoreError),
    Resigned,
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> End {
        match error {
            // Before a reign has begun, being shut out only means to stand again.
            StoreError::Fenced | StoreError::Space(SpaceError::Fenced) => End::Lost("another master was faster".into()),
            error if error.is_passing() => End::Lost(error.to_string()),
            error => End::Failed(error),
        }
    }
}

impl From<SpaceError> for End {
    fn from(error: SpaceError) -> End {
        StoreError::from(error).into()
    }
}

/// How long a candidate that does not lead may take to leave.
pub const LEAVE_MAX: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long to wait before the copy is read anew.
const FOLLOW_AGAIN: Duration = Duration::from_millis(200);

impl Candidate {
    /// Connects with the first `Event::Wake`.
    pub fn new(config: Config) -> Candidate {
        Candidate {
            rng: Rng::new(config.seed),
            cluster: config.cluster.clone(),
            config,
            phase: Phase::Away(Tick::ZERO),
            live: None,
            standing: Standing::default(),
            changed: false,
            foreign: None,
            ever_reached: false,
            ever_joined: false,
            retry: RETRY_MIN,
            questions: Questions::default(),
        }
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The registry as a standby knows it.
    pub fn copy(&self) -> Option<&Copy> {
        self.live.as_ref().filter(|_| self.standing.follows).map(|live| &live.copy)
    }

    /// When `Event::Wake` is due.
    pub fn next_deadline(&self) -> Option<Tick> {
        let of_phase = match &self.phase {
            Phase::Away(at) => Some(*at),
            Phase::Reads(_) => self.live.as_ref().map(|live| live.begun + self.config.fetch_timeout),
            Phase::TakesOver(step) => step.deadline(),
            Phase::Leads(reigning) => Some(reigning.deadline()),
            Phase::HandsOver(handing) => Some(handing.until),
            Phase::Leaves { until, .. } => Some(*until),
            Phase::Connects | Phase::Looks(_) | Phase::Joins(_) | Phase::Waits(_) | Phase::Over => None,
        };
        let again = self.live.as_ref().and_then(|live| match live.again {
            Again::At(at) => Some(at),
            Again::No | Again::Asked(_) => None,
        });
        [of_phase, again].into_iter().flatten().min()
    }

    pub fn handle(&mut self, input: Input, out: &mut Vec<Effect>) {
        let Input { now, wall, event } = input;
        let outcome = match event {
            Event::Wake => self.on_wake(now, out),
            Event::Connected(outcome) => self.on_connected(now, outcome, out),
            Event::Ended(why) => self.on_ended(why),
            Event::MembersChanged => self.on_members_changed(now, out),
            Event::News(entries) => self.on_news(now, entries, out),
            Event::NewsLost => {
                self.on_news_lost(now);
                Ok(())
            }
            Event::Answer { number, answer } => self.on_answer(now, wall, number, answer, out),
            Event::Resign => self.on_resign(now, out),
        };
        if let Err(end) = outcome {
            self.end(now, end, out);
        }
        if std::mem::take(&mut self.changed) {
            out.push(Effect::Show);
        }
    }

    fn on_wake(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        if let Some(live) = &mut self.live
            && matches!(live.again, Again::At(at) if at <= now)
        {
            live.again = Again::Asked(self.questions.ask(Ask::Follow, out));
        }
        match &self.phase {
            Phase::Away(at) if *at <= now => {
                self.phase = Phase::Connects;
                out.push(Effect::Connect);
                Ok(())
            }
            Phase::Reads(_) if self.next_deadline().is_some_and(|at| at <= now) => {
                Err(End::Lost("reading the registry takes too long".into()))
            }
            Phase::TakesOver(step) if step.deadline().is_some_and(|at| at <= now) => self.on_wait_over(now, out),
            Phase::Leads(_) => self.on_reign_wake(now, out),
            Phase::HandsOver(handing) if handing.until <= now => Err(End::Resigned),
            Phase::Leaves { until, .. } if *until <= now => self.on_left(),
            _ => Ok(()),
        }
    }

    fn on_connected(
        &mut self,
        now: Tick,
        outcome: Result<Session, SpaceError>,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        if !matches!(self.phase, Phase::Connects) {
            return Ok(());
        }
        match outcome {
            Ok(session) => {
                self.retry = RETRY_MIN;
                self.ever_reached = true;
                let (copy, again) = (Copy::new(now), Again::No);
                self.live = Some(Live { session, copy, again, member: None, begun: now, fetched: Duration::ZERO });
                self.phase = Phase::Reads(self.questions.ask(Ask::Follow, out));
                Ok(())
            }
            // At its start a master whose URL is wrong should say so and end.
            Err(error) if !self.ever_reached => Err(End::Failed(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn on_ended(&mut self, why: String) -> Result<(), End> {
        match self.phase {
            Phase::Away(_) | Phase::Connects | Phase::Over => Ok(()),
            Phase::Leads(_) => Err(End::Deposed(why)),
            Phase::HandsOver(_) => Err(End::Resigned),
            Phase::Leaves { .. } => self.on_left(),
            _ => Err(End::Lost(why)),
        }
    }

    fn on_news(&mut self, now: Tick, entries: Vec<Entry>, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.copy.take(now, entries);
        self.on_copy(now, out)
    }

    fn on_news_lost(&mut self, now: Tick) {
        if let Some(live) = &mut self.live {
            live.copy.lose();
            live.again = Again::At(now + FOLLOW_AGAIN);
        }
    }

    fn on_answer(
        &mut self,
        now: Tick,
        wall: WallTime,
        number: u64,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        if let Some(live) = &mut self.live
            && matches!(live.again, Again::Asked(asked) if asked == number)
        {
            live.again = match answer {
                Answer::Follow(Ok(entries)) => {
                    live.copy.replace(now, entries);
                    Again::No
                }
                _ => Again::At(now + FOLLOW_AGAIN),
            };
            return self.on_copy(now, out);
        }
        match (&self.phase, answer) {
            (Phase::Reads(asked), Answer::Follow(read)) if *asked == number => self.on_read(now, read?, out),
            (Phase::Looks(asked), Answer::Foreign(found)) if *asked == number => {
                self.note_foreign(found?);
                self.join(out)
            }
            (Phase::Joins(asked), Answer::Join(joined)) if *asked == number => self.on_joined(joined?, out),
            (Phase::Waits(_), answer) => self.on_look(number, answer, out),
            (Phase::TakesOver(_), answer) => self.on_step(now, wall, number, answer, out),
            (Phase::Leads(_), answer) => self.on_reign_answer(now, number, answer, out),
            (Phase::HandsOver(_), answer) => self.on_hand_over_answer(now, number, answer, out),
            (Phase::Leaves { number: asked, .. }, Answer::Leave(_)) if *asked == number => self.on_left(),
            // Of a question that is no longer asked.
            _ => Ok(()),
        }
    }

    fn on_read(&mut self, now: Tick, entries: Vec<Entry>, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &mut self.live else { return Ok(()) };
        live.copy.replace(now, entries);
        live.fetched = now.since(live.begun);
        self.check(out)?;
        self.phase = Phase::Looks(self.questions.ask(Ask::Foreign, out));
        Ok(())
    }

    fn join(&mut self, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        // Where another program's masters are and no registry of ours is, the URL is wrong.
        if let Some(found) = self.foreign.as_ref().filter(|_| !self.ever_joined)
            && live.copy.header()?.is_none()
        {
            return Err(End::Failed(StoreError::ForeignMasters(found.clone())));
        }
        self.ever_joined = true;
        self.phase = Phase::Joins(self.questions.ask(Ask::Join(announce::write(&self.config.info)), out));
        Ok(())
    }

    fn on_joined(&mut self, member: Member, out: &mut Vec<Effect>) -> Result<(), End> {
        tracing::info!(name = member.name, "a candidate at {}", self.config.place);
        if let Some(live) = &mut self.live {
            live.member = Some(member);
        }
        self.standing.follows = true;
        self.changed = true;
        self.phase = Phase::Waits(Look::begin(&mut self.questions, out));
        Ok(())
    }

    /// Whether this registry is one we may lead with. Nothing was written yet.
    fn check(&mut self, out: &mut Vec<Effect>) -> Result<(), StoreError> {
        let Some(live) = &self.live else { return Ok(()) };
        let Some(header) = live.copy.header()? else { return Ok(()) };
        let registry = live.copy.registry()?;
        self.check_cluster(&header, out)?;
        let missing = registry.missing_capabilities();
        if !missing.is_empty() {
            return Err(StoreError::MissingCapabilities(missing.join(", ")));
        }
        Ok(())
    }

    fn check_cluster(&mut self, header: &Header, out: &mut Vec<Effect>) -> Result<(), StoreError> {
        let other = |found: &str, expected: &str| StoreError::OtherCluster {
            found: format!("'{found}'"),
            expected: format!("'{expected}'"),
        };
        if let (Some(found), Some(expected)) = (&header.name, &self.config.name)
            && found != expected
        {
            return Err(other(found, expected));
        }
        match &self.cluster {
            Some(expected) if header.cluster != *expected => Err(other(&header.cluster, expected)),
            Some(_) => Ok(()),
            None => {
                self.cluster = Some(header.cluster.clone());
                out.push(Effect::Belongs { cluster: header.cluster.clone() });
                Ok(())
            }
        }
    }

    /// They may come and go; whoever runs them should know what that does.
    fn note_foreign(&mut self, found: Option<String>) {
        match &found {
            Some(who) if self.foreign != found => tracing::error!(
                "{who} have joined where our masters meet, {}: whichever master is the most senior leads, and theirs knows \
                 nothing of our agents, frameworks and quotas. Give them another path, and stop them here",
                self.config.place
            ),
            None if self.foreign.is_some() => tracing::warn!("no master of another program is left where ours meet"),
            Some(_) | None => {}
        }
        self.foreign = found;
    }

    fn on_resign(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => Ok(()),
            Phase::Leads(reigning) => self.hand_over(now, *reigning, out),
            phase @ Phase::HandsOver(_) => {
                self.phase = phase;
                Ok(())
            }
            Phase::Leaves { number, until, .. } => {
                self.phase = Phase::Leaves { number, until, end: End::Resigned };
                Ok(())
            }
            _ => self.leave(now, End::Resigned, out),
        }
    }

    /// Stops being a member, if it is one, and ends so.
    fn leave(&mut self, now: Tick, end: End, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(member) = self.live.as_mut().and_then(|live| live.member.take()) else { return Err(end) };
        let number = self.questions.ask(Ask::Leave(member), out);
        self.phase = Phase::Leaves { number, until: now + LEAVE_MAX, end };
        Ok(())
    }

    fn on_left(&mut self) -> Result<(), End> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Leaves { end, .. } => Err(end),
            phase => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    fn end(&mut self, now: Tick, end: End, out: &mut Vec<Effect>) {
        if self.live.take().is_some() {
            out.push(Effect::Disconnect);
        }
        self.standing.follows = false;
        self.changed = true;
        self.phase = Phase::Over;
        match end {
            End::Lost(why) => {
                tracing::warn!(why, "not a candidate; trying again");
                self.phase = Phase::Away(now + self.retry);
                self.retry = (self.retry * 2).min(RETRY_MAX);
            }
            End::Deposed(why) => {
                self.standing.leading = false;
                out.push(Effect::EndLease);
                out.push(Effect::Deposed { why });
            }
            End::Failed(why) => out.push(Effect::Failed { why }),
            End::Resigned => out.push(Effect::Resigned),
        }
    }
}
