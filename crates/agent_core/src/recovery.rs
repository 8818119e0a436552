//! What survives a crash. `record` is the journal's vocabulary, `replay` adds records up, `snapshot` writes a short
//! journal of the same meaning. Here the agent takes up what was replayed.

pub(crate) mod record;
mod replay;
mod snapshot;

pub use record::{Record, RecordError};
pub use replay::{RecoveredState, replay};
