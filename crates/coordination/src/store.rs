//! Where the registry is kept: the trait that every store implements.

pub mod embedded;
pub mod memory;

use std::path::PathBuf;

use registry::{Change, DecodeError, Registry};

/// Keeps the parts of one registry. Calls block; the registrar's thread makes them.
pub trait Store: Send {
    /// Reads the whole document; an empty store gives an empty document.
    fn load(&mut self) -> Result<Registry, StoreError>;

    /// Stores all of `changes` durably, or none of them.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// For people: what kind of store, and where.
    fn describe(&self) -> String;
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the registry at {path} is in use by another process; stop it, or give this master another --work_dir")]
    InUse { path: PathBuf },
    #[error("cannot open the registry at {path}: {why}; check that the directory exists and is writable")]
    Open { path: PathBuf, why: String },
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("cannot read the registry: {0}")]
    Read(String),
    #[error("cannot write the registry: {0}")]
    Write(String),
}
