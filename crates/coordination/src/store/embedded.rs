//! The embedded store: one redb file in the master's work directory. A commit is one transaction and one sync.

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use registry::{Change, Registry};

use super::{Store, StoreError};

const PARTS: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");

/// Small on purpose: the document is read once and then lives in the registrar.
const CACHE_BYTES: usize = 1 << 20;

pub struct EmbeddedStore {
    database: Database,
    path: PathBuf,
}

impl EmbeddedStore {
    /// Opens or creates `registry.redb` in `directory`, which must exist, and locks it against other processes.
    pub fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
        let path = directory.join("registry.redb");
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.clone() },
            other => StoreError::Open { path: path.clone(), why: other.to_string() },
        })?;
        Ok(EmbeddedStore { database, path })
    }

    fn read(&self) -> Result<Vec<Vec<u8>>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(PARTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        };
        table.iter()?.map(|row| Ok(row?.1.value().to_vec())).collect()
    }

    fn write(&self, changes: &[Change]) -> Result<(), redb::Error> {
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
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn load(&mut self) -> Result<Registry, StoreError> {
        let values = self.read().map_err(|e| StoreError::Read(format!("{}: {e}", self.path.display())))?;
        Ok(Registry::from_entries(values.iter().map(Vec::as_slice))?)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write(changes).map_err(|e| StoreError::Write(format!("{}: {e}", self.path.display())))
    }

    fn describe(&self) -> String {
        format!("embedded, {}", self.path.display())
    }
}
