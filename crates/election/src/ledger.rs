//! A leader's writes: each transaction is guarded by the leader's epoch and membership, and carries a number, which
//! tells what became of one whose answer was lost. A change that is too large for one transaction is written down
//! before it is carried out (`layout::redo_steps`).
//!
//! Whoever has the ledger carries its orders out one by one: `write` gives the first, the answer to each gives the
//! next, until all is `Done` or the ledger has `Failed`, for good.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use registry::{Change, Registry};
use stdx::Tick;

use crate::{
    StoreError,
    layout::{self, COMMIT, Values},
    space::{Guard, Limits, SpaceError, Stored, Write},
};

/// How long to wait between attempts while the service does not answer.
const RETRY: Duration = Duration::from_millis(50);
/// Beside the registry's parts, each transaction writes its own number.
const SPARE_WRITES: usize = 1;
const SPARE_BYTES: usize = 256;

/// The writes of one reign. Nothing is written any more once a later reign has begun.
#[derive(Debug)]
pub struct Ledger {
    guards: Vec<Guard>,
    /// The keys that exist, ours included.
    existing: BTreeSet<String>,
    /// The number of the last transaction.
    commit: u64,
    /// How much one transaction may hold beside its own number.
    limits: Limits,
    /// For how long a write is tried.
    patience: Duration,
    /// For people: which service, and where.
    place: String,
    under_way: Option<UnderWay>,
    /// What the present write still needs, transaction by transaction.
    steps: VecDeque<Vec<Write>>,
    /// What is written after that.
    then: Vec<Change>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    writes: Vec<Write>,
    until: Tick,
    /// Why its answer is missing.
    lost: Option<SpaceError>,
}

/// What the ledger needs of the service. Without an answer by `until`, the answer is `SpaceError::Unsure`.
#[derive(Debug)]
pub enum Order {
    /// Answered with `Ledger::wrote`.
    Transact { guards: Vec<Guard>, writes: Vec<Write>, until: Tick },
    /// Answered with `Ledger::got`.
    Get { key: &'static str, until: Tick },
    /// Answered with `Ledger::go_on`, at that time.
    Wait { until: Tick },
}

#[derive(Debug)]
pub enum Next {
    Do(Order),
    Done,
    Failed(StoreError),
}

impl Ledger {
    /// Takes over what `values` say, which must be all that was there when the guards began to hold: the registry, and
    /// what must be written first.
    pub fn take_over(
        now: Tick,
        values: &Values,
        guards: Vec<Guard>,
        limits: Limits,
        patience: Duration,
        place: String,
    ) -> Result<(Ledger, Registry, Next), StoreError> {
        let registry = layout::assemble(values)?;
        let mut ledger = Ledger {
            guards,
            existing: values.keys().cloned().collect(),
            commit: values.get(COMMIT).map(|bytes| layout::number(bytes)).unwrap_or_default(),
            limits: Limits {
                writes: limits.writes.saturating_sub(SPARE_WRITES),
                bytes: limits.bytes.saturating_sub(SPARE_BYTES),
            },
            patience,
            place,
            under_way: None,
            steps: VecDeque::new(),
            then: Vec::new(),
        };
        ledger.steps = layout::finish_redo(values, ledger.limits)?.into();
        ledger.then = layout::without_sums(values, &registry)?;
        if !ledger.then.is_empty() {
            tracing::info!(parts = ledger.then.len(), "giving sums to what a former version wrote");
        }
        let next = ledger.begin(now);
        Ok((ledger, registry, next))
    }

    /// How much a write holds at best; more is possible and costs more.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Begins to write all of `changes` or none. The write before must be done.
    pub fn write(&mut self, now: Tick, changes: &[Change]) -> Next {
        self.plan(changes);
        self.begin(now)
    }

    fn plan(&mut self, changes: &[Change]) {
        let writes = layout::writes(changes, &self.existing);
        match layout::fits(&writes, self.limits) {
            true => self.steps.push_back(writes),
            false => self.steps.extend(layout::redo_steps(writes, &self.existing, self.limits)),
        }
    }

    fn begin(&mut self, now: Tick) -> Next {
        if self.steps.is_empty() && !self.then.is_empty() {
            let changes = std::mem::take(&mut self.then);
            self.plan(&changes);
        }
        let Some(mut writes) = self.steps.pop_front() else { return Next::Done };
        let number = self.commit + 1;
        layout::put(&mut writes, &self.existing, COMMIT.to_owned(), Bytes::from(number.to_string()));
        self.under_way = Some(UnderWay { number, writes, until: now + self.patience, lost: None });
        self.transact()
    }

    fn transact(&self) -> Next {
        let Some(under_way) = &self.under_way else { return Next::Done };
        let (guards, writes) = (self.guards.clone(), under_way.writes.clone());
        Next::Do(Order::Transact { guards, writes, until: under_way.until })
    }

    /// What became of `Order::Transact`.
    pub fn wrote(&mut self, now: Tick, outcome: Result<Vec<i64>, SpaceError>) -> Next {
        match outcome {
            Ok(_) => self.on_done(now),
            Err(SpaceError::Fenced) => self.fail(StoreError::Fenced),
            Err(error @ (SpaceError::Unsure(_) | SpaceError::Unreachable(_))) => {
                tracing::warn!(%error, "asking what became of a write to the registry");
                if let Some(under_way) = &mut self.under_way {
                    under_way.lost = Some(error);
                }
                self.find(now)
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// The time of `Order::Wait` has come.
    pub fn go_on(&mut self, now: Tick) -> Next {
        self.find(now)
    }

    /// Asks for the number of the last transaction, for as long as patience lasts.
    fn find(&mut self, now: Tick) -> Next {
        let Some(under_way) = &self.under_way else { return Next::Done };
        if now < under_way.until {
            return Next::Do(Order::Get { key: COMMIT, until: under_way.until });
        }
        let lost = under_way.lost.as_ref().map_or_else(|| "no answer in time".to_owned(), ToString::to_string);
        let why = format!("{}: {lost}", self.place);
        self.fail(StoreError::Write(why))
    }

    /// What became of `Order::Get`.
    pub fn got(&mut self, now: Tick, outcome: Result<Option<Stored>, SpaceError>) -> Next {
        let Some(under_way) = &self.under_way else { return Next::Done };
        match outcome {
            Ok(stored) => {
                let number = stored.map(|stored| layout::number(&stored.value)).unwrap_or_default();
                if number == under_way.number { self.on_done(now) } else { self.transact() }
            }
            Err(SpaceError::Unsure(_) | SpaceError::Unreachable(_)) => {
                Next::Do(Order::Wait { until: (now + RETRY).min(under_way.until) })
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn on_done(&mut self, now: Tick) -> Next {
        let Some(under_way) = self.under_way.take() else { return Next::Done };
        for write in &under_way.writes {
            match write {
                Write::Create(key, _) => drop(self.existing.insert(key.clone())),
                Write::Delete(key) => drop(self.existing.remove(key)),
                Write::Set(..) => {}
            }
        }
        self.commit = under_way.number;
        self.begin(now)
    }

    fn fail(&mut self, why: StoreError) -> Next {
        self.under_way = None;
        self.steps.clear();
        self.then.clear();
        Next::Failed(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { writes: 10, bytes: 1 << 20 };
    const NOW: Tick = Tick(1_000);

    fn ledger() -> Ledger {
        let (ledger, registry, next) =
            Ledger::take_over(NOW, &Values::new(), Vec::new(), LIMITS, Duration::from_secs(1), "here".into()).unwrap();
        assert!(matches!(next, Next::Done) && registry == Registry::default());
        ledger
    }

    fn change() -> Vec<Change> {
        let mut registry = Registry::default();
        let agent = proto::v1::AgentInfo {
            id: Some(proto::v1::AgentId { value: "a".into() }),
            hostname: "h".into(),
            ..Default::default()
        };
        let mutation = registry::apply(&mut registry, &registry::Operation::AdmitAgent(Box::new(agent))).unwrap();
        registry.changes(&mutation)
    }

    fn unsure() -> SpaceError {
        SpaceError::Unsure("gone".into())
    }

    fn stored(value: &str) -> Result<Option<Stored>, SpaceError> {
        Ok(Some(Stored { value: value.to_owned().into(), version: 0 }))
    }

    #[test]
    fn an_answer_that_was_lost_is_found_by_the_number() {
        let mut ledger = ledger();
        assert!(matches!(ledger.write(NOW, &change()), Next::Do(Order::Transact { .. })));
        assert!(matches!(ledger.wrote(NOW, Err(unsure())), Next::Do(Order::Get { key: COMMIT, .. })));
        assert!(matches!(ledger.got(NOW, Err(unsure())), Next::Do(Order::Wait { .. })));
        assert!(matches!(ledger.go_on(NOW), Next::Do(Order::Get { .. })));
        // It was not done: once more. Then it was.
        assert!(matches!(ledger.got(NOW, stored("0")), Next::Do(Order::Transact { .. })));
        assert!(matches!(ledger.wrote(NOW, Err(unsure())), Next::Do(Order::Get { .. })));
        assert!(matches!(ledger.got(NOW, stored("1")), Next::Done));
        assert_eq!(ledger.commit, 1);
    }

    #[test]
    fn patience_ends_and_a_later_reign_shuts_out() {
        let mut ledger = ledger();
        assert!(matches!(ledger.write(NOW, &change()), Next::Do(_)));
        let late = ledger.wrote(NOW + Duration::from_secs(1), Err(unsure()));
        assert!(matches!(late, Next::Failed(StoreError::Write(why)) if why == "here: the connection broke: gone"));
        let mut ledger = self::ledger();
        assert!(matches!(ledger.write(NOW, &change()), Next::Do(_)));
        assert!(matches!(ledger.wrote(NOW, Err(SpaceError::Fenced)), Next::Failed(StoreError::Fenced)));
    }
}
