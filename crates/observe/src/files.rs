//! What people may read of a server's files: logs and sandboxes, under virtual paths. Nothing outside an attached
//! directory is ever opened, whatever links a task leaves in its sandbox and whenever it changes them, and nothing but
//! regular files and directories. Everything here waits for disks: keep it away from threads that decide.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{self, DirEntry, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use kernel::beneath::{self, How};
use nix::libc;

/// The most one read returns: 16 pages.
pub const READ_BYTES_MAX: u64 = 16 * 4096;

/// The most entries one listing has.
pub const ENTRIES_MAX: usize = 100_000;

/// Directories with more entries are not listed at all.
const SCAN_MAX: usize = 2_000_000;

/// What can be done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Browse,
    Read,
    Download,
    Debug,
}

/// The virtual paths of a server and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Files {
    attached: Arc<RwLock<BTreeMap<String, PathBuf>>>,
}

/// One entry of a directory, as `ls -l` would show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The virtual path.
    pub path: String,
    pub nlink: u64,
    pub size: u64,
    /// Seconds since the epoch.
    pub mtime: f64,
    pub mode: u32,
    /// Names where the system knows them, numbers otherwise.
    pub uid: String,
    pub gid: String,
}

/// Which entries of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those whose names come after this one, in the order of bytes.
    pub after: Option<String>,
    /// At most so many, and never more than `ENTRIES_MAX`.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Page {
        Page { after: None, limit: ENTRIES_MAX }
    }
}

/// Entries of a directory, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// The last name of this page, if there are more behind it.
    pub more_after: Option<String>,
}

/// Why a path was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("no such file: {0}")]
    NotFound(String),
    #[error("{0} is a directory")]
    IsDirectory(String),
    #[error("{0} has more than {SCAN_MAX} entries, which are too many to list")]
    TooMany(String),
    #[error("cannot read {0}: {1}")]
    Io(String, io::Error),
}

impl Files {
    /// Makes `real` and all below it readable as `path` and below.
    pub fn attach(&self, path: &str, real: PathBuf) {
        self.attached.write().unwrap_or_else(PoisonError::into_inner).insert(path.trim_end_matches('/').into(), real);
    }

    /// Every virtual path and what it stands for.
    pub fn attached(&self) -> BTreeMap<String, PathBuf> {
        self.attached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entries of the directory at `path`, by name.
    pub fn list(&self, path: &str, page: &Page) -> Result<Listing, FileError> {
        let directory = self.open_as(path, How::DIRECTORY)?;
        let fail = |e| FileError::Io(path.to_owned(), e);
        let after = page.after.as_deref().map(OsString::from);
        let limit = page.limit.clamp(1, ENTRIES_MAX);
        // The first ones behind `after`, and one more that tells whether there are others.
        let mut first: BTreeMap<OsString, DirEntry> = BTreeMap::new();
        for (scanned, entry) in fs::read_dir(kernel::files::path_of(&directory)).map_err(fail)?.flatten().enumerate() {
            if scanned >= SCAN_MAX {
                return Err(FileError::TooMany(path.to_owned()));
            }
            let name = entry.file_name();
            let is_behind = after.as_ref().is_none_or(|after| name > *after);
            let is_early = first.len() <= limit || first.last_key_value().is_some_and(|(last, _)| name < *last);
            if is_behind && is_early {
                first.insert(name, entry);
                if first.len() > limit + 1 {
                    first.pop_last();
                }
            }
        }
        let is_cut = first.len() > limit && first.pop_last().is_some();
        let more_after = first.last_key_value().filter(|_| is_cut).map(|(last, _)| last.to_string_lossy().into_owned());
        let base = path.trim_end_matches('/');
        let mut owners = Owners::default();
        let entry = |(name, found): (OsString, DirEntry)| {
            let metadata = found.metadata().ok()?;
            Some(owners.entry(format!("{base}/{}", name.to_string_lossy()), &metadata))
        };
        Ok(Listing { entries: first.into_iter().filter_map(entry).collect(), more_after })
    }

    /// The size of the file at `path`, and at most `length` of its bytes from `offset`, never more than
    /// `READ_BYTES_MAX`. An offset behind the end gives no bytes.
    pub fn read(&self, path: &str, offset: u64, length: Option<u64>) -> Result<(u64, Vec<u8>), FileError> {
        let (mut file, size) = self.open(path)?;
        let wanted = length.unwrap_or(READ_BYTES_MAX).min(READ_BYTES_MAX).min(size.saturating_sub(offset));
        let fail = |e| FileError::Io(path.to_owned(), e);
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut data = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        file.take(wanted).read_to_end(&mut data).map_err(fail)?;
        Ok((size, data))
    }

    /// The regular file at `path` and its size.
    pub fn open(&self, path: &str) -> Result<(File, u64), FileError> {
        let look = self.open_as(path, How::LOOK)?;
        let fail = |e| FileError::Io(path.to_owned(), e);
        if File::from(look).metadata().map_err(fail)?.is_dir() {
            return Err(FileError::IsDirectory(path.to_owned()));
        }
        // Whatever stands there by now: it is a regular file beneath the directory, or it is not opened.
        let file = File::from(self.open_as(path, How::READ)?);
        let size = file.metadata().map_err(fail)?.len();
        Ok((file, size))
    }

    /// Opens what is at `path` now. Links are followed once, to where they lead; should that be something else when it
    /// is opened, then only if it lies in the attached directory.
    fn open_as(&self, path: &str, how: How) -> Result<OwnedFd, FileError> {
        let (root, rest) = self.resolve(path)?;
        let opened = kernel::files::open_directory(&root).and_then(|root| beneath::open_beneath(&root, &rest, how));
        opened.map_err(|error| match error.raw_os_error() {
            Some(
                libc::EACCES | libc::EPERM | libc::EIO | libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOTDIR,
            ) => FileError::Io(path.to_owned(), error),
            // It is gone, leads out, or is no file that could be read.
            _ => FileError::NotFound(path.to_owned()),
        })
    }

    /// The real directory behind a virtual path, and the way from there without links, as far as they are seen now; the
    /// longest attached prefix wins.
    fn resolve(&self, path: &str) -> Result<(PathBuf, PathBuf), FileError> {
        let missing = || FileError::NotFound(path.to_owned());
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        let below = |prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let (root, rest) = attached
            .iter()
            .rev()
            .filter_map(|(prefix, root)| below(prefix).map(|rest| (prefix.len(), root.clone(), rest)))
            .max_by_key(|(length, _, _)| *length)
            .map(|(_, root, rest)| (root, rest))
            .ok_or_else(missing)?;
        drop(attached);
        let root = root.canonicalize().map_err(|_| missing())?;
        if rest.is_empty() {
            // What is attached may be a file: a log.
            return match (root.is_dir(), root.parent(), root.file_name()) {
                (false, Some(parent), Some(name)) => Ok((parent.to_owned(), name.into())),
                _ => Ok((root, PathBuf::new())),
            };
        }
        let real = root.join(rest).canonicalize().map_err(|_| missing())?;
        let rest = real.strip_prefix(&root).map_err(|_| missing())?.to_owned();
        Ok((root, rest))
    }
}

/// The names of users and groups, each looked up once.
#[derive(Default)]
struct Owners {
    users: Names,
    groups: Names,
}

impl Owners {
    fn entry(&mut self, path: String, metadata: &Metadata) -> Entry {
        Entry {
            path,
            nlink: metadata.nlink(),
            size: metadata.size(),
            mtime: metadata.mtime() as f64,
            mode: metadata.mode(),
            uid: self.users.find(Path::new("/etc/passwd"), metadata.uid()),
            gid: self.groups.find(Path::new("/etc/group"), metadata.gid()),
        }
    }
}

#[derive(Default)]
struct Names {
    lines: Option<String>,
    known: HashMap<u32, String>,
}

impl Names {
    /// The name that has this number in a file such as /etc/passwd, or the number.
    fn find(&mut self, file: &Path, number: u32) -> String {
        let lines = &mut self.lines;
        let name = || {
            let lines = lines.get_or_insert_with(|| fs::read_to_string(file).unwrap_or_default());
            stdx::users::name_with(lines, number).unwrap_or_else(|| number.to_string())
        };
        self.known.entry(number).or_insert_with(name).clone()
    }
}

/// The mode as `ls` writes it: `drwxr-xr-x`.
pub fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        _ => '-',
    };
    let mut text = String::from(kind);
    for shift in [6, 3, 0] {
        let bits = mode >> shift & 7;
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if bits & bit != 0 { letter } else { '-' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn sandbox() -> (tempfile::TempDir, Files) {
        let home = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(home.path().join("run/sub")).expect("mkdir");
        fs::write(home.path().join("run/stdout"), "hello world").expect("write");
        fs::write(home.path().join("secret"), "no").expect("write");
        let files = Files::default();
        files.attach("/frameworks/f", home.path().join("run"));
        (home, files)
    }

    #[test]
    fn a_directory_is_listed_under_its_virtual_path() {
        let (_home, files) = sandbox();
        let paths: Vec<String> =
            files.list("/frameworks/f/", &Page::default()).unwrap().entries.into_iter().map(|e| e.path).collect();
        assert_eq!(paths, ["/frameworks/f/stdout", "/frameworks/f/sub"]);
    }

    #[test]
    fn reads_are_bounded_and_an_offset_behind_the_end_gives_nothing() {
        let (home, files) = sandbox();
        assert_eq!(files.read("/frameworks/f/stdout", 6, Some(3)).unwrap(), (11, b"wor".to_vec()));
        assert_eq!(files.read("/frameworks/f/stdout", 99, None).unwrap(), (11, Vec::new()));
        fs::write(home.path().join("run/big"), vec![b'x'; 200_000]).unwrap();
        assert_eq!(files.read("/frameworks/f/big", 0, None).unwrap().1.len() as u64, READ_BYTES_MAX);
    }

    #[test]
    fn nothing_outside_the_attached_directory_is_read() {
        let (home, files) = sandbox();
        symlink(home.path().join("secret"), home.path().join("run/link")).unwrap();
        for path in ["/frameworks/f/link", "/frameworks/f/../secret", "/frameworks/fx", "/etc/passwd", "", "stdout"] {
            assert!(matches!(files.read(path, 0, None), Err(FileError::NotFound(_))), "{path}");
        }
        assert!(matches!(files.read("/frameworks/f/sub", 0, None), Err(FileError::IsDirectory(_))));
    }

    #[test]
    fn links_within_the_attached_directory_lead_on() {
        let (home, files) = sandbox();
        symlink("run", home.path().join("latest")).unwrap();
        files.attach("/all", home.path().to_owned());
        symlink(home.path().join("run/stdout"), home.path().join("run/absolute")).unwrap();
        for path in ["/all/latest/stdout", "/all/run/absolute", "/all/run/sub/../stdout"] {
            assert_eq!(files.read(path, 0, Some(5)).unwrap().1, b"hello", "{path}");
        }
        files.attach("/log", home.path().join("run/stdout"));
        assert_eq!(files.read("/log", 0, Some(5)).unwrap().1, b"hello");
        assert_eq!(files.list("/all/latest/sub", &Page::default()).unwrap(), Listing::default());
        assert!(
            matches!(files.list("/log", &Page::default()), Err(FileError::Io(_, e)) if e.kind() == io::ErrorKind::NotADirectory)
        );
    }

    #[test]
    fn a_directory_is_listed_page_by_page() {
        let (home, files) = sandbox();
        let many = home.path().join("run/many");
        fs::create_dir(&many).unwrap();
        (0..25).for_each(|i| fs::write(many.join(format!("{i:02}")), "").unwrap());
        let mut page = Page { after: None, limit: 10 };
        let mut seen = Vec::new();
        loop {
            let listing = files.list("/frameworks/f/many", &page).unwrap();
            assert!(listing.entries.len() <= 10);
            seen.extend(listing.entries.into_iter().map(|entry| entry.path));
            match listing.more_after {
                Some(last) => page.after = Some(last),
                None => break,
            }
        }
        assert_eq!(seen, (0..25).map(|i| format!("/frameworks/f/many/{i:02}")).collect::<Vec<_>>());
        let rest = files.list("/frameworks/f/many", &Page { after: Some("23".into()), limit: 1 }).unwrap();
        assert_eq!((rest.entries.len(), rest.more_after), (1, None));
    }

    /// Swaps what is at `x` without end: a file, a FIFO that nobody writes, a link out, a link to itself, nothing.
    fn swap(place: &Path, secret: &Path, stop: &std::sync::atomic::AtomicBool) {
        let (x, new) = (place.join("x"), place.join("new"));
        let turns: [&dyn Fn(); 5] = [
            &|| fs::write(&new, "public").unwrap(),
            &|| symlink(secret, &new).unwrap(),
            &|| nix::unistd::mkfifo(&new, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            &|| symlink("x", &new).unwrap(),
            &|| symlink("../../secret", &new).unwrap(),
        ];
        for turn in turns.iter().cycle() {
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            turn();
            fs::rename(&new, &x).unwrap();
        }
    }

    #[test]
    fn a_task_that_swaps_its_file_all_the_time_neither_hangs_nor_leaks() {
        let (home, files) = sandbox();
        let place = home.path().join("run/sub");
        fs::write(place.join("x"), "public").unwrap();
        let (stop, secret) = (std::sync::atomic::AtomicBool::new(false), home.path().join("secret"));
        fs::write(&secret, "secret").unwrap();
        let (mut read, mut rounds) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| swap(&place, &secret, &stop));
            // On a busy machine the swapping thread may stand still for long where nothing can be read.
            while rounds < 5_000 || (read < 100 && rounds < 1_000_000) {
                rounds += 1;
                match files.read("/frameworks/f/sub/x", 0, None) {
                    Ok((_, data)) => {
                        // A file that was just made may be empty yet.
                        assert!(data == b"public" || data.is_empty(), "{}", String::from_utf8_lossy(&data));
                        read += 1;
                    }
                    Err(FileError::NotFound(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                files.list("/frameworks/f/sub", &Page::default()).unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(read >= 100, "{read} of {rounds} were read");
    }

    #[test]
    fn modes_read_like_ls() {
        assert_eq!(mode_text(0o040_755), "drwxr-xr-x");
        assert_eq!(mode_text(0o100_640), "-rw-r-----");
    }
}
