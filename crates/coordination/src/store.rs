//! Where the registry is kept: the trait that every store implements.

pub mod embedded;
pub mod memory;
pub mod replicated;

pub use election::StoreError;
use registry::{Change, Registry};

use crate::space::Limits;

/// Keeps the parts of one registry. Calls block; the registrar's thread makes them.
pub trait Store: Send {
    /// Reads the whole document; an empty store gives an empty document.
    fn load(&mut self) -> Result<Registry, StoreError>;

    /// Stores all of `changes` durably, or none of them.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// For people: what kind of store, and where.
    fn describe(&self) -> String;

    /// How much a commit holds at best; more is possible and costs more.
    fn limits(&self) -> Limits {
        Limits { writes: usize::MAX, bytes: usize::MAX }
    }
}
