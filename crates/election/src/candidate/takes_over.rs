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

    pub(super) fn begin_to_take_over(&mut self, out: &mut Vec<Effect>) {
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
                self.on_taken(now, epoch, &versions?, out)
            }
            (Step::Rereads(asked, taken), Answer::Follow(read)) if asked == number => {
                self.on_reread(now, taken, read?, out)
            }
            (Step::Settles(settling), answer) if settling.asked == Some(number) => {
                self.on_settled(now, settling, answer, out)
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
    pub(super) fn on_wait_over(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
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
                self.settle(settling.inherited, next, out)
            }
            step => {
                self.phase = Phase::TakesOver(step);
                Ok(())
            }
        }
    }

    /// The copy has changed.
    pub(super) fn on_copy(&mut self, now: Tick, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::TakesOver(Step::CatchesUp(taken, _)) if live.copy.is_at(taken.version) => {
                self.inherit(now, taken, out)
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

    fn on_taken(&mut self, now: Tick, epoch: Epoch, versions: &[i64], out: &mut Vec<Effect>) -> Result<(), End> {
        let version = versions.first().copied().ok_or_else(|| End::Lost("no version of the epoch".into()))?;
        let member = self.own_member().map(Guard::Member);
        let guards = [Guard::Version(EPOCH.to_owned(), version)].into_iter().chain(member).collect();
        let taken = Taken { epoch, version, guards, at: now };
        self.phase = Phase::TakesOver(Step::CatchesUp(taken, now + CATCH_UP));
        self.on_copy(now, out)
    }

    fn on_reread(&mut self, now: Tick, taken: Taken, entries: Vec<Entry>, out: &mut Vec<Effect>) -> Result<(), End> {
        if let Some(live) = &mut self.live {
            live.copy.replace(now, entries);
        }
        self.inherit(now, taken, out)
    }

    /// What is there at the end of the reigns before the epoch that was taken.
    fn inherit(&mut self, now: Tick, taken: Taken, out: &mut Vec<Effect>) -> Result<(), End> {
        let Some(live) = &self.live else { return Ok(()) };
        let (guards, limits) = (taken.guards.clone(), live.session.limits);
        let (patience, place) = (self.config.store_timeout, self.config.place.clone());
        let (ledger, registry, next) = Ledger::take_over(now, live.copy.values(), guards, limits, patience, place)?;
        self.settle(Box::new(Inherited { taken, registry, ledger }), next, out)
    }

    /// Does what the ledger wants next.
    fn settle(&mut self, inherited: Box<Inherited>, next: Next, out: &mut Vec<Effect>) -> Result<(), End> {
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
        self.settle(settling.inherited, next, out)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proto::v1::MasterInfo;
    use stdx::{Tick, WallTime};

    use crate::{
        Answer, Ask, Candidate, Config, Effect, Event, Input, Session,
        layout::{self, EPOCH, FORMAT, HEADER, Header, REIGN, Reign},
        space::{Limits, Member, Stored},
    };

    /// A candidate, and a service that answers at once.
    struct World {
        candidate: Candidate,
        now: Tick,
        effects: Vec<Effect>,
    }

    fn config() -> Config {
        Config {
            info: MasterInfo { id: "m".into(), ..Default::default() },
            name: None,
            cluster: None,
            store_timeout: Duration::from_secs(10),
            fetch_timeout: Duration::from_secs(10),
            place: "here".into(),
            seed: 1,
        }
    }

    fn reign(released: bool) -> Bytes {
        let (epoch, lasting_ms, since, master) = (4, 6_000, 1.5, "former".into());
        layout::to_json(&Reign { epoch, lasting_ms, released, since, master })
    }

    fn stored(value: impl Into<Bytes>) -> Stored {
        Stored { value: value.into(), version: 1 }
    }

    impl World {
        fn tell(&mut self, event: Event) {
            let input = Input { now: self.now, wall: WallTime(0), event };
            self.candidate.handle(input, &mut self.effects);
        }

        /// The question that is asked now.
        fn asked(&mut self) -> (u64, Ask) {
            let asked = self.effects.drain(..).filter_map(|effect| match effect {
                Effect::Ask { number, ask } => Some((number, ask)),
                _ => None,
            });
            asked.last().expect("a question")
        }

        fn answer(&mut self, answer: Answer) {
            let (number, _) = self.asked();
            self.tell(Event::Answer { number, answer });
        }

        /// The most senior member, whose copy has this heartbeat.
        fn first(heard: &Bytes) -> World {
            let (candidate, now) = (Candidate::new(config()), Tick(1_000_000_000));
            let mut world = World { candidate, now, effects: Vec::new() };
            world.tell(Event::Wake);
            let limits = Limits { writes: 10, bytes: 1 << 20 };
            world.tell(Event::Connected(Ok(Session { timeout: Duration::from_secs(9), limits })));
            let header = Header { format: FORMAT, cluster: "c".into(), name: None };
            let entries =
                [(HEADER, layout::to_json(&header)), (EPOCH, Bytes::from_static(b"4")), (REIGN, heard.clone())];
            let entries = entries.map(|(key, value)| (key.to_owned(), Some(stored(value))));
            world.answer(Answer::Follow(Ok(entries.into())));
            world.answer(Answer::Foreign(Ok(None)));
            let member = Member { name: "m".into(), number: 1 };
            world.answer(Answer::Join(Ok(member.clone())));
            world.answer(Answer::Members(Ok(vec![(member, Bytes::new())])));
            world.answer(Answer::Foreign(Ok(None)));
            world
        }

        fn waits_until(&self) -> Option<Tick> {
            self.candidate.next_deadline()
        }
    }

    /// The former leader has resigned, says the copy; the service knows of another one since.
    #[test]
    fn the_heartbeat_that_is_stored_counts_and_not_the_one_that_was_heard() {
        let mut world = World::first(&reign(true));
        world.now = world.now + Duration::from_secs(1);
        world.answer(Answer::Get(Ok(Some(stored(reign(false))))));
        let least = world.now + Duration::from_secs(6);
        assert!(world.waits_until().is_some_and(|until| until > least), "{:?}", world.waits_until());
        world.now = least + Duration::from_secs(1);
        world.tell(Event::Wake);
        assert!(matches!(world.asked(), (_, Ask::InPlace)));
    }

    #[test]
    fn who_resigned_or_was_silent_for_long_is_not_waited_for() {
        let mut world = World::first(&reign(false));
        world.answer(Answer::Get(Ok(Some(stored(reign(true))))));
        assert!(matches!(world.asked(), (_, Ask::InPlace)));
        let mut world = World::first(&reign(false));
        world.now = world.now + Duration::from_secs(7);
        world.answer(Answer::Get(Ok(Some(stored(reign(false))))));
        assert!(matches!(world.asked(), (_, Ask::InPlace)));
    }

    #[test]
    fn a_heartbeat_that_cannot_be_read_is_one_of_a_whole_session() {
        let mut world = World::first(&reign(true));
        world.answer(Answer::Get(Ok(Some(stored("gibberish")))));
        let least = world.now + Duration::from_secs(9);
        assert!(world.waits_until().is_some_and(|until| until > least));
    }
}
