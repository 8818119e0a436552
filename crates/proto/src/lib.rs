//! Knows every byte on the wire and every JSON field name. Knows nothing about what messages mean.
#![allow(clippy::all)]

/// The messages, as generated from `proto/*.proto`: one set serves v0 and v1.
pub mod mesos {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.rs"));
        pub mod scheduler { include!(concat!(env!("OUT_DIR"), "/mesos.v1.scheduler.rs")); }
        pub mod executor { include!(concat!(env!("OUT_DIR"), "/mesos.v1.executor.rs")); }
        pub mod agent { include!(concat!(env!("OUT_DIR"), "/mesos.v1.agent.rs")); }
        pub mod master { include!(concat!(env!("OUT_DIR"), "/mesos.v1.master.rs")); }
        pub mod quota { include!(concat!(env!("OUT_DIR"), "/mesos.v1.quota.rs")); }
        pub mod maintenance { include!(concat!(env!("OUT_DIR"), "/mesos.v1.maintenance.rs")); }
        pub mod allocator { include!(concat!(env!("OUT_DIR"), "/mesos.v1.allocator.rs")); }
        pub mod resource_provider { include!(concat!(env!("OUT_DIR"), "/mesos.v1.resource_provider.rs")); }
    }
    pub mod internal {
        include!(concat!(env!("OUT_DIR"), "/mesos.internal.rs"));
        pub mod state { include!(concat!(env!("OUT_DIR"), "/mesos.internal.state.rs")); }
    }
}
pub use mesos::{internal, v1};
