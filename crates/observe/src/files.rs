//! What people may read of a server's files: logs and sandboxes, under virtual paths. Nothing outside an attached
//! directory is ever opened, whatever links a task leaves in its sandbox.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// The most one read returns: 16 pages.
pub const READ_BYTES_MAX: u64 = 16 * 4096;

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

/// Why a path was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("no such file: {0}")]
    NotFound(String),
    #[error("{0} is a directory")]
    IsDirectory(String),
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
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        let real = self.resolve(path)?;
        let fail = |e| FileError::Io(path.to_owned(), e);
        let mut names: Vec<_> = fs::read_dir(&real).map_err(fail)?.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        let base = path.trim_end_matches('/');
        let entry = |name: std::ffi::OsString| {
            let metadata = fs::symlink_metadata(real.join(&name)).ok()?;
            Some(entry(format!("{base}/{}", name.to_string_lossy()), &metadata))
        };
        Ok(names.into_iter().filter_map(entry).collect())
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
        let real = self.resolve(path)?;
        let fail = |e| FileError::Io(path.to_owned(), e);
        let metadata = fs::metadata(&real).map_err(fail)?;
        if metadata.is_dir() {
            return Err(FileError::IsDirectory(path.to_owned()));
        }
        if !metadata.is_file() {
            return Err(FileError::NotFound(path.to_owned()));
        }
        Ok((File::open(&real).map_err(fail)?, metadata.len()))
    }

    /// The real path behind a virtual one; the longest attached prefix wins.
    fn resolve(&self, path: &str) -> Result<PathBuf, FileError> {
        let missing = || FileError::NotFound(path.to_owned());
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        let below = |prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let (root, rest) = attached
            .iter()
            .rev()
            .filter_map(|(prefix, root)| below(prefix).map(|rest| (prefix.len(), root, rest)))
            .max_by_key(|(length, _, _)| *length)
            .map(|(_, root, rest)| (root, rest))
            .ok_or_else(missing)?;
        let root = root.canonicalize().map_err(|_| missing())?;
        let real = if rest.is_empty() { root.clone() } else { root.join(rest) };
        let real = real.canonicalize().map_err(|_| missing())?;
        if real.starts_with(&root) { Ok(real) } else { Err(missing()) }
    }
}

fn entry(path: String, metadata: &Metadata) -> Entry {
    Entry {
        path,
        nlink: metadata.nlink(),
        size: metadata.size(),
        mtime: metadata.mtime() as f64,
        mode: metadata.mode(),
        uid: name_in(Path::new("/etc/passwd"), metadata.uid()),
        gid: name_in(Path::new("/etc/group"), metadata.gid()),
    }
}

/// The name that has this number in a file such as /etc/passwd, or the number.
fn name_in(file: &Path, number: u32) -> String {
    let lines = fs::read_to_string(file).unwrap_or_default();
    stdx::users::name_with(&lines, number).unwrap_or_else(|| number.to_string())
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
        let paths: Vec<String> = files.list("/frameworks/f/").unwrap().into_iter().map(|e| e.path).collect();
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
    fn modes_read_like_ls() {
        assert_eq!(mode_text(0o040_755), "drwxr-xr-x");
        assert_eq!(mode_text(0o100_640), "-rw-r-----");
    }
}
