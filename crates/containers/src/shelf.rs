//! The files that records live in. A file is not removed with its container but emptied and used again: on some file
//! systems making and removing files costs more than starting a process. What a record says is in `record`.

use crate::{
    handle::lock,
    record::{self, Frame, Launch, Record},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many empty files are kept.
const MOST_FREE: usize = 256;

/// The directory of record files, and those of them that are empty.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    free: Mutex<Vec<Slot>>,
    next: AtomicU64,
}

/// One record file, opened for reading and appending.
#[derive(Debug)]
pub struct Slot {
    file: File,
    path: PathBuf,
}

impl Shelf {
    /// Opens the directory, made if absent. What it holds is left alone until `scan`.
    pub fn open(directory: PathBuf) -> io::Result<Shelf> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let numbers = fs::read_dir(&directory)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let next = numbers.max().map_or(0, |number: u64| number.saturating_add(1));
        Ok(Shelf { directory, free: Mutex::default(), next: AtomicU64::new(next) })
    }

    /// The records there are; files without one are free for new ones.
    pub fn scan(&self) -> io::Result<Vec<(Slot, Record)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if !path.is_file() {
                continue;
            }
            let slot = Slot { file: File::options().read(true).append(true).open(&path)?, path };
            match slot.read() {
                Ok(record) => found.push((slot, record)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    if slot.file.metadata()?.len() > 0 {
                        tracing::error!("The record '{}' of a container is damaged and dropped", slot.path.display());
                    }
                    self.give_back(slot);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// A file that holds `launch`.
    pub fn take(&self, launch: &Launch) -> io::Result<Slot> {
        let free = lock(&self.free).pop();
        let mut slot = match free {
            Some(slot) => slot,
            None => {
                let path = self.directory.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
                let mut options = File::options();
                options.read(true).append(true).create_new(true).mode(0o600);
                Slot { file: options.open(&path)?, path }
            }
        };
        match slot.file.write_all(&record::encode_launch(launch)) {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.give_back(slot);
                Err(error)
            }
        }
    }

    /// Forgets what the file holds.
    pub fn give_back(&self, slot: Slot) {
        let mut free = lock(&self.free);
        if free.len() >= MOST_FREE || slot.file.set_len(0).is_err() {
            drop(free);
            slot.discard();
        } else {
            free.push(slot);
        }
    }
}

impl Slot {
    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn append(&mut self, frame: &Frame) -> io::Result<()> {
        record::append(&mut self.file, frame)
    }

    pub fn read(&self) -> io::Result<Record> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.file.read_at(&mut piece, bytes.len() as u64)? {
                0 => break,
                length => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            }
        }
        Record::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Removes a file that somebody else may still write to; should that be a launcher about to begin, it will not.
    pub fn discard(mut self) {
        let _ = self.append(&Frame::Revoked);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("Failed to remove '{}': {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerId, Limits, Program, record::Setup};

    fn launch(name: &str) -> Launch {
        Launch {
            id: ContainerId::root(name).unwrap(),
            tag: String::new(),
            sandbox: "/s".into(),
            program: Program::Shell("true".into()),
            env: Vec::new(),
            cwd: "/s".into(),
            user: None,
            rlimits: Vec::new(),
            hostname: None,
            setup: Setup::default(),
            shm_bytes: None,
            oom_score_adj: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn files_are_used_again_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records");
        let shelf = Shelf::open(path.clone()).unwrap();
        let first = shelf.take(&launch("first")).unwrap();
        let mut second = shelf.take(&launch("second-with-a-longer-name")).unwrap();
        second.append(&Frame::Status(256)).unwrap();
        shelf.give_back(first);
        let third = shelf.take(&launch("third")).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
        drop((shelf, second, third));

        fs::write(path.join("7"), "rubbish").unwrap();
        let shelf = Shelf::open(path.clone()).unwrap();
        let mut found: Vec<_> = shelf
            .scan()
            .unwrap()
            .into_iter()
            .map(|(_, record)| (record.launch.id.to_string(), record.status))
            .collect();
        found.sort();
        assert_eq!(found, [("second-with-a-longer-name".into(), Some(256)), ("third".into(), None)]);
        // The damaged file is the first to be used, and a new one takes a new number.
        let slot = shelf.take(&launch("fourth")).unwrap();
        assert_eq!(slot.path, path.join("7"));
        assert_eq!(shelf.take(&launch("fifth")).unwrap().path, path.join("8"));
    }
}
