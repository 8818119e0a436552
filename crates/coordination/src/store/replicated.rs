//! The store of a leader among several masters: the registry's parts in a service, every write fenced by the leader's
//! epoch and membership in the same transaction.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use registry::{Change, Registry};
use tokio::runtime::Handle;

use super::{Store, StoreError};
use crate::{
    layout::{self, COMMIT, Values},
    space::{Guard, Limits, Space, SpaceError, Write},
};

/// How long to wait between attempts while the service does not answer.
const RETRY: Duration = Duration::from_millis(50);
/// Beside the registry's parts, each transaction writes its own number.
const SPARE: usize = 1;

/// The store of one reign. It stores nothing any more once a later reign has begun.
pub struct ReplicatedStore {
    space: Arc<dyn Space>,
    runtime: Handle,
    guards: Vec<Guard>,
    /// The keys that exist, ours included.
    existing: BTreeSet<String>,
    registry: Registry,
    /// The number of the last transaction.
    commit: u64,
    patience: Duration,
    place: String,
}

impl ReplicatedStore {
    /// Takes over what `values` say, which must be all that was there when the guards began to hold. Must run on the
    /// runtime that `commit` will use.
    pub async fn take_over(
        space: Arc<dyn Space>,
        guards: Vec<Guard>,
        values: &Values,
        patience: Duration,
        place: String,
    ) -> Result<ReplicatedStore, StoreError> {
        let mut store = ReplicatedStore {
            registry: layout::assemble(values)?,
            existing: values.keys().cloned().collect(),
            commit: values.get(COMMIT).map(|bytes| layout::number(bytes)).unwrap_or_default(),
            runtime: Handle::current(),
            space,
            guards,
            patience,
            place,
        };
        for step in layout::finish_redo(values, store.budget())? {
            store.transact(step).await?;
        }
        let old = layout::without_sums(values, &store.registry)?;
        if !old.is_empty() {
            tracing::info!(parts = old.len(), "giving sums to what a former version wrote");
            store.write(&old).await?;
        }
        Ok(store)
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What a transaction holds beside its own number.
    fn budget(&self) -> Limits {
        let Limits { writes, bytes } = self.space.limits();
        Limits { writes: writes.saturating_sub(SPARE), bytes: bytes.saturating_sub(256) }
    }

    pub async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let writes = layout::writes(changes, &self.existing);
        if layout::fits(&writes, self.budget()) {
            return self.transact(writes).await;
        }
        for step in layout::redo_steps(writes, &self.existing, self.budget()) {
            self.transact(step).await?;
        }
        Ok(())
    }

    /// One transaction; when its answer is lost, its number tells whether it was done.
    async fn transact(&mut self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        let number = self.commit + 1;
        layout::put(&mut writes, &self.existing, COMMIT.to_owned(), Bytes::from(number.to_string()));
        let deadline = Instant::now() + self.patience;
        loop {
            let attempt = tokio::time::timeout(self.patience, self.space.transact(&self.guards, &writes)).await;
            let lost = match attempt {
                Ok(Ok(_)) => break,
                Ok(Err(SpaceError::Fenced)) => return Err(StoreError::Fenced),
                Ok(Err(error @ (SpaceError::Unsure(_) | SpaceError::Unreachable(_)))) => error,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => SpaceError::Unsure("no answer in time".into()),
            };
            tracing::warn!(%lost, "asking what became of a write to the registry");
            if self.find_commit(deadline, &lost).await? == number {
                break;
            }
        }
        for write in &writes {
            match write {
                Write::Create(key, _) => drop(self.existing.insert(key.clone())),
                Write::Delete(key) => drop(self.existing.remove(key)),
                Write::Set(..) => {}
            }
        }
        self.commit = number;
        Ok(())
    }

    async fn find_commit(&self, deadline: Instant, lost: &SpaceError) -> Result<u64, StoreError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Write(format!("{}: {lost}", self.place)));
            }
            match tokio::time::timeout(left, self.space.get(COMMIT)).await {
                Ok(Ok(stored)) => return Ok(stored.map(|s| layout::number(&s.value)).unwrap_or_default()),
                Ok(Err(SpaceError::Unsure(_) | SpaceError::Unreachable(_))) => {
                    tokio::time::sleep(RETRY).await;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
        }
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
        self.budget()
    }
}
