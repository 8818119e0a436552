//! Knows who leads and where the registry is kept. Knows nothing about what a master decides.
//!
//! `store` is the trait of a registry's store with its implementations, and `registrar` the thread that stands between
//! a master and a store. For several masters: `space` is what a service must give (ZooKeeper, etcd, a memory for
//! tests), `candidacy` stands for election with it (what is decided there, and how the registry lies in the service, is
//! `election`'s), `lease` is a leader's right to act, `detector` who leads for everybody else, `url` where all this is,
//! `belonging` which cluster a master is of. `keep` is for tools. `suite` holds what every store must pass.

pub mod belonging;
pub mod candidacy;
pub mod detector;
pub mod keep;
pub mod lease;
pub mod registrar;
pub mod space;
pub mod store;
#[cfg(feature = "suite")]
pub mod suite;
pub mod url;

use std::{sync::Arc, time::Duration};

pub use candidacy::{Candidacy, Epoch, Leadership, Standing};
pub use detector::{Detected, Detector};
pub use election::{Outcome, announce, layout};
pub use lease::Lease;
pub use registrar::{Registrar, Waiter};
pub use store::{Store, StoreError, embedded::EmbeddedStore, memory::MemoryStore, replicated::ReplicatedStore};
pub use url::Place;

/// The way to the service at `place`.
pub fn connect(place: Place, session_timeout: Duration) -> Arc<dyn space::Connect> {
    match place.kind {
        url::Kind::ZooKeeper => Arc::new(space::zookeeper::ZooKeeper::new(place, session_timeout)),
        url::Kind::Etcd { .. } => Arc::new(space::etcd::Etcd::new(place, session_timeout)),
    }
}
