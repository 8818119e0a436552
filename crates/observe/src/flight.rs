//! The flight recorder: the last inputs of a process, in a bounded place, for looking at what happened before something
//! went wrong. Two files hold the halves: PATH the newer, PATH.older the one before; what a former process left is kept
//! once, as PATH.before and PATH.older.before. What a record says is its writer's business. A thread of its own writes,
//! so that whoever notes something does not wait for the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use stdx::units::parse_bytes;

const MAGIC: &[u8; 8] = b"MSFLIGHT";
/// Longer ones are damage.
const RECORD_MAX: u32 = 1 << 30;
/// How many bytes of records may wait for the disk before the recorder is given up.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Writes records.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    half: u64,
    file: File,
    written: u64,
    /// How many records were ever written.
    count: u64,
    buffer: Vec<u8>,
}

/// What a recorder left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// How many records came before the first that is kept.
    pub lost: u64,
    pub records: Vec<Vec<u8>>,
}

impl Recorder {
    /// Begins a recording that takes no more than about `size` bytes. What stands there is moved aside.
    pub fn create(path: &Path, size: u64) -> io::Result<Recorder> {
        for file in [path.to_owned(), older(path)] {
            if file.exists() {
                fs::rename(&file, before(&file))?;
            }
        }
        let mut recorder = Recorder {
            path: path.to_owned(),
            half: size / 2,
            file: create(path)?,
            written: 0,
            count: 0,
            buffer: Vec::new(),
        };
        recorder.begin()?;
        Ok(recorder)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.write_all(MAGIC)?;
        self.file.write_all(&self.count.to_le_bytes())?;
        self.written = 16;
        Ok(())
    }

    /// Adds a record; it is with the system when this returns, so that it survives the process.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if self.written > self.half {
            fs::rename(&self.path, older(&self.path))?;
            self.file = create(&self.path)?;
            self.begin()?;
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(record);
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.count += 1;
        Ok(())
    }
}

/// What is said to a process in confidence stands in its recording, too.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The recorder of a process that may have been asked for none.
#[derive(Debug, Default)]
pub struct Flight(Option<Writer>);

/// The thread that writes. Dropping it waits until all is with the system.
#[derive(Debug)]
struct Writer {
    records: Option<Sender<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Flight {
    /// `setting` is PATH,SIZE, as in `/var/log/flight,64MB`. The first record says what the core was made from.
    pub fn open(setting: Option<&str>, beginning: impl FnOnce() -> Vec<u8>) -> Result<Flight, String> {
        let Some(setting) = setting else { return Ok(Flight(None)) };
        let form = || format!("--flight_recorder: '{setting}' is not PATH,SIZE as in /var/log/flight,64MB");
        let (path, size) = setting.rsplit_once(',').ok_or_else(form)?;
        let size = parse_bytes(size).map_err(|why| format!("{}: {why}", form()))?;
        let failed = |error: io::Error| format!("--flight_recorder: {path}: {error}");
        let mut recorder = Recorder::create(Path::new(path), size).map_err(failed)?;
        recorder.append(&beginning()).map_err(failed)?;
        Writer::start(recorder).map(|writer| Flight(Some(writer))).map_err(failed)
    }

    /// Records what `encode` makes, if it makes anything. A recorder that cannot write, or is far too slow, is given
    /// up: a recording with holes would tell something else. The process goes on.
    pub fn note(&mut self, encode: impl FnOnce() -> Option<Vec<u8>>) {
        if let Some(writer) = &self.0
            && let Some(record) = encode()
            && !writer.write(record)
        {
            tracing::warn!("the flight recorder cannot write, or not fast enough; it stops");
            self.0 = None;
        }
    }
}

impl Writer {
    fn start(recorder: Recorder) -> io::Result<Writer> {
        let (records, queue) = channel();
        let waiting = Arc::default();
        let written = Arc::clone(&waiting);
        let run = move || write_all(recorder, &queue, &written);
        let thread = std::thread::Builder::new().name("flight".into()).spawn(run)?;
        Ok(Writer { records: Some(records), waiting, thread: Some(thread) })
    }

    fn write(&self, record: Vec<u8>) -> bool {
        let waiting = self.waiting.fetch_add(record.len(), Ordering::Relaxed);
        waiting < WAITING_BYTES_MAX && self.records.as_ref().is_some_and(|records| records.send(record).is_ok())
    }
}

fn write_all(mut recorder: Recorder, records: &Receiver<Vec<u8>>, waiting: &AtomicUsize) {
    for record in records {
        if let Err(error) = recorder.append(&record) {
            tracing::warn!(%error, "the flight recorder cannot write");
            return;
        }
        waiting.fetch_sub(record.len(), Ordering::Relaxed);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.records = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has written what it could.
            let _ = thread.join();
        }
    }
}

/// Reads a recording, as far as it goes.
pub fn read(path: &Path) -> io::Result<Recording> {
    let (first, records) = read_half(path)?;
    let mut recording = Recording { lost: first, records };
    if let Ok((lost, mut older)) = read_half(&older(path))
        && lost + older.len() as u64 == first
    {
        older.append(&mut recording.records);
        recording = Recording { lost, records: older };
    }
    Ok(recording)
}

fn read_half(path: &Path) -> io::Result<(u64, Vec<Vec<u8>>)> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let none = || io::Error::other(format!("{} is no recording", path.display()));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(none)?;
    let (first, mut rest) = rest.split_first_chunk::<8>().ok_or_else(none)?;
    let mut records = Vec::new();
    // The last record may be torn.
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        let Some((record, after)) = after.split_at_checked(length as usize).filter(|_| length < RECORD_MAX) else {
            break;
        };
        records.push(record.to_vec());
        rest = after;
    }
    Ok((u64::from_le_bytes(*first), records))
}

fn older(path: &Path) -> PathBuf {
    with_suffix(path, ".older")
}

fn before(path: &Path) -> PathBuf {
    with_suffix(path, ".before")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_records_stay_and_the_size_is_bounded() -> io::Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("flight");
        let mut recorder = Recorder::create(&path, 4096)?;
        for number in 0..1000u32 {
            recorder.append(format!("record {number}").as_bytes())?;
        }
        let recording = read(&path)?;
        assert_eq!(recording.lost + recording.records.len() as u64, 1000);
        assert!(recording.records.len() > 100);
        assert_eq!(recording.records.last().map(Vec::as_slice), Some(&b"record 999"[..]));
        assert!(fs::metadata(&path)?.len() + fs::metadata(older(&path))?.len() < 5000);
        Ok(())
    }

    #[test]
    fn a_torn_end_is_left_out_and_a_former_recording_is_kept() -> io::Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("flight");
        Recorder::create(&path, 1 << 20)?.append(b"one")?;
        let mut bytes = fs::read(&path)?;
        bytes.extend_from_slice(&[9, 0, 0, 0, 1]);
        fs::write(&path, bytes)?;
        assert_eq!(read(&path)?, Recording { lost: 0, records: vec![b"one".to_vec()] });
        Recorder::create(&path, 1 << 20)?;
        assert_eq!(read(&before(&path))?.records.len(), 1);
        Ok(())
    }

    #[test]
    fn what_is_noted_is_written_by_the_end_and_for_its_owner_only() -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = place.path().join("flight");
        let mut flight = Flight::open(Some(&format!("{},1MB", path.display())), || b"first".to_vec())?;
        (0..100u8).for_each(|number| flight.note(|| Some(vec![number])));
        flight.note(|| None);
        drop(flight);
        let recording = read(&path).map_err(|error| error.to_string())?;
        let expected = [b"first".to_vec()].into_iter().chain((0..100).map(|number| vec![number]));
        assert_eq!(recording.records, expected.collect::<Vec<_>>());
        let mode = fs::metadata(&path).map_err(|error| error.to_string())?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    }

    #[test]
    fn a_setting_names_a_file_and_a_size() {
        assert!(Flight::open(None, Vec::new).is_ok());
        for wrong in ["/tmp/x", "/tmp/x,much", "/no/such/place/x,1MB"] {
            let error = Flight::open(Some(wrong), Vec::new).err().unwrap_or_default();
            assert!(error.starts_with("--flight_recorder"), "{error}");
        }
    }
}
