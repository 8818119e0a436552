//! What the standard library lacks, and nothing about Mesos: time as values, seeded randomness, `never!`.
//!
//! `time` gives the two clocks a core may see, `rng` the only randomness it may use, `never` the reaction to a broken
//! local invariant.

pub mod never;
pub mod rng;
pub mod time;

pub use rng::Rng;
pub use time::{Tick, WallTime};

#[doc(hidden)]
pub use tracing as __tracing;
