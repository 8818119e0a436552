//! The store of a leader among several masters: the registry's parts in a service. What is written, and what became of
//! it, is `election::Ledger`'s; here its orders are carried out.

use std::{sync::Arc, time::Duration};

use election::{Ledger, Next, Order, layout::Values};
use registry::{Change, Registry};
use stdx::{Tick, clock::Clock};
use tokio::runtime::Handle;

use super::{Store, StoreError};
use crate::space::{Guard, Limits, Space, SpaceError, Work};

/// The store of one reign. It stores nothing any more once a later reign has begun.
pub struct ReplicatedStore {
    space: Arc<dyn Space>,
    runtime: Handle,
    clock: Clock,
    ledger: Ledger,
    registry: Registry,
    place: String,
}

impl ReplicatedStore {
    /// Goes on with a ledger that has nothing under way. Must run on the runtime that `commit` will use.
    pub(crate) fn new(space: Arc<dyn Space>, ledger: Ledger, registry: Registry, place: String) -> ReplicatedStore {
        ReplicatedStore { space, runtime: Handle::current(), clock: Clock::start(), ledger, registry, place }
    }

    /// Takes over what `values` say, which must be all that was there when the guards began to hold.
    pub(crate) async fn take_over(
        space: Arc<dyn Space>,
        guards: Vec<Guard>,
        values: &Values,
        patience: Duration,
        place: String,
    ) -> Result<ReplicatedStore, StoreError> {
        let clock = Clock::start();
        let limits = space.limits();
        let (ledger, registry, next) = Ledger::take_over(clock.now(), values, guards, limits, patience, place.clone())?;
        let mut store = ReplicatedStore { space, runtime: Handle::current(), clock, ledger, registry, place };
        store.finish(next).await?;
        Ok(store)
    }

    pub async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let next = self.ledger.write(self.clock.now(), changes);
        self.finish(next).await
    }

    async fn finish(&mut self, mut next: Next) -> Result<(), StoreError> {
        loop {
            next = match next {
                Next::Done => return Ok(()),
                Next::Failed(why) => return Err(why),
                Next::Do(order) => self.carry_out(order).await,
            };
        }
    }

    async fn carry_out(&mut self, order: Order) -> Next {
        match order {
            Order::Transact { guards, writes, until } => {
                let outcome = self.answered_by(until, self.space.transact(&guards, &writes)).await;
                self.ledger.wrote(self.clock.now(), outcome)
            }
            Order::Get { key, until } => {
                let outcome = self.answered_by(until, self.space.get(key)).await;
                self.ledger.got(self.clock.now(), outcome)
            }
            Order::Wait { until } => {
                tokio::time::sleep_until(self.clock.instant(until).into()).await;
                self.ledger.go_on(self.clock.now())
            }
        }
    }
}

impl ReplicatedStore {
    async fn answered_by<T>(&self, until: Tick, work: Work<'_, T>) -> Result<T, SpaceError> {
        let answered = tokio::time::timeout_at(self.clock.instant(until).into(), work).await;
        answered.unwrap_or_else(|_| Err(SpaceError::Unsure("no answer in time".into())))
    }
}

impl Store for ReplicatedStore {
    fn load(&mut self) -> Result<Registry, StoreError> {
        Ok(self.registry.clone())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.write(changes))
    }

    fn describe(&self) -> String {
        self.place.clone()
    }

    fn limits(&self) -> Limits {
        self.ledger.limits()
    }
}
