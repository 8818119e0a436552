//! Knows how to keep a sequence of opaque records through a crash. Knows nothing about what a record says.
//!
//! A journal is one file that grows at its end. `Journal::open` returns the records that survived; `Journal::append`
//! hands a record to the writer thread, which writes what has gathered in one go, syncs once, and reports the tickets.
//! The layout of the file stands in `format`, how damage is told in `damage`, the thread in `writer`; `reserve` is for
//! the day when the disk is full.

mod damage;
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
pub use damage::Damage;
pub use stdx::Ticket;
// A bounded queue that takes memory for what waits, not for what may.
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};

/// How far a record must have come before its ticket is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk (`fdatasync`): survives a power cut.
    Disk,
    /// With the kernel: survives the death of the process, not of the machine.
    Kernel,
}

/// How a journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub durability: Durability,
    /// Which boot of the machine this is: what was promised with `Durability::Kernel` lasts no longer.
    pub boot: String,
    /// Damage is an error. Otherwise what can be read is used, and the damaged file kept beside it.
    pub strict: bool,
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
    #[error(
        "{path} is damaged: {}; {whole} records in it are whole; bring back a copy of the file, or do without what \
         cannot be read",
        damage::list(.damage)
    )]
    Damaged { path: PathBuf, damage: Vec<Damage>, whole: usize },
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
    /// Bytes of a torn last write that were cut off, none of which was reported as kept; 0 after an orderly stop.
    pub torn_bytes: u64,
    /// What was reported as kept and is lost; never anything if damage is an error.
    pub damage: Vec<Damage>,
}

/// The sending side of the writer thread. Dropping it writes what is queued and ends the thread.
pub struct Journal {
    queue: Option<Sender<writer::Job>>,
    bytes: Arc<AtomicU64>,
    short: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Called by the writer thread with the tickets of one batch (there may be none), in order, and what became of them.
pub type OnDurable = Box<dyn FnMut(&[Ticket], Result<(), &io::Error>) + Send>;

/// What is kept is nobody else's to read: tasks have secrets.
const OWNERS_ONLY: u32 = 0o600;

const QUEUE_CAPACITY: usize = 65_536;

impl Journal {
    /// Opens or creates the journal at `path`, whose directory must exist, and locks it against other processes.
    pub fn open(path: &Path, options: &Options, on_durable: OnDurable) -> Result<Opened, JournalError> {
        let fail = |verb| move |source| JournalError::Io { verb, path: path.to_owned(), source };
        let lock = lock(path)?;
        let boot = boot_number(&options.boot);
        let former = read(path, boot)?;
        if options.strict && !former.damage.is_empty() {
            let (damage, whole) = (former.damage, former.records.len());
            return Err(JournalError::Damaged { path: path.to_owned(), damage, whole });
        }
        let (file, mut mark) = match former.salt.filter(|_| former.damage.is_empty()) {
            Some(salt) => {
                let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail("open"))?;
                file.set_permissions(Permissions::from_mode(OWNERS_ONLY)).map_err(fail("close to others"))?;
                if former.length > former.end {
                    file.set_len(former.end).map_err(fail("cut"))?;
                }
                (file, format::Mark { salt, promised: former.end, synced: former.end, boot: 0 })
            }
            None => {
                if !former.damage.is_empty() {
                    keep_aside(path).map_err(fail("keep a copy of"))?;
                }
                let salt = stdx::rng::system_seed() as u32;
                replace(path, &former.records, salt).map_err(fail("write"))?
            }
        };
        mark.boot = match options.durability {
            Durability::Disk => 0,
            Durability::Kernel => boot,
        };
        file.sync_all().map_err(fail("sync"))?;

        let (bytes, short) = (Arc::new(AtomicU64::new(mark.promised)), Arc::default());
        let mut reserve = reserve::Reserve::new(Arc::clone(&short));
        reserve.renew(&file, mark.promised);
        let (queue, jobs) = channel(QUEUE_CAPACITY);
        let mut writer = writer::Writer {
            path: path.to_owned(),
            file,
            _lock: lock,
            durability: options.durability,
            on_durable,
            bytes: bytes.clone(),
            mark,
            turn: 0,
            buffer: Vec::new(),
            tickets: Vec::new(),
            reserve,
        };
        // Both slots say from here on what holds now.
        (0..2).try_for_each(|_| writer.write_mark()).map_err(fail("write"))?;
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(jobs))
            .map_err(fail("start the writer of"))?;
        let torn_bytes = former.length.saturating_sub(former.end);
        let journal = Journal { queue: Some(queue), bytes, short, thread: Some(thread) };
        Ok(Opened { journal, records: former.records, torn_bytes, damage: former.damage })
    }

    /// Queues `record`; `on_durable` gets the ticket of one that somebody waits for when it is written. Never waits.
    pub fn append(&self, ticket: Option<Ticket>, record: Bytes) -> Result<(), JournalError> {
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

/// What a file held when it was opened.
struct Former {
    records: Vec<Bytes>,
    damage: Vec<Damage>,
    end: u64,
    length: u64,
    /// None if the file must be made or written anew.
    salt: Option<u32>,
}

fn read(path: &Path, boot: u64) -> Result<Former, JournalError> {
    let nothing = |damage| Former { records: Vec::new(), damage, end: 0, length: 0, salt: None };
    match fs::read(path) {
        // It comes into being with its header.
        Ok(content) if content.is_empty() => Ok(nothing(vec![Damage::Empty])),
        Ok(content) => {
            let length = content.len() as u64;
            let format::Content { records, damage, end, salt } = format::read(path, &content.into(), boot)?;
            Ok(Former { records, damage, end, length, salt })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(nothing(Vec::new())),
        Err(source) => Err(JournalError::Io { verb: "read", path: path.to_owned(), source }),
    }
}

/// A number that is the same as long as the machine runs, and never 0.
fn boot_number(boot: &str) -> u64 {
    1 << 32 | u64::from(crc32fast::hash(boot.as_bytes()))
}

/// Leaves a damaged file where somebody may look at it. It keeps its own name, too, until it is replaced.
fn keep_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("damaged");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::hard_link(path, aside),
    }
}

/// Puts a file with `records`, and nothing else, in the place of the one at `path`, if there is one.
fn replace(path: &Path, records: &[Bytes], salt: u32) -> io::Result<(File, format::Mark)> {
    let new_path = path.with_extension("new");
    let (content, mark) = format::whole(records, salt);
    let write = || -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).mode(OWNERS_ONLY).open(&new_path)?;
        file.set_permissions(Permissions::from_mode(OWNERS_ONLY))?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&new_path, path)?;
        Ok(file)
    };
    let file = write().inspect_err(|_| drop(fs::remove_file(&new_path)))?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok((file, mark))
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
