//! Knows how to keep a sequence of opaque records through a crash. Knows nothing about what a record says.
//!
//! A journal is one append-only file. `Journal::open` returns the records that survived; `Journal::append` hands a
//! record to the writer thread, which writes what has gathered in one go, syncs once, and reports the tickets. The
//! layout of the file stands in `format`, the thread in `writer`; `reserve` is for the day when the disk is full.

mod format;
mod reserve;
mod writer;

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
// A bounded queue that takes memory for what waits, not for what may.
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};

/// What the caller calls a write it waits for.
pub type Ticket = u64;

/// How far a record must have come before its ticket is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk (`fdatasync`): survives a power cut.
    Disk,
    /// With the kernel: survives the death of the process, not of the machine.
    Kernel,
}

/// Why a journal could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{path} is in use by another process; stop it, or give this one another directory")]
    InUse { path: PathBuf },
    #[error("{path} is not a journal of this program (it begins with {found:?}); move it away to start afresh")]
    NotAJournal { path: PathBuf, found: Vec<u8> },
    #[error(
        "{path} has format {found}, this program reads up to {known}; run the newer program, or move the file away"
    )]
    NewerFormat { path: PathBuf, found: u8, known: u8 },
    #[error("cannot {verb} {path}: {source}")]
    Io { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("the journal's writer has stopped after an earlier error")]
    Stopped,
    #[error("the journal's queue is full ({0} records wait for the disk)")]
    Full(usize),
}

/// What `open` found.
pub struct Opened {
    pub journal: Journal,
    /// The records that survived, oldest first.
    pub records: Vec<Bytes>,
    /// Bytes of a torn last write that were cut off; 0 after an orderly stop.
    pub torn_bytes: u64,
}

/// The sending side of the writer thread. Dropping it writes what is queued and ends the thread.
pub struct Journal {
    queue: Option<Sender<writer::Job>>,
    bytes: Arc<AtomicU64>,
    short: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Called by the writer thread with the tickets of one batch, in order, and what became of them.
pub type OnDurable = Box<dyn FnMut(&[Ticket], Result<(), &io::Error>) + Send>;

/// What is kept is nobody else's to read: tasks have secrets.
const OWNERS_ONLY: u32 = 0o600;

const QUEUE_CAPACITY: usize = 65_536;

impl Journal {
    /// Opens or creates the journal at `path`, whose directory must exist, and locks it against other processes.
    pub fn open(path: &Path, durability: Durability, on_durable: OnDurable) -> Result<Opened, JournalError> {
        let fail = |verb| move |source| JournalError::Io { verb, path: path.to_owned(), source };
        let lock = lock(path)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).mode(OWNERS_ONLY).open(path).map_err(fail("open"))?;
        file.set_permissions(Permissions::from_mode(OWNERS_ONLY)).map_err(fail("close to others"))?;
        let content = fs::read(path).map_err(fail("read"))?;
        let (records, good) = if content.is_empty() {
            file.write_all(&format::HEADER).map_err(fail("write"))?;
            (Vec::new(), format::HEADER.len() as u64)
        } else {
            format::read(path, Bytes::from(content))?
        };
        let torn_bytes = file.metadata().map_err(fail("read"))?.len().saturating_sub(good);
        if torn_bytes > 0 {
            file.set_len(good).map_err(fail("cut"))?;
        }
        file.sync_all().map_err(fail("sync"))?;

        let (bytes, short) = (Arc::new(AtomicU64::new(good)), Arc::default());
        let mut reserve = reserve::Reserve::new(Arc::clone(&short));
        reserve.renew(&file, good);
        let (queue, jobs) = channel(QUEUE_CAPACITY);
        let writer = writer::Writer {
            path: path.to_owned(),
            file,
            _lock: lock,
            durability,
            on_durable,
            bytes: bytes.clone(),
            buffer: Vec::new(),
            tickets: Vec::new(),
            reserve,
        };
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(jobs))
            .map_err(fail("start the writer of"))?;
        Ok(Opened { journal: Journal { queue: Some(queue), bytes, short, thread: Some(thread) }, records, torn_bytes })
    }

    /// Queues `record`; `on_durable` gets `ticket` when it is written. Never waits.
    pub fn append(&self, ticket: Ticket, record: Bytes) -> Result<(), JournalError> {
        self.send(writer::Job::Append { ticket, record })
    }

    /// Replaces everything appended so far by `records`, atomically; later appends follow them.
    pub fn compact(&self, records: Vec<Bytes>) -> Result<(), JournalError> {
        self.send(writer::Job::Compact { records })
    }

    /// The file's size in bytes, for deciding when to compact.
    pub fn len_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the disk has no room for more than what was set aside for the journal before.
    pub fn is_short_of_space(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    fn send(&self, job: writer::Job) -> Result<(), JournalError> {
        let queue = self.queue.as_ref().ok_or(JournalError::Stopped)?;
        queue.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => JournalError::Full(QUEUE_CAPACITY),
            TrySendError::Closed(_) => JournalError::Stopped,
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The lock is a file of its own, because compaction replaces the journal's.
fn lock(path: &Path) -> Result<File, JournalError> {
    let lock_path = path.with_extension("lock");
    let fail = |source| JournalError::Io { verb: "lock", path: lock_path.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(OWNERS_ONLY).open(&lock_path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}
