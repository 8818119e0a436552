//! Knows who may lead, for how long, and how the registry lies in a service of small values. Knows nothing about how
//! such a service is reached (`coordination`), nor about what a master decides (`master_core`).
//!
//! `candidate` stands for election and leads: events in, effects out, deadlines. `copy` is a standby's copy of the
//! registry, `scribe` turns what a leader wants stored into changes, `ledger` turns changes into transactions that
//! only the present leader can make. `space` has the words in which a service is asked, `layout` says how the registry
//! lies there, `announce` how a master shows itself. The simulator runs all of it as it is.

#![forbid(unsafe_code)]

pub mod announce;
pub mod candidate;
mod copy;
mod error;
pub mod layout;
mod ledger;
mod scribe;
pub mod space;

pub use candidate::{Answer, Ask, Candidate, Config, Effect, Elected, Event, Input, Session, Standing};
pub use copy::Copy;
pub use error::StoreError;
pub use ledger::{Ledger, Next, Order};
pub use scribe::{Load, Outcome, Scribe};

/// The reign a leader acts in. A later leader of the same cluster has a greater epoch.
pub type Epoch = u64;
