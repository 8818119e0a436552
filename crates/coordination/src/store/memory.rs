//! A registry that is gone with its process, for tests and `--registry=in_memory`.

use std::collections::BTreeMap;

use bytes::Bytes;
use registry::{Change, Key, Registry};

use super::{Store, StoreError};

#[derive(Default)]
pub struct MemoryStore {
    parts: BTreeMap<Key, Bytes>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Registry, StoreError> {
        let parts: Vec<(String, &Bytes)> = self.parts.iter().map(|(key, value)| (key.to_string(), value)).collect();
        Ok(Registry::from_entries(parts.iter().map(|(name, value)| (&name[..], &value[..])))?)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match &change.value {
                Some(value) => self.parts.insert(change.key.clone(), value.clone()),
                None => self.parts.remove(&change.key),
            };
        }
        Ok(())
    }

    fn describe(&self) -> String {
        "memory (lost when the master ends)".into()
    }
}
