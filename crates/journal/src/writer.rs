//! The thread that writes: one `write` and one sync for all that has gathered.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use crate::{
    Durability, OnDurable, Ticket,
    format::{self, Mark},
    replace,
    reserve::Reserve,
};

pub enum Job {
    Append { ticket: Option<Ticket>, record: Bytes },
    Compact { records: Vec<Bytes> },
}

pub struct Writer {
    pub path: PathBuf,
    pub file: File,
    pub _lock: File,
    pub durability: Durability,
    pub on_durable: OnDurable,
    pub bytes: Arc<AtomicU64>,
    /// What the file promises; also where the next batch begins.
    pub mark: Mark,
    /// How often the mark was written.
    pub turn: u64,
    pub buffer: Vec<u8>,
    pub tickets: Vec<Ticket>,
    pub reserve: Reserve,
}

const BATCH_BYTES_MAX: usize = 4 << 20;
const BUFFER_BYTES_KEPT: usize = 64 << 10;

impl Writer {
    pub fn run(mut self, mut jobs: Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            let mut next = Some(job);
            while let Some(job) = next.take() {
                match job {
                    Job::Append { ticket, record } => {
                        let batch = self.mark.promised;
                        format::write(&mut self.buffer, batch, batch, self.mark.salt, &record);
                        self.tickets.extend(ticket);
                    }
                    Job::Compact { records } => {
                        if !self.flush() || !self.compact(&records) {
                            return;
                        }
                    }
                }
                if self.buffer.len() < BATCH_BYTES_MAX {
                    next = jobs.try_recv().ok();
                }
            }
            if !self.flush() {
                return;
            }
        }
        if let Err(error) = self.sync() {
            tracing::warn!(path = %self.path.display(), %error, "cannot sync the journal's last mark");
        }
    }

    /// Writes and syncs the batch and reports it. After a failed write nothing later may be called durable, so the
    /// thread ends.
    fn flush(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let outcome = self.write_batch();
        self.bytes.store(self.mark.promised, Ordering::Relaxed);
        self.reserve.keep(&self.file, self.mark.promised);
        (self.on_durable)(&self.tickets, outcome.as_ref().map(|&()| ()));
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.tickets.clear();
        outcome.is_ok()
    }

    fn write_batch(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.mark.promised)?;
        self.sync()?;
        self.mark.promised += self.buffer.len() as u64;
        if self.durability == Durability::Disk {
            self.mark.synced = self.mark.promised;
        }
        self.write_mark()
    }

    /// The next sync takes it along: until then it is as durable as what the kernel knows.
    pub fn write_mark(&mut self) -> io::Result<()> {
        let (at, bytes) = format::slot(self.turn, &self.mark);
        self.turn += 1;
        self.file.write_all_at(&bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::Disk => self.file.sync_data(),
            Durability::Kernel => Ok(()),
        }
    }

    /// A failed compaction leaves the old file in place and in use.
    fn compact(&mut self, records: &[Bytes]) -> bool {
        match replace(&self.path, records, self.mark.salt) {
            Ok((file, mark)) => {
                self.file = file;
                self.mark = Mark { boot: self.mark.boot, ..mark };
                self.bytes.store(mark.promised, Ordering::Relaxed);
                self.reserve.renew(&self.file, mark.promised);
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot compact the journal; it keeps growing")
            }
        }
        true
    }
}
