//! Why a registry's store did not do what it was asked, whatever the store.

use std::path::PathBuf;

use registry::DecodeError;

use crate::{layout, space::SpaceError};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the registry at {path} is in use by another process; stop it, or give this master another --work_dir")]
    InUse { path: PathBuf },
    #[error("cannot open the registry at {path}: {why}; check that the directory exists and is writable")]
    Open { path: PathBuf, why: String },
    #[error(
        "the registry at {path} is damaged: {why}; keep a copy of it, and put back what `meseta registry dump` wrote: \
         `meseta registry restore --replace --store {} FILE`",
        .path.parent().unwrap_or(.path).display()
    )]
    Damaged { path: PathBuf, why: String },
    #[error("the registry has been moved to {0}")]
    Moved(String),
    #[error("{0} are there; give another path in the URL, or stop them")]
    ForeignMasters(String),
    #[error("the store holds something else: {0}; give another path in the URL, or remove what is there")]
    Foreign(String),
    #[error(
        "the store holds the registry of another cluster: {found} instead of {expected}; check the URL, or give this \
         master another --work_dir if it shall join that cluster"
    )]
    OtherCluster { found: String, expected: String },
    #[error(
        "the registry lies there in layout {found}; this program knows layouts up to {known}: run a newer one",
        known = layout::FORMAT
    )]
    NewerLayout { found: u32 },
    #[error(
        "the registry asks for capabilities that this program lacks: {0}; run the version that wrote it, or a newer one"
    )]
    MissingCapabilities(String),
    #[error("another master has taken over")]
    Fenced,
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error("{error}{}", next_step(.error))]
    Decode {
        #[from]
        error: DecodeError,
    },
    #[error("cannot read the registry: {0}")]
    Read(String),
    #[error("cannot write the registry: {0}")]
    Write(String),
}

fn next_step(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Newer { .. } => "",
        DecodeError::Damaged { .. } | DecodeError::Foreign { .. } => {
            "; put back what `meseta registry dump` wrote: `meseta registry restore --replace --store URL FILE`"
        }
    }
}

impl StoreError {
    /// Whether the same may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            StoreError::Space(error) => error.is_passing(),
            StoreError::Moved(_) => true,
            _ => false,
        }
    }
}
