//! A leader in the service: heartbeats that keep its lease, a look at the members now and then, and leaving.

use std::time::Duration;

use bytes::Bytes;
use stdx::{Tick, WallTime};

use super::{Answer, Ask, Candidate, Effect, End, Phase, Questions};
use crate::{
    Epoch, announce,
    layout::{self, REIGN, Reign},
    space::{Guard, Member, SpaceError, Write},
};

/// Of the session's timeout, the part that a leader acts on without news.
const LASTING: (u32, u32) = (2, 3);
/// Heartbeats within that time.
const BEATS: u32 = 4;
/// After how many times the longest that a candidate takes to read the registry nobody is left who has read it before
/// it was moved, and is not yet a member.
const TIDY_AFTER: u32 = 3;

pub(super) struct Reigning {
    reign: Reign,
    member: Member,
    guards: Vec<Guard>,
    /// How long it may act on a heartbeat that was answered, from when it was sent.
    lasting: Duration,
    /// Until when it may act.
    lease: Tick,
    heart: Heart,
    beat_at: Tick,
    /// Who are the members? With when it was asked.
    members: Option<(u64, Tick)>,
    foreign: Option<u64>,
    tidy_pause: Duration,
    tidy: Tidy,
}

struct Heart {
    beats: u64,
    /// Whether the key is there; it may have been made by a write whose answer was lost.
    exists: Option<bool>,
    stage: Stage,
    sent: Tick,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Rests,
    /// Is the key there?
    Looks(u64),
    Writes(u64),
}

enum Tidy {
    At(Tick),
    Asked(u64),
    Done,
}

/// The last words of a leader that resigns.
pub(super) struct HandingOver {
    reigning: Reigning,
    /// Who cannot tell by then leaves silently; the next leader waits a little longer.
    pub(super) until: Tick,
    stage: LastWords,
}

enum LastWords {
    /// A heartbeat is still under way.
    Waits,
    /// The reign is released.
    Releases,
    Leaves(u64),
}

impl Reigning {
    #[expect(clippy::too_many_arguments, reason = "all of it is new, and it is made in one place")]
    pub(super) fn new(
        now: Tick,
        wall: WallTime,
        epoch: Epoch,
        master: String,
        guards: Vec<Guard>,
        member: Member,
        session_timeout: Duration,
        fetch_timeout: Duration,
    ) -> Reigning {
        let lasting = session_timeout * LASTING.0 / LASTING.1;
        let reign = Reign {
            epoch,
            lasting_ms: u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX),
            released: false,
            since: wall.0 as f64 / 1e9,
            master,
        };
        let tidy_pause = fetch_timeout * TIDY_AFTER;
        Reigning {
            reign,
            member,
            guards,
            lasting,
            lease: now,
            heart: Heart { beats: 0, exists: None, stage: Stage::Rests, sent: now },
            beat_at: now,
            members: None,
            foreign: None,
            tidy_pause,
            tidy: Tidy::At(now + tidy_pause),
        }
    }

    pub(super) fn began(&self) -> WallTime {
        self.reign.began()
    }

    pub(super) fn lease(&self) -> Tick {
        self.lease
    }

    pub(super) fn deadline(&self) -> Tick {
        let beat = (self.heart.stage == Stage::Rests).then_some(self.beat_at);
        let tidy = match self.tidy {
            Tidy::At(at) => Some(at),
            Tidy::Asked(_) | Tidy::Done => None,
        };
        [Some(self.lease), beat, tidy].into_iter().flatten().min().unwrap_or(self.lease)
    }

    pub(super) fn beat(&mut self, now: Tick, questions: &mut Questions, out: &mut Vec<Effect>) {
        self.beat_at = now + self.lasting / BEATS;
        self.heart.sent = now;
        match self.heart.exists {
            Some(exists) => self.write_beat(exists, questions, out),
            None => self.heart.stage = Stage::Looks(questions.ask(Ask::Get(REIGN), out)),
        }
    }

    fn write_beat(&mut self, exists: bool, questions: &mut Questions, out: &mut Vec<Effect>) {
        self.heart.beats += 1;
        let mut value = serde_json::to_value(&self.reign).unwrap_or_default();
        value["beat"] = self.heart.beats.into();
        let value = layout::to_json(&value);
        let write = match exists {
            true => Write::Set(REIGN.to_owned(), value),
            false => Write::Create(REIGN.to_owned(), value),
        };
        let ask = Ask::Transact { guards: self.guards.clone(), writes: vec![write] };
        self.heart.stage = Stage::Writes(questions.ask(ask, out));
    }

    /// What became of a heartbeat, once that is known; the lease lasts accordingly.
    pub(super) fn on_beat_answer(
        &mut self,
        number: u64,
        answer: Answer,
        questions: &mut Questions,
        out: &mut Vec<Effect>,
    ) -> Option<Result<(), SpaceError>> {
        let outcome = match (self.heart.stage, answer) {
            (Stage::Looks(asked), Answer::Get(Ok(stored))) if asked == number => {
                self.write_beat(stored.is_some(), questions, out);
                return None;
            }
            (Stage::Looks(asked), Answer::Get(Err(error))) if asked == number => Err(error),
            (Stage::Writes(asked), Answer::Transact(outcome)) if asked == number => outcome.map(drop),
            _ => return None,
        };
        self.heart.stage = Stage::Rests;
        self.heart.exists = outcome.is_ok().then_some(true);
        if outcome.is_ok() {
            self.lease = self.lease.max(self.heart.sent + self.lasting);
        }
        Some(outcome)
    }

    /// Asks for the members, unless that is under way.
    pub(super) fn look(&mut self, now: Tick, questions: &mut Questions, out: &mut Vec<Effect>) {
        self.members = Some((questions.ask(Ask::Members, out), now));
    }
}

impl Candidate {
    pub(super) fn on_reign_wake(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        let Phase::Leads(reigning) = &mut self.phase else { return Ok(()) };
        if reigning.lease <= now {
            return Err(End::Deposed("the store did not answer for too long".into()));
        }
        if reigning.heart.stage == Stage::Rests && reigning.beat_at <= now {
            reigning.beat(now, &mut self.questions, out);
            // A look that has no answer, or had none that tells anything, is made again.
            let patience = reigning.lasting / BEATS;
            if reigning.members.is_some_and(|(_, asked)| asked + patience <= now) {
                reigning.look(now, &mut self.questions, out);
            }
        }
        if matches!(reigning.tidy, Tidy::At(at) if at <= now) {
            reigning.tidy = Tidy::Asked(self.questions.ask(Ask::Tidy, out));
        }
        Ok(())
    }

    pub(super) fn on_reign_answer(
        &mut self,
        now: Tick,
        number: u64,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Phase::Leads(reigning) = &mut self.phase else { return Ok(()) };
        match answer {
            Answer::Members(members) if reigning.members.is_some_and(|(asked, _)| asked == number) => {
                let Ok(members) = members else { return Ok(()) };
                reigning.members = None;
                if !members.iter().any(|(member, _)| *member == reigning.member) {
                    return Err(End::Deposed("our membership is gone".into()));
                }
                reigning.foreign = Some(self.questions.ask(Ask::Foreign, out));
                self.note_standbys(&members);
            }
            Answer::Foreign(found) if reigning.foreign == Some(number) => {
                reigning.foreign = None;
                // Nobody's reign ends with a foreign master, nor because it cannot be looked for.
                if let Ok(found) = found {
                    self.note_foreign(found);
                }
            }
            Answer::Tidy(done) if matches!(reigning.tidy, Tidy::Asked(asked) if asked == number) => {
                reigning.tidy = if let Ok(true) = done { Tidy::Done } else { Tidy::At(now + reigning.tidy_pause) };
            }
            answer => match reigning.on_beat_answer(number, answer, &mut self.questions, out) {
                Some(Ok(())) => out.push(Effect::Renew { until: reigning.lease }),
                Some(Err(SpaceError::Fenced)) => return Err(End::Deposed("another master has taken over".into())),
                Some(Err(error)) => tracing::warn!(%error, "a heartbeat failed"),
                None => {}
            },
        }
        Ok(())
    }

    fn note_standbys(&mut self, members: &[(Member, Bytes)]) {
        self.standing.standbys = members.iter().skip(1).filter_map(|(_, info)| announce::read(info)).collect();
        self.changed = true;
    }

    pub(super) fn hand_over(&mut self, now: Tick, reigning: Reigning, out: &mut Vec<Effect>) -> Result<(), End> {
        out.push(Effect::EndLease);
        let until = now + reigning.lasting;
        let mut handing = Box::new(HandingOver { reigning, until, stage: LastWords::Waits });
        handing.reigning.reign.released = true;
        if handing.reigning.heart.stage == Stage::Rests {
            handing.stage = LastWords::Releases;
            handing.reigning.beat(now, &mut self.questions, out);
        }
        self.phase = Phase::HandsOver(handing);
        Ok(())
    }

    pub(super) fn on_hand_over_answer(
        &mut self,
        now: Tick,
        number: u64,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Phase::HandsOver(handing) = &mut self.phase else { return Ok(()) };
        if let LastWords::Leaves(asked) = handing.stage {
            return if asked == number { Err(End::Resigned) } else { Ok(()) };
        }
        let Some(outcome) = handing.reigning.on_beat_answer(number, answer, &mut self.questions, out) else {
            return Ok(());
        };
        if let LastWords::Waits = handing.stage {
            handing.stage = LastWords::Releases;
            handing.reigning.beat(now, &mut self.questions, out);
            return Ok(());
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, "could not hand over properly");
            return Err(End::Resigned);
        }
        let member = handing.reigning.member.clone();
        handing.stage = LastWords::Leaves(self.questions.ask(Ask::Leave(member), out));
        Ok(())
    }
}
