//! A standby's copy of what the leader stores, kept current by the service's news.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use registry::Registry;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    layout::{self, COMMIT, EPOCH, HEADER, Header, REIGN, Reign, Values},
    space::{Entry, Space, SpaceError},
    store::StoreError,
};

/// How long to wait before the copy is made anew.
const RETRY: Duration = Duration::from_millis(200);

/// The copy. Dropping it ends the following.
pub struct Replica {
    shared: Arc<Shared>,
    follower: AbortHandle,
}

struct Shared {
    copy: Mutex<Copy>,
    /// The version of the epoch's key up to which the copy is complete; -1 while there is none.
    epoch: watch::Sender<i64>,
}

struct Copy {
    values: Values,
    /// When the leader's heartbeat was last seen to change.
    heard: Instant,
    complete: bool,
}

impl Copy {
    fn reign(&self) -> Option<(Reign, Instant)> {
        Some((serde_json::from_slice(self.values.get(REIGN)?).ok()?, self.heard))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Replica {
    /// Reads everything, and follows from there.
    pub async fn start(space: Arc<dyn Space>) -> Result<Replica, SpaceError> {
        let copy = Copy { values: Values::new(), heard: Instant::now(), complete: false };
        let shared = Arc::new(Shared { copy: Mutex::new(copy), epoch: watch::channel(-1).0 });
        let (entries, feed) = space.follow().await?;
        shared.replace(entries);
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut feed = feed;
                loop {
                    while let Some(entries) = feed.recv().await {
                        shared.take(entries);
                    }
                    shared.copy().complete = false;
                    tokio::time::sleep(RETRY).await;
                    if let Ok((entries, again)) = space.follow().await {
                        shared.replace(entries);
                        feed = again;
                    }
                }
            }
        });
        Ok(Replica { shared, follower: task.abort_handle() })
    }

    /// What is there at the end of the reigns before the epoch of that version.
    pub async fn reach(&self, space: &dyn Space, epoch: i64, patience: Duration) -> Result<Values, SpaceError> {
        let mut seen = self.shared.epoch.subscribe();
        let caught_up = tokio::time::timeout(patience, seen.wait_for(|version| *version == epoch)).await.is_ok();
        if caught_up && self.shared.copy().complete {
            return Ok(self.shared.copy().values.clone());
        }
        tracing::warn!("the copy of the registry is behind; reading it anew");
        let (entries, _feed) = space.follow().await?;
        self.shared.replace(entries);
        Ok(self.shared.copy().values.clone())
    }

    pub fn header(&self) -> Result<Option<Header>, StoreError> {
        let copy = self.shared.copy();
        match copy.values.get(HEADER) {
            Some(bytes) => Header::read(bytes).map(Some),
            None if copy.values.is_empty() => Ok(None),
            None => Err(StoreError::Foreign("there are values, and no header of a registry".into())),
        }
    }

    /// The registry as this copy knows it.
    pub fn registry(&self) -> Result<Registry, StoreError> {
        let values = self.shared.copy().values.clone();
        layout::assemble(&values)
    }

    /// The leader's last heartbeat, and when it was seen.
    pub fn reign(&self) -> Option<(Reign, Instant)> {
        self.shared.copy().reign()
    }

    /// The number of the last transaction in this copy.
    pub fn commit(&self) -> u64 {
        self.shared.copy().values.get(COMMIT).map(|bytes| layout::number(bytes)).unwrap_or_default()
    }

    /// For tasks that show the copy.
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared) }
    }
}

/// Reads a replica, also after it stopped following.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    pub fn registry(&self) -> Result<Registry, StoreError> {
        let values = self.shared.copy().values.clone();
        layout::assemble(&values)
    }

    pub fn commit(&self) -> u64 {
        self.shared.copy().values.get(COMMIT).map(|bytes| layout::number(bytes)).unwrap_or_default()
    }

    pub fn reign(&self) -> Option<Reign> {
        self.shared.copy().reign().map(|(reign, _)| reign)
    }

    /// How long nothing was heard of the leader.
    pub fn silence(&self) -> Duration {
        self.shared.copy().heard.elapsed()
    }
}

impl Shared {
    fn copy(&self) -> MutexGuard<'_, Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, entries: Vec<Entry>) {
        let mut copy = self.copy();
        let former = copy.values.remove(REIGN);
        copy.values.clear();
        copy.complete = true;
        if let Some(former) = former {
            copy.values.insert(REIGN.to_owned(), former);
        }
        drop(copy);
        self.take(entries);
    }

    fn take(&self, entries: Vec<Entry>) {
        let mut epoch = None;
        let mut copy = self.copy();
        for (key, stored) in entries {
            match stored {
                Some(stored) => {
                    match key.as_str() {
                        EPOCH => epoch = Some(stored.version),
                        REIGN if copy.values.get(REIGN) != Some(&stored.value) => copy.heard = Instant::now(),
                        _ => {}
                    }
                    copy.values.insert(key, stored.value);
                }
                None => drop(copy.values.remove(&key)),
            }
        }
        drop(copy);
        if let Some(version) = epoch {
            self.epoch.send_replace(version);
        }
    }
}
