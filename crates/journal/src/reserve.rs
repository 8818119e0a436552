//! Space that is set aside for what the journal will yet write, behind its end. Tasks that fill the disk cannot take
//! it, so that the journal goes on for a while, in which room can be made.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What is set aside at a time; half of it is always left while the disk has room.
const PIECE_BYTES: u64 = 4 << 20;

pub struct Reserve {
    /// How far into the file space was set aside.
    end: u64,
    /// Where the file system cannot set space aside there is none; the journal works as well until the disk is full.
    unable: bool,
    short: Arc<AtomicBool>,
}

impl Reserve {
    pub fn new(short: Arc<AtomicBool>) -> Reserve {
        Reserve { end: 0, unable: false, short }
    }

    /// The file has grown, or should have its space at last.
    pub fn keep(&mut self, file: &File, length: u64) {
        if self.unable || self.end >= length + PIECE_BYTES / 2 {
            return;
        }
        match kernel::files::set_space_aside(file, length, PIECE_BYTES) {
            Ok(()) => {
                self.end = length + PIECE_BYTES;
                self.short.store(false, Ordering::Relaxed);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                if !self.short.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the disk has no more room to set aside for the journal");
                }
            }
            Err(_) => self.unable = true,
        }
    }

    /// It is another file.
    pub fn renew(&mut self, file: &File, length: u64) {
        self.end = 0;
        self.keep(file, length);
    }
}
