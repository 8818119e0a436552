//! Knows every byte on the wire and every JSON field name of the Mesos API. Knows nothing about what messages mean.
//!
//! The message types are generated from `proto/*.proto`: [`v1`] serves v0 and v1 both, [`internal`] is what masters,
//! agents, drivers and executors say to each other over libprocess. Start at [`wire`] and [`json`] for the two
//! encodings, [`content`] to pick one by content type, [`recordio`] for event streams, [`link`] for the messages
//! over libprocess, [`driver`] for what v0 drivers say and [`scheduler_v0`] for their numbering, [`v0json`] for the
//! legacy endpoints.

#![forbid(unsafe_code)]

pub mod content;
mod decimal;
mod descriptor;
pub mod driver;
pub mod environment;
mod error;
pub mod json;
pub mod link;
pub mod recordio;
pub mod scheduler_v0;
pub mod upid;
pub mod v0json;
pub mod wire;

pub use content::ContentType;
pub use descriptor::Descriptor;
pub use error::DecodeError;
pub use mesos::{internal, v1};
pub use upid::Upid;

/// The messages, in modules named as their protobuf packages.
#[allow(clippy::all)]
pub mod mesos {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.rs"));
        pub mod scheduler {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.scheduler.rs"));
        }
        pub mod executor {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.executor.rs"));
        }
        pub mod agent {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.agent.rs"));
        }
        pub mod master {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.master.rs"));
        }
        pub mod quota {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.quota.rs"));
        }
        pub mod maintenance {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.maintenance.rs"));
        }
        pub mod allocator {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.allocator.rs"));
        }
        pub mod resource_provider {
            include!(concat!(env!("OUT_DIR"), "/mesos.v1.resource_provider.rs"));
        }
    }
    pub mod internal {
        include!(concat!(env!("OUT_DIR"), "/mesos.internal.rs"));
        pub mod state {
            include!(concat!(env!("OUT_DIR"), "/mesos.internal.state.rs"));
        }
    }
}

/// The messages of calls that only Meseta has.
#[allow(clippy::all)]
pub mod meseta {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/meseta.v1.rs"));
    }
}

/// Every generated message: prost's codec, and what `wire` and `json` know about its fields.
pub trait Message: prost::Message + Default + Clone + PartialEq + std::fmt::Debug + 'static {
    const DESCRIPTOR: Descriptor;

    /// The name libprocess knows it by: the protobuf name without `.v1`, e.g. `mesos.scheduler.Call`.
    fn full_name() -> &'static str {
        Self::DESCRIPTOR.full_name()
    }
}
