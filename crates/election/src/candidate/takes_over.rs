//! From being the most senior member to leading: the former leader is waited out, a new epoch shuts it out for good,
//! and its registry is taken over to the last write.

use std::time::Duration;

use registry::Registry;
use stdx::{Tick, WallTime};

use super::{Again, Answer, Ask, Candidate, Effect, End, Phase, reign::Reigning};
use crate::{
    Epoch, Ledger, Next, Order, StoreError,
    layout::{self, EPOCH, FORMAT, HEADER, Header, REIGN, Reign},
    space::{Entry, Guard, Member, SpaceError, Stored, Write},
};

/// How long the copy may take to see our own epoch before it is read anew.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What is waited for. A number is that of a question.
pub(super) enum Step {
    /// The last heartbeat of a former leader.
    Heartbeat(u64),
    /// The time until which a former leader may believe that it leads.
    WaitsOut(Tick),
    InPlace(u64),
    Header(u64),
    /// The registry is made.
    Founds(u64, Header),
    Epoch(u64),
    /// The next epoch begins.
    Takes(u64, Epoch),
    /// The copy sees the epoch; until when.
    CatchesUp(Taken, Tick),
    /// The copy is read anew.
    Rereads(u64, Taken),
    /// The ledger finishes what a former leader began.
    Settles(Settling),
    /// The registry is moved, if former versions left it elsewhere.
    Moves(u64, Box<Inherited>),
    /// The first heartbeat.
    Begins(Box<Inherited>, Box<Reigning>),
}

/// The epoch a leader took.
pub(super) struct Taken {
    epoch: Epoch,
    /// Of the epoch's key.
    version: i64,
    guards: Vec<Guard>,
    at: Tick,
}

pub(super) struct Settling {
    inherited: Box<Inherited>,
    asked: Option<u64>,
    until: Tick,
}

/// What a leader took over.
pub(super) struct Inherited {
    taken: Taken,
    registry: Registry,
    ledger: Ledger,
}

impl Step {
    pub(super) fn deadline(&self) -> Option<Tick> {
        match self {
            Step::WaitsOut(until) | Step::CatchesUp(_, until) => Some(*until),
            Step::Settles(settling) => Some(settling.until),
            _ => None,
        }
    }
}

impl Candidate {
    fn own_member(&self) -> Option<Member> {
        self.live.as_ref().and_then(|live| live.member.clone())
    }

    pub(super) fn begin_to_take_over(&mut self, _now: Tick, out: &mut Vec<Effect>) {
        self.phase = Phase::TakesOver(Step::Heartbeat(self.questions.ask(Ask::Get(REIGN), out)));
    }

    pub(super) fn on_step(
        &mut self,
        now: Tick,
        wall: WallTime,
        number: u64,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Phase::TakesOver(step) = std::mem::replace(&mut self.phase, Phase::Over) else { return Ok(()) };
        match (step, answer) {
            (Step::Heartbeat(asked), Answer::Get(stored)) if asked == number => self.on_heartbeat(now, stored?, out),
            (Step::InPlace(asked), Answer::InPlace(is)) if asked == number => match is? {
                true => {
                    self.phase = Phase::TakesOver(Step::Header(self.questions.ask(Ask::Get(HEADER), out)));
                    Ok(())
                }
                false => self.leave(now, End::Lost("the registry has been moved".into()), out),
            },
            (Step::Header(asked), Answer::Get(stored)) if asked == number => self.on_header(stored?, out),
            (Step::Founds(asked, header), Answer::Transact(done)) if asked == number => {
                done?;
                self.check_cluster(&header, out)?;
                self.phase = Phase::TakesOver(Step::Epoch(self.questions.ask(Ask::Get(EPOCH), out)));
                Ok(())
            }
            (Step::Epoch(asked), Answer::Get(stored)) if asked == number => self.on_epoch(stored?, out),
            (Step::Takes(asked, epoch), Answer::Transact(versions)) if asked == number => {
                self.on_taken(now, wall, epoch, &versions?, out)
            }
            (Step::Rereads(asked, taken), Answer::Follow(read)) if asked == number => {
                self.on_reread(now, wall, taken, read?, out)
            }
            (Step::Settles(settling), answer) if settling.asked == Some(number) => {
                self.on_settled(now, wall, settling, answer, out)
            }
            (Step::Moves(asked, inherited), Answer::Move(moved)) if asked == number => match moved {
                Ok(true) => {
                    let why = "the registry was where former versions keep it, and has been moved";
                    self.leave(now, End::Lost(why.into()), out)
                }
                Ok(false) => self.begin_reign(now, wall, inherited, out),
                Err(SpaceError::Denied(why)) => {
                    tracing::warn!(why, "the registry stays where former versions keep it");
                    self.begin_reign(now, wall, inherited, out)
                }
                Err(error) => Err(error.into()),
            },
            (Step::Begins(inherited, reigning), answer) => {
                self.on_first_beat(now, inherited, reigning, number, answer, out)
            }
            // Of a question that is no longer asked.
            (step, _) => {
                self.phase = Phase::TakesOver(step);
                Ok(())
            }
        }
    }

    /// A time that was waited for has come.
    pub(super) fn on_wait_over(&mut self, now: Tick, wall: WallTime, out: &mut Vec<Effect>) -> Result<(), End> {
        let Phase::TakesOver(step) = std::mem::replace(&mut self.phase, Phase::Over) else { return Ok(()) };
        match step {
            Step::WaitsOut(_) => self.look_in_place(now, out),
            Step::CatchesUp(taken, _) => {
                tracing::warn!("the copy of the registry is behind; reading it anew");
                if let Some(live) = &mut self.live {
                    live.again = Again::No;
                }
                self.phase = Phase::TakesOver(Step::Rereads(self.questions.ask(Ask::Follow, out), taken));
                Ok(())
            }
            Step::Settles(mut settling) => {
                let ledger = &mut settling.inherited.ledger;
                let next = match settling.asked.take() {
                    // Only transactions and questions have a time by which they must be answered.
                    Some(_) => ledger.wrote(now, Err(SpaceError::Unsure("no answer in time".into()))),
                    None => ledger.go_on(now),
                };
                self.settle(now, wall, settling.inherited, next, out)
            }
            step => {
                self.phase = Phase::TakesOver(step);
                Ok(())
            }
        }
    }

    /// The copy has changed.
    pub(super) fn on_copy(&mut self, now: Tick, wall: WallTime, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::TakesOver(Step::CatchesUp(taken, _)) if live.copy.is_at(taken.version) => {
                self.inherit(now, wall, taken, out)
            }
            phase => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// Waits, if the former leader may still believe that it leads.
    fn on_heartbeat(&mut self, now: Tick, stored: Option<Stored>, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        // A little more than the leader gives itself, for clocks that differ in speed.
        let with_margin = |lasting: Duration| lasting + lasting / 8 + Duration::from_millis(5);
        let until = stored.and_then(|stored| {
            // Our copy may not have heard of the last heartbeat yet, and then it came just now.
            let heard = match live.copy.heartbeat() {
                Some((value, heard)) if value == &stored.value[..] => heard,
                _ => now,
            };
            match serde_json::from_slice::<Reign>(&stored.value) {
                Ok(reign) => (!reign.released).then(|| heard + with_margin(Duration::from_millis(reign.lasting_ms))),
                // Who leads, and for how long, cannot be read: longer than a session nobody does.
                Err(_) => Some(heard + with_margin(live.session.timeout)),
            }
        });
        match until.filter(|until| *until > now) {
            Some(until) => {
                tracing::info!(left = ?until.since(now), "waiting until the former leader has surely stopped");
                self.phase = Phase::TakesOver(Step::WaitsOut(until));
                Ok(())
            }
            None => self.look_in_place(now, out),
        }
    }

    fn look_in_place(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        if let Err(error) = self.check(out) {
            return self.leave(now, error.into(), out);
        }
        self.phase = Phase::TakesOver(Step::InPlace(self.questions.ask(Ask::InPlace, out)));
        Ok(())
    }

    /// Makes the registry if there is none. Only a member can.
    fn on_header(&mut self, stored: Option<Stored>, out: &mut Vec<Effect>) -> Result<(), End> {
        if stored.is_some() {
            self.phase = Phase::TakesOver(Step::Epoch(self.questions.ask(Ask::Get(EPOCH), out)));
            return Ok(());
        }
        let cluster = self.cluster.clone().unwrap_or_else(|| self.rng.uuid_text());
        let header = Header { format: FORMAT, cluster, name: self.config.name.clone() };
        let writes = vec![
            Write::Create(HEADER.to_owned(), layout::to_json(&header)),
            Write::Create(EPOCH.to_owned(), "0".into()),
        ];
        let guards = self.own_member().map(Guard::Member).into_iter().collect();
        let number = self.questions.ask(Ask::Transact { guards, writes }, out);
        self.phase = Phase::TakesOver(Step::Founds(number, header));
        Ok(())
    }

    fn on_epoch(&mut self, former: Option<Stored>, out: &mut Vec<Effect>) -> Result<(), End> {
        let former = former.ok_or_else(|| StoreError::Foreign("a registry without an epoch".into()))?;
        let epoch = layout::epoch(&former.value)? + 1;
        let member = self.own_member().map(Guard::Member);
        let guards = member.into_iter().chain([Guard::Version(EPOCH.to_owned(), former.version)]).collect();
        let writes = vec![Write::Set(EPOCH.to_owned(), epoch.to_string().into())];
        let number = self.questions.ask(Ask::Transact { guards, writes }, out);
        self.phase = Phase::TakesOver(Step::Takes(number, epoch));
        Ok(())
    }

    fn on_taken(
        &mut self,
        now: Tick,
        wall: WallTime,
        epoch: Epoch,
        versions: &[i64],
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let version = versions.first().copied().ok_or_else(|| End::Lost("no version of the epoch".into()))?;
        let member = self.own_member().map(Guard::Member);
        let guards = [Guard::Version(EPOCH.to_owned(), version)].into_iter().chain(member).collect();
        let taken = Taken { epoch, version, guards, at: now };
        self.phase = Phase::TakesOver(Step::CatchesUp(taken, now + CATCH_UP));
        self.on_copy(now, wall, out)
    }

    fn on_reread(
        &mut self,
        now: Tick,
        wall: WallTime,
        taken: Taken,
        entries: Vec<Entry>,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        if let Some(live) = &mut self.live {
            live.copy.replace(now, entries);
        }
        self.inherit(now, wall, taken, out)
    }

    /// What is there at the end of the reigns before the epoch that was taken.
    fn inherit(&mut self, now: Tick, wall: WallTime, taken: Taken, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        let (guards, limits) = (taken.guards.clone(), live.session.limits);
        let (patience, place) = (self.config.store_timeout, self.config.place.clone());
        let (ledger, registry, next) = Ledger::take_over(now, live.copy.values(), guards, limits, patience, place)?;
        self.settle(now, wall, Box::new(Inherited { taken, registry, ledger }), next, out)
    }

    fn settle(
        &mut self,
        now: Tick,
        wall: WallTime,
        inherited: Box<Inherited>,
        next: Next,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let _ = (now, wall);
        let (asked, until) = match next {
            Next::Failed(error) => return Err(error.into()),
            Next::Done => {
                let number = self.questions.ask(Ask::Move(inherited.taken.guards.clone()), out);
                self.phase = Phase::TakesOver(Step::Moves(number, inherited));
                return Ok(());
            }
            Next::Do(Order::Transact { guards, writes, until }) => {
                (Some(self.questions.ask(Ask::Transact { guards, writes }, out)), until)
            }
            Next::Do(Order::Get { key, until }) => (Some(self.questions.ask(Ask::Get(key), out)), until),
            Next::Do(Order::Wait { until }) => (None, until),
        };
        self.phase = Phase::TakesOver(Step::Settles(Settling { inherited, asked, until }));
        Ok(())
    }

    fn on_settled(
        &mut self,
        now: Tick,
        wall: WallTime,
        mut settling: Settling,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let ledger = &mut settling.inherited.ledger;
        let next = match answer {
            Answer::Transact(outcome) => ledger.wrote(now, outcome),
            Answer::Get(outcome) => ledger.got(now, outcome),
            _ => {
                self.phase = Phase::TakesOver(Step::Settles(settling));
                return Ok(());
            }
        };
        self.settle(now, wall, settling.inherited, next, out)
    }

    fn begin_reign(
        &mut self,
        now: Tick,
        wall: WallTime,
        inherited: Box<Inherited>,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let Some(member) = live.member.clone() else { return Err(End::Lost("our membership is gone".into())) };
        live.fetched += now.since(inherited.taken.at);
        live.again = Again::No;
        out.push(Effect::Unfollow);
        let Taken { epoch, guards, .. } = &inherited.taken;
        let id = self.config.info.id.clone();
        let tidy = self.config.fetch_timeout;
        let mut reigning = Reigning::new(now, wall, *epoch, id, guards.clone(), member, live.session.timeout, tidy);
        reigning.beat(now, &mut self.questions, out);
        self.phase = Phase::TakesOver(Step::Begins(inherited, Box::new(reigning)));
        Ok(())
    }

    fn on_first_beat(
        &mut self,
        now: Tick,
        inherited: Box<Inherited>,
        mut reigning: Box<Reigning>,
        number: u64,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        match reigning.on_beat_answer(number, answer, &mut self.questions, out) {
            None => self.phase = Phase::TakesOver(Step::Begins(inherited, reigning)),
            Some(Err(error)) => return Err(error.into()),
            // This process was stopped meanwhile, say: by now another one may lead.
            Some(Ok(())) if reigning.lease() <= now => {
                return Err(End::Lost("the answer to the first heartbeat came too late".into()));
            }
            Some(Ok(())) => {
                let Inherited { taken, registry, ledger } = *inherited;
                tracing::info!(epoch = taken.epoch, "elected");
                self.standing.leading = true;
                self.standing.epoch = Some(taken.epoch);
                self.standing.since = Some(reigning.began());
                self.standing.follows = false;
                self.changed = true;
                let fetched = self.live.as_ref().map(|live| live.fetched).unwrap_or_default();
                let until = reigning.lease();
                out.push(Effect::Elected(Box::new(super::Elected {
                    epoch: taken.epoch,
                    registry,
                    ledger,
                    until,
                    fetched,
                })));
                reigning.look(now, &mut self.questions, out);
                self.phase = Phase::Leads(reigning);
            }
        }
        Ok(())
    }
}
