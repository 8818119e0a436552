//! A standby's copy of what the leader stores, kept current by the service's news.

use std::time::Duration;

use registry::Registry;
use stdx::Tick;

use crate::{
    StoreError,
    layout::{self, COMMIT, EPOCH, HEADER, Header, REIGN, Reign, Values},
    space::Entry,
};

#[derive(Debug)]
pub struct Copy {
    values: Values,
    /// When the leader's heartbeat was last seen to change.
    heard: Tick,
    /// The version of the epoch's key up to which the copy has everything.
    epoch: Option<i64>,
    /// No news was lost.
    complete: bool,
}

impl Copy {
    pub(crate) fn new(now: Tick) -> Copy {
        Copy { values: Values::new(), heard: now, epoch: None, complete: false }
    }

    /// All there is, read at once.
    pub(crate) fn replace(&mut self, now: Tick, entries: Vec<Entry>) {
        let former = self.values.remove(REIGN);
        self.values.clear();
        // An equal heartbeat is none that was heard just now.
        self.values.extend(former.map(|former| (REIGN.to_owned(), former)));
        self.complete = true;
        self.take(now, entries);
    }

    /// Changes in the order in which they were made.
    pub(crate) fn take(&mut self, now: Tick, entries: Vec<Entry>) {
        for (key, stored) in entries {
            let Some(stored) = stored else {
                self.values.remove(&key);
                continue;
            };
            match key.as_str() {
                EPOCH => self.epoch = Some(stored.version),
                REIGN if self.values.get(REIGN) != Some(&stored.value) => self.heard = now,
                _ => {}
            }
            self.values.insert(key, stored.value);
        }
    }

    /// News may have been lost.
    pub(crate) fn lose(&mut self) {
        self.complete = false;
    }

    /// Whether everything from before the epoch of this version is here.
    pub(crate) fn is_at(&self, version: i64) -> bool {
        self.complete && self.epoch == Some(version)
    }

    pub(crate) fn heartbeat(&self) -> Option<(&[u8], Tick)> {
        Some((self.values.get(REIGN)?, self.heard))
    }

    pub fn values(&self) -> &Values {
        &self.values
    }

    pub fn header(&self) -> Result<Option<Header>, StoreError> {
        match self.values.get(HEADER) {
            Some(bytes) => Header::read(bytes).map(Some),
            None if self.values.is_empty() => Ok(None),
            None => Err(StoreError::Foreign("there are values, and no header of a registry".into())),
        }
    }

    pub fn registry(&self) -> Result<Registry, StoreError> {
        layout::assemble(&self.values)
    }

    /// The leader's last heartbeat.
    pub fn reign(&self) -> Option<Reign> {
        serde_json::from_slice(self.values.get(REIGN)?).ok()
    }

    /// The number of the last transaction.
    pub fn commit(&self) -> u64 {
        self.values.get(COMMIT).map(|bytes| layout::number(bytes)).unwrap_or_default()
    }

    /// How long nothing was heard of the leader.
    pub fn silence(&self, now: Tick) -> Duration {
        now.since(self.heard)
    }
}
