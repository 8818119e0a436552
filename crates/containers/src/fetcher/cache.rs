//! Files that several containers want, kept from one fetch to the next as long as there is room. Each user has files of
//! its own; none of them can write here. One download serves all who ask meanwhile. What was used last stays longest.

use super::budget::pour;
use crate::mutex::lock;
use kernel::files;
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const PREFIX: &str = "fetched-";
const LOCK: &str = "lock";
/// How often whoever waits for a download looks whether it is still wanted itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const STACK_BYTES: usize = 512 << 10;

/// What is kept apart: nobody gets what somebody else could read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub uid: u32,
    pub uri: String,
}

#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    capacity: u64,
    state: Mutex<State>,
    /// Told whenever a download has ended.
    changed: Condvar,
    /// Held as long as the directory is ours.
    _lock: File,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    /// The bytes of all entries, also of those that are still growing.
    used: u64,
    names: u64,
    clock: u64,
}

#[derive(Debug)]
enum Entry {
    Filling(Arc<Fill>),
    Ready { path: PathBuf, bytes: u64, last_used: u64 },
}

/// A download that containers wait for.
#[derive(Debug, Default)]
struct Fill {
    waiting: AtomicU32,
    outcome: Mutex<Option<Result<(), Unfit>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It does not fit into the cache.
    NoRoom,
    Failed(String),
}

impl From<String> for Unfit {
    fn from(why: String) -> Unfit {
        Unfit::Failed(why)
    }
}

/// What a request ends in.
#[derive(Debug)]
pub enum Cached {
    /// Opened for reading.
    File(File),
    NoRoom,
}

impl Cache {
    /// Takes the directory over and removes what an earlier agent kept in it.
    pub fn open(directory: &Path, capacity: u64) -> io::Result<Cache> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(directory.join(LOCK))?;
        files::lock_soon(&lock, Duration::from_secs(1)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(error.kind(), "another agent uses it"),
            _ => error,
        })?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        let (state, changed) = (Mutex::default(), Condvar::new());
        Ok(Cache { directory: directory.to_owned(), capacity, state, changed, _lock: lock })
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    pub fn used(&self) -> u64 {
        lock(&self.state).used
    }

    /// The file of `key`. If it is not there, `fill` brings it, on a thread of its own; whoever asks meanwhile waits
    /// for the same thread and shares its fate.
    pub fn get(
        self: &Arc<Cache>,
        key: Key,
        fill: impl FnOnce(&mut Filling) -> Result<(), Unfit> + Send + 'static,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Cached, String> {
        let mut state = lock(&self.state);
        state.clock += 1;
        let now = state.clock;
        if let Some(Entry::Ready { path, last_used, bytes }) = state.entries.get_mut(&key) {
            match File::open(&*path) {
                Ok(file) => {
                    *last_used = now;
                    return Ok(Cached::File(file));
                }
                Err(error) => {
                    tracing::warn!("The fetcher's cache has lost '{}': {error}", path.display());
                    let bytes = *bytes;
                    state.used -= bytes;
                    state.entries.remove(&key);
                }
            }
        }
        let shared = match state.entries.get(&key) {
            Some(Entry::Filling(shared)) => shared.clone(),
            _ => self.start(&mut state, key.clone(), fill).map_err(|error| format!("cannot cache it: {error}"))?,
        };
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        let outcome = loop {
            if let Some(outcome) = lock(&shared.outcome).clone() {
                break outcome;
            }
            if cancelled() {
                break Err(Unfit::Failed("the container was destroyed".to_owned()));
            }
            state = self.changed.wait_timeout(state, LOOK_EVERY).unwrap_or_else(|broken| broken.into_inner()).0;
        };
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            Err(Unfit::NoRoom) => Ok(Cached::NoRoom),
            Err(Unfit::Failed(why)) => Err(why),
            Ok(()) => match state.entries.get(&key) {
                Some(Entry::Ready { path, .. }) => File::open(path)
                    .map(Cached::File)
                    .map_err(|error| format!("cannot read it from the cache: {error}")),
                // Something larger has taken its place already.
                _ => Ok(Cached::NoRoom),
            },
        }
    }

    fn start(
        self: &Arc<Cache>,
        state: &mut State,
        key: Key,
        fill: impl FnOnce(&mut Filling) -> Result<(), Unfit> + Send + 'static,
    ) -> io::Result<Arc<Fill>> {
        // The thread comes first: what is being filled locks the state, which is held here, when it is dropped.
        let (sender, receiver) = mpsc::channel::<Filling>();
        let job = move || {
            let Ok(mut filling) = receiver.recv() else { return };
            let filled = fill(&mut filling);
            filling.outcome = filled.and_then(|()| Ok(filling.file.flush().map_err(|error| error.to_string())?));
        };
        thread::Builder::new().name("fetch-to-cache".to_owned()).stack_size(STACK_BYTES).spawn(job)?;
        state.names += 1;
        let path = self.directory.join(format!("{PREFIX}{}", state.names));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let shared = Arc::new(Fill::default());
        state.entries.insert(key.clone(), Entry::Filling(shared.clone()));
        let _ = sender.send(Filling {
            cache: self.clone(),
            shared: shared.clone(),
            key,
            path,
            file,
            bytes: 0,
            outcome: Err(Unfit::Failed("the download broke off".to_owned())),
        });
        Ok(shared)
    }
}

impl State {
    /// Makes room for `bytes` more, if need be without what was used longest ago.
    fn reserve(&mut self, bytes: u64, capacity: u64) -> Result<(), Unfit> {
        while self.used.saturating_add(bytes) > capacity {
            let ready = self.entries.iter().filter_map(|(key, entry)| match entry {
                Entry::Ready { last_used, .. } => Some((*last_used, key)),
                Entry::Filling(_) => None,
            });
            let Some(key) = ready.min().map(|(_, key)| key.clone()) else { return Err(Unfit::NoRoom) };
            if let Some(Entry::Ready { path, bytes, .. }) = self.entries.remove(&key) {
                // Whoever has it open keeps it.
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("Failed to remove '{}' from the fetcher's cache: {error}", path.display());
                }
                self.used -= bytes;
            }
        }
        self.used += bytes;
        Ok(())
    }
}

/// A file of the cache that is being written. Its end, however it comes about, is told to those who wait.
pub struct Filling {
    cache: Arc<Cache>,
    shared: Arc<Fill>,
    key: Key,
    path: PathBuf,
    file: File,
    /// Reserved for it.
    bytes: u64,
    outcome: Result<(), Unfit>,
}

impl Filling {
    /// Refuses beforehand what will not fit.
    pub fn expect(&self, length: u64) -> Result<(), Unfit> {
        if length > self.cache.capacity { Err(Unfit::NoRoom) } else { Ok(()) }
    }

    pub fn fill(&mut self, from: &mut dyn Read, explain: &dyn Fn(&io::Error) -> String) -> Result<(), Unfit> {
        let mut no_room = false;
        let poured = pour(from, explain, &mut |piece| {
            if self.shared.waiting.load(Ordering::Relaxed) == 0 && self.bytes > 0 {
                return Err("nobody wants it any more".to_owned());
            }
            let length = piece.len() as u64;
            if lock(&self.cache.state).reserve(length, self.cache.capacity).is_err() {
                no_room = true;
                return Err("the cache is too small".to_owned());
            }
            self.bytes += length;
            self.file.write_all(piece).map_err(|error| format!("cannot write it into the cache: {error}"))
        });
        if no_room { Err(Unfit::NoRoom) } else { poured.map_err(Unfit::Failed) }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let mut state = lock(&self.cache.state);
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        match &outcome {
            Ok(()) => {
                state.clock += 1;
                let last_used = state.clock;
                let ready = Entry::Ready { path: self.path.clone(), bytes: self.bytes, last_used };
                state.entries.insert(self.key.clone(), ready);
            }
            Err(_) => {
                state.used -= self.bytes;
                state.entries.remove(&self.key);
                let _ = fs::remove_file(&self.path);
            }
        }
        *lock(&self.shared.outcome) = Some(outcome);
        drop(state);
        self.cache.changed.notify_all();
    }
}
