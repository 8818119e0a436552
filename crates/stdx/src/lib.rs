//! What the standard library lacks, and nothing about Mesos: time as values, seeded randomness, `never!`, flags, the
//! host's users and names, what cores call by number.
//!
//! `time` gives the two clocks a core may see, `timers` keeps its deadlines, `rng` is the only randomness it may use,
//! `never` the reaction to a broken local invariant. `flags` and `units` read what operators write.

pub mod bug;
pub mod clock;
pub mod flags;
pub mod hosts;
pub mod ids;
pub mod never;
pub mod pack;
pub mod rng;
pub mod seldom;
pub mod time;
pub mod timers;
pub mod units;
pub mod users;

pub use ids::{ConnectionId, RequestId, Ticket};
pub use rng::Rng;
pub use time::{Tick, WallTime};

#[doc(hidden)]
pub use tracing as __tracing;
