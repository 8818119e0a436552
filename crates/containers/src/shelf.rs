//! The files that records live in. A file is not removed with its container but emptied and used again: on some file
//! systems making and removing files costs more than starting a process. What a record says is in `record`.

use crate::{
    mutex::lock,
    record::{self, Damaged, Frame, Launch, Record},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
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

    /// The records there are; files without one are free for new ones. Damage of this boot's records is an error if
    /// `strict` is set; otherwise what can be read is used, and a copy of the file kept beside it.
    pub fn scan(&self, strict: bool) -> io::Result<Vec<(Slot, Record)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_ours =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u64>().is_ok());
            if !is_ours || !path.is_file() {
                continue;
            }
            let slot = Slot { file: File::options().read(true).append(true).open(&path)?, path };
            if slot.file.metadata()?.len() == 0 {
                self.give_back(slot);
                continue;
            }
            match slot.read_patiently()? {
                Ok(record) => found.push((slot, record)),
                Err(damage) if !is_of_this_boot(&slot.file) => {
                    tracing::warn!(
                        "'{}', of a container from before the machine started, is dropped: {damage}",
                        slot.path.display()
                    );
                    self.give_back(slot);
                }
                Err(damage) if strict => return Err(refusal(&slot.path, &damage)),
                Err(damage) => {
                    let aside = slot.path.with_extension("damaged");
                    let lost =
                        if damage.rest.is_some() { "a part of it is lost" } else { "the container is forgotten" };
                    tracing::error!(
                        "The record '{}' of a container is damaged, {lost} (--no-strict): {damage}. A copy is kept as '{}'",
                        slot.path.display(),
                        aside.display()
                    );
                    fs::copy(&slot.path, &aside)?;
                    match damage.rest {
                        Some(record) => found.push((slot, *record)),
                        None => self.give_back(slot),
                    }
                }
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
        Record::parse(&self.content()?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn content(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.file.read_at(&mut piece, bytes.len() as u64)? {
                0 => return Ok(bytes),
                length => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            }
        }
    }

    /// A launcher may be writing just now: what looks damaged is looked at again.
    fn read_patiently(&self) -> io::Result<Result<Record, Damaged>> {
        const TRIES: usize = 5;
        for _ in 1..TRIES {
            if let Ok(record) = Record::parse(&self.content()?) {
                return Ok(Ok(record));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Record::parse(&self.content()?))
    }

    /// Removes a file that somebody else may still write to; should that be a launcher about to begin, it will not.
    pub fn discard(mut self) {
        let _ = self.append(&Frame::Revoked);
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("Failed to remove '{}': {error}", self.path.display());
        }
    }
}

/// Whether it was written since the machine started: earlier containers are gone, whatever their records say.
fn is_of_this_boot(file: &File) -> bool {
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let uptime = fs::read_to_string("/proc/uptime").ok();
    let seconds = uptime.and_then(|text| text.split(' ').next()?.parse().ok());
    let started = seconds.and_then(|seconds| SystemTime::now().checked_sub(Duration::from_secs_f64(seconds)));
    match (written, started) {
        (Ok(written), Some(started)) => written >= started,
        _ => true,
    }
}

fn refusal(path: &Path, damage: &Damaged) -> io::Error {
    let lost = match &damage.rest {
        Some(record) => format!("how container '{}' runs or ended", record.launch.id),
        None => "a container, which is then destroyed as unknown".to_owned(),
    };
    let text = format!(
        "the record '{}' of a container is damaged: {damage}. With --no-strict the agent goes on with what can be read; what \
         is lost is {lost}",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
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
            restrictions: record::Restrictions::default(),
            gaps: Vec::new(),
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

        fs::write(path.join("7"), "").unwrap();
        let shelf = Shelf::open(path.clone()).unwrap();
        let mut found: Vec<_> = shelf
            .scan(true)
            .unwrap()
            .into_iter()
            .map(|(_, record)| (record.launch.id.to_string(), record.status))
            .collect();
        found.sort();
        assert_eq!(found, [("second-with-a-longer-name".into(), Some(256)), ("third".into(), None)]);
        // The empty file is the first to be used, and a new one takes a new number.
        let slot = shelf.take(&launch("fourth")).unwrap();
        assert_eq!(slot.path, path.join("7"));
        assert_eq!(shelf.take(&launch("fifth")).unwrap().path, path.join("8"));
    }

    #[test]
    fn a_damaged_record_is_refused_by_name_or_passed_over_aloud() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records");
        let shelf = Shelf::open(path.clone()).unwrap();
        let mut slot = shelf.take(&launch("first")).unwrap();
        slot.append(&Frame::Status(256)).unwrap();
        let file = slot.path.clone();
        let whole = fs::read(&file).unwrap();
        let scan = |strict| {
            let shelf = Shelf::open(path.clone()).unwrap();
            let found = shelf.scan(strict)?;
            Ok::<_, io::Error>(found.into_iter().map(|(_, record)| record.status).collect::<Vec<_>>())
        };
        assert_eq!(scan(true).unwrap(), [Some(256)]);

        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(&file, &damaged).unwrap();
        let why = scan(true).unwrap_err().to_string();
        assert!(why.contains(&file.display().to_string()) && why.contains("how container 'first'"), "{why}");
        assert_eq!(fs::read(&file).unwrap(), damaged, "a refusal changes nothing");
        assert_eq!(scan(false).unwrap(), [None]);
        assert_eq!(fs::read(file.with_extension("damaged")).unwrap(), damaged);

        // What was before the machine started does not matter any more.
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(scan(true).unwrap(), []);

        fs::write(&file, "rubbish").unwrap();
        assert!(scan(true).unwrap_err().to_string().contains("destroyed as unknown"));
        assert_eq!(scan(false).unwrap(), []);
    }
}
