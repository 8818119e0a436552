//! Knows who leads and where the registry is kept. Knows nothing about what a master decides.
//!
//! `store` is the trait of a registry's store with its implementations, `election` the trait of leader election, and
//! `registrar` the thread that stands between a master and a store: it batches operations, stores what they changed,
//! and reports each ticket. `suite` holds what every store must pass.

pub mod election;
pub mod registrar;
pub mod store;
#[cfg(feature = "suite")]
pub mod suite;

pub use election::{AlwaysLeader, Election, Leadership};
pub use registrar::{Outcome, Registrar, Ticket};
pub use store::{Store, StoreError, embedded::EmbeddedStore, memory::MemoryStore};
