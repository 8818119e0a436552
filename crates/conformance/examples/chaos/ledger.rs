//! Reads along in the store itself: a write that names a master (`watch::role`) may only be made while that master
//! reigns. What a store tells in one go has no order inside, so within it any master that reigned counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coordination::{
    announce,
    layout::{REIGN, Reign},
    space::{Connect, Entry, Feed, Space},
};

pub struct Ledger {
    connect: Arc<dyn Connect>,
    /// The masters' addresses, in the order of their numbers.
    masters: Vec<String>,
    stop: Arc<AtomicBool>,
    /// Which master has which id in its present life.
    ids: BTreeMap<String, usize>,
    reigning: Option<String>,
    known: BTreeSet<String>,
    read: Read,
}

/// What was read.
#[derive(Default)]
pub struct Read {
    pub epochs: BTreeSet<u64>,
    /// Writes whose master was compared with who reigned.
    pub compared: u64,
    /// Writes that came with the whole registry, after the news had a gap.
    pub passed_over: u64,
    pub problems: Vec<String>,
}

const RETRY: Duration = Duration::from_millis(200);

impl Ledger {
    pub fn new(connect: Arc<dyn Connect>, masters: Vec<String>, stop: Arc<AtomicBool>) -> Ledger {
        let (ids, reigning, known, read) = Default::default();
        Ledger { connect, masters, stop, ids, reigning, known, read }
    }

    pub async fn run(mut self) -> Read {
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(space) = self.connect.connect().await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            while let Ok((entries, feed)) = space.follow().await {
                self.start_over(entries);
                if !self.follow(&*space, feed).await {
                    break;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
        self.read
    }

    /// False when the session is over or nobody wants to know more.
    async fn follow(&mut self, space: &dyn Space, mut feed: Feed) -> bool {
        loop {
            tokio::select! {
                entries = feed.recv() => match entries {
                    Some(entries) => self.take(space, entries).await,
                    None => return true,
                },
                _ = space.ended() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
        }
    }

    fn start_over(&mut self, entries: Vec<Entry>) {
        for (key, stored) in entries {
            match stored {
                Some(stored) if key == REIGN => self.note_reign(&stored.value),
                _ if asked_of(&key).is_some() && self.known.insert(key) => self.read.passed_over += 1,
                _ => {}
            }
        }
    }

    fn note_reign(&mut self, value: &[u8]) {
        if let Ok(reign) = serde_json::from_slice::<Reign>(value) {
            self.read.epochs.insert(reign.epoch);
            self.reigning = Some(reign.master);
        }
    }

    async fn take(&mut self, space: &dyn Space, entries: Vec<Entry>) {
        let mut allowed: BTreeSet<String> = self.reigning.clone().into_iter().collect();
        let mut made = Vec::new();
        for (key, stored) in entries {
            match stored {
                Some(stored) if key == REIGN => {
                    self.note_reign(&stored.value);
                    allowed.extend(self.reigning.clone());
                }
                Some(_) => {
                    if let Some(master) = asked_of(&key)
                        && self.known.insert(key.clone())
                    {
                        made.push((key, master));
                    }
                }
                None => {}
            }
        }
        if made.is_empty() {
            return;
        }
        if allowed.iter().any(|id| !self.ids.contains_key(id)) {
            self.learn_ids(space).await;
        }
        // A master that came and went within one look has no name any more.
        if allowed.iter().any(|id| !self.ids.contains_key(id)) {
            self.read.passed_over += made.len() as u64;
            return;
        }
        for (key, master) in made {
            self.read.compared += 1;
            if !allowed.iter().any(|id| self.ids.get(id) == Some(&master)) {
                self.read.problems.push(format!("{key} was written while {allowed:?} reigned ({:?})", self.ids));
            }
        }
    }

    async fn learn_ids(&mut self, space: &dyn Space) {
        let Ok((members, _)) = space.members().await else { return };
        for info in members.iter().filter_map(|(_, info)| announce::read(info)) {
            let address = announce::address(&info);
            if let Some(master) = self.masters.iter().position(|master| *master == address) {
                self.ids.insert(info.id, master);
            }
        }
    }
}

/// The number of the master that a probe of the chaos run was sent to.
fn asked_of(key: &str) -> Option<usize> {
    key.strip_prefix("weights/chaos-")?.split_once('-')?.0.parse().ok()
}
