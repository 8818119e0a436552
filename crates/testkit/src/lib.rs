//! Knows how to start a real cluster for a test and to leave nothing of it behind. Knows nothing of what is tested.

pub mod cgroups;
pub mod cluster;
pub mod http;
pub mod network;
pub mod processes;
pub mod server;
pub mod services;
pub mod shape;
pub mod skip;

pub use cgroups::Cgroups;
pub use cluster::{Cluster, Ground, Options, Store};
pub use skip::skip;
