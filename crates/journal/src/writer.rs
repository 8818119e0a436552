//! The thread that writes: one `write` and one sync for all that has gathered.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use crate::{Durability, OWNERS_ONLY, OnDurable, Ticket, format, reserve::Reserve};

pub enum Job {
    Append { ticket: Ticket, record: Bytes },
    Compact { records: Vec<Bytes> },
}

pub struct Writer {
    pub path: PathBuf,
    pub file: File,
    pub _lock: File,
    pub durability: Durability,
    pub on_durable: OnDurable,
    pub bytes: Arc<AtomicU64>,
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
                        format::write(&mut self.buffer, &record);
                        self.tickets.push(ticket);
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
    }

    /// Writes and syncs the batch and reports it. After a failed write nothing later may be called durable, so the
    /// thread ends.
    fn flush(&mut self) -> bool {
        if self.tickets.is_empty() {
            return true;
        }
        let outcome = self.file.write_all(&self.buffer).and_then(|()| self.sync());
        let length = self.bytes.fetch_add(self.buffer.len() as u64, Ordering::Relaxed) + self.buffer.len() as u64;
        self.reserve.keep(&self.file, length);
        (self.on_durable)(&self.tickets, outcome.as_ref().map(|&()| ()));
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.tickets.clear();
        outcome.is_ok()
    }

    fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::Disk => self.file.sync_data(),
            Durability::Kernel => Ok(()),
        }
    }

    /// A failed compaction leaves the old file in place and in use.
    fn compact(&mut self, records: &[Bytes]) -> bool {
        match self.write_compacted(records) {
            Ok((file, length)) => {
                self.file = file;
                self.bytes.store(length, Ordering::Relaxed);
                self.reserve.renew(&self.file, length);
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot compact the journal; it keeps growing")
            }
        }
        true
    }

    fn write_compacted(&self, records: &[Bytes]) -> io::Result<(File, u64)> {
        let new_path = self.path.with_extension("new");
        let mut content = format::HEADER.to_vec();
        for record in records {
            format::write(&mut content, record);
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(OWNERS_ONLY).open(&new_path)?;
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&new_path, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(&self.path)?;
        Ok((file, content.len() as u64))
    }
}
