//! The embedded store: one redb file in the master's work directory. A commit is one transaction and one sync.
//!
//! Beside it lies `registry.mark` with the number of the last commit. It is written after each commit without a sync of
//! its own, so that it may lag behind after a power cut and never runs ahead: a file with fewer commits than it says
//! has lost some, which redb itself would pass over by going back to the commit before.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, backends::FileBackend,
};
use registry::{Change, DecodeError, Registry};

use super::{Store, StoreError};

const PARTS: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const COMMITS: &str = "commits";

/// Small on purpose: the document is read once and then lives in the registrar.
const CACHE_BYTES: usize = 1 << 20;

pub struct EmbeddedStore {
    database: Database,
    path: PathBuf,
    mark: File,
    commits: u64,
}

impl EmbeddedStore {
    /// Opens or creates `registry.redb` in `directory`, which must exist, and locks it against other processes. All of
    /// it is read and compared with its sums.
    pub fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
        let path = directory.join("registry.redb");
        let mark_path = directory.join("registry.mark");
        let cannot = |error: io::Error| StoreError::Open { path: path.clone(), why: error.to_string() };
        let damaged = |why: String| StoreError::Damaged { path: path.clone(), why };
        let promised = read_mark(&mark_path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == 0 => return Err(damaged("it is empty, and a registry never is".into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(promised) = promised {
                    let mark = mark_path.display();
                    let why = format!(
                        "it is not there, and {promised} changes were stored in it (remove {mark}, too, to begin with an \
                         empty one)"
                    );
                    return Err(damaged(why));
                }
                create(&path, directory)?;
            }
            Err(error) => return Err(cannot(error)),
        }
        // Labels of frameworks stand in it. One of a former version could be read by everybody.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(cannot)?;
        let database = open_file(&path)?;
        let commits = read_commits(&database).map_err(|e| damaged(e.to_string()))?;
        if let Some(lost) = promised.and_then(|promised| promised.checked_sub(commits)).filter(|lost| *lost > 0) {
            let mark = mark_path.display();
            let why =
                format!("the last {lost} changes are lost (if an older copy was put there on purpose, remove {mark})");
            return Err(damaged(why));
        }
        let mark = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&mark_path);
        let store = EmbeddedStore { database, mark: mark.map_err(cannot)?, path, commits };
        store.write_mark();
        Ok(store)
    }

    /// As `open`, but a registry that cannot be read is put aside, as `registry.redb.damaged`, for a new one.
    pub fn open_to_replace(directory: &Path) -> Result<EmbeddedStore, StoreError> {
        let opened = EmbeddedStore::open(directory).and_then(|mut store| store.load().map(|_| store));
        let Err(StoreError::Damaged { path, .. }) = opened else { return opened };
        let cannot = |source: io::Error| StoreError::Open { path: path.clone(), why: source.to_string() };
        let absent = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        fs::remove_file(directory.join("registry.mark")).or_else(absent).map_err(cannot)?;
        fs::rename(&path, path.with_extension("redb.damaged")).or_else(absent).map_err(cannot)?;
        EmbeddedStore::open(directory)
    }

    fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(PARTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(e) => return Err(e.into()),
        };
        let rows = table.iter()?.map(|row| row.map(|(key, value)| (key.value().to_owned(), value.value().to_vec())));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), redb::Error> {
        let commits = self.commits + 1;
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(PARTS)?;
            for change in changes {
                let key = change.key.to_string();
                match &change.value {
                    Some(value) => table.insert(key.as_str(), &value[..])?,
                    None => table.remove(key.as_str())?,
                };
            }
            transaction.open_table(NUMBERS)?.insert(COMMITS, commits)?;
        }
        transaction.commit()?;
        self.commits = commits;
        self.write_mark();
        Ok(())
    }

    fn write_mark(&self) {
        if let Err(error) = self.mark.write_all_at(mark_text(self.commits).as_bytes(), 0) {
            tracing::warn!(%error, "cannot note the number of the registry's last change beside it");
        }
    }
}

/// It comes into being whole: a crash on the way leaves nothing at `path`.
fn create(path: &Path, directory: &Path) -> Result<(), StoreError> {
    let new_path = directory.join("registry.new");
    let make = || -> Result<(), redb::Error> {
        let _ = fs::remove_file(&new_path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new_path)?;
        let database = Database::builder().create_with_backend(FileBackend::new(file)?)?;
        let transaction = database.begin_write()?;
        transaction.open_table(NUMBERS)?.insert(COMMITS, 0)?;
        transaction.commit()?;
        drop(database);
        fs::rename(&new_path, path)?;
        Ok(File::open(directory)?.sync_all()?)
    };
    make().map_err(|e| StoreError::Open { path: path.to_owned(), why: e.to_string() })
}

/// What the file says of itself may be wrong in ways that redb does not expect.
fn open_file(path: &Path) -> Result<Database, StoreError> {
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), why };
    let open = || Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(path);
    let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| damaged("it makes no sense".into()))?;
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Open { path: path.to_owned(), why: error.to_string() }
        }
        other => damaged(other.to_string()),
    })
}

/// Files of former versions do not count.
fn read_commits(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(NUMBERS) {
        Ok(table) => Ok(table.get(COMMITS)?.map(|number| number.value()).unwrap_or_default()),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(e) => Err(e.into()),
    }
}

fn mark_text(commits: u64) -> String {
    let number = format!("{commits:020}");
    format!("{number} {:08x}\n", crc32fast::hash(number.as_bytes()))
}

/// None if there is none, or if it is damaged, which is no harm as long as the registry is not.
fn read_mark(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let commits = text.split(' ').next()?.parse().ok()?;
    (mark_text(commits) == text).then_some(commits)
}

impl Store for EmbeddedStore {
    fn load(&mut self) -> Result<Registry, StoreError> {
        let rows = self.read().map_err(|e| StoreError::Read(format!("{}: {e}", self.path.display())))?;
        let parts = rows.iter().map(|(key, value)| (&key[..], &value[..]));
        let registry = Registry::from_entries(parts).map_err(|error| match error {
            error @ DecodeError::Newer { .. } => error.into(),
            error => StoreError::Damaged { path: self.path.clone(), why: error.to_string() },
        })?;
        let without_sum = |key: &registry::Key| rows.get(&key.to_string()).is_some_and(|row| !registry::has_sum(row));
        let old = registry.keys().filter(without_sum).map(|key| Change { value: registry.entry(&key), key });
        let old: Vec<Change> = old.collect();
        if !old.is_empty() {
            self.commit(&old)?;
        }
        Ok(registry)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write(changes).map_err(|e| StoreError::Write(format!("{}: {e}", self.path.display())))
    }

    fn describe(&self) -> String {
        format!("embedded, {}", self.path.display())
    }
}
