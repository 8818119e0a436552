//! A standby: it follows the registry and looks at the members after each change, until no senior one is left.

use bytes::Bytes;
use proto::v1::MasterInfo;
use stdx::{Tick, WallTime};

use super::{Answer, Ask, Candidate, Effect, End, Phase, Questions};
use crate::{announce, layout::Reign, space::Member};

/// One look at the members.
pub(super) enum Look {
    /// Who are they?
    Members(u64),
    /// Are there others beside them? The members were looked at.
    Foreign(u64, Turn),
    /// Until they change.
    Done,
}

/// What a look has shown.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Turn {
    Ours,
    NotYet,
    /// We are not among them.
    Gone,
}

impl Look {
    pub(super) fn begin(questions: &mut Questions, out: &mut Vec<Effect>) -> Look {
        Look::Members(questions.ask(Ask::Members, out))
    }
}

impl Candidate {
    pub(super) fn on_members_changed(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        match &mut self.phase {
            Phase::Waits(_) => {
                // A leader of a newer version may have made the registry one that we cannot lead with.
                if let Err(error) = self.check(out) {
                    return self.leave(now, error.into(), out);
                }
                // What was under way is of no more use.
                self.phase = Phase::Waits(Look::begin(&mut self.questions, out));
            }
            Phase::Leads(reigning) => reigning.look(now, &mut self.questions, out),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn on_look(&mut self, number: u64, answer: Answer, out: &mut Vec<Effect>) -> Result<(), End> {
        let Phase::Waits(look) = &self.phase else { return Ok(()) };
        match (look, answer) {
            (Look::Members(asked), Answer::Members(members)) if *asked == number => {
                let members = members?;
                self.note_members(&members);
                let turn = self.turn(&members);
                self.phase = Phase::Waits(Look::Foreign(self.questions.ask(Ask::Foreign, out), turn));
            }
            (Look::Foreign(asked, turn), Answer::Foreign(found)) if *asked == number => {
                let turn = *turn;
                self.note_foreign(found?);
                match turn {
                    Turn::Ours => self.begin_to_take_over(out),
                    Turn::NotYet => self.phase = Phase::Waits(Look::Done),
                    Turn::Gone => return Err(End::Lost("our membership is gone".into())),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn turn(&self, members: &[(Member, Bytes)]) -> Turn {
        let own = self.live.as_ref().and_then(|live| live.member.as_ref());
        match members.iter().position(|(member, _)| Some(member) == own) {
            Some(0) => Turn::Ours,
            Some(_) => Turn::NotYet,
            None => Turn::Gone,
        }
    }

    fn note_members(&mut self, members: &[(Member, Bytes)]) {
        let mut infos = members.iter().filter_map(|(_, info)| announce::read(info));
        let leader = infos.next().map(Box::new);
        let standing = &mut self.standing;
        let id = |info: &Option<Box<MasterInfo>>| info.as_ref().map(|info| info.id.clone());
        if id(&standing.leader) != id(&leader) {
            standing.elections += u64::from(leader.is_some());
            let name = leader.as_deref().map(announce::address).unwrap_or_else(|| "nobody".into());
            tracing::info!(leader = name, "the leading master");
        }
        standing.leader = leader;
        standing.standbys = infos.collect();
        if let Some(reign) = self.live.as_ref().and_then(|live| live.copy.reign()) {
            standing.epoch = Some(reign.epoch);
            standing.since = Some(reign.began());
        }
        self.changed = true;
    }
}

impl Reign {
    /// When it began.
    pub fn began(&self) -> WallTime {
        WallTime((self.since * 1e9) as i64)
    }
}
