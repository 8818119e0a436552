//! Knows how a cluster would share its resources if something about it were different: replays recorded clusters and
//! traces of work on a real allocator, with and without a change. Does not know offers' lives, failures or networks:
//! that is `sim`.
//!
//! `scenario` is what is replayed; `state` reads one from a master's `/state`, `settings` adds what `/roles` says,
//! `demand` what is assumed. `change` makes another scenario of it, `replay` runs one, `comparison` shows two beside
//! each other. `document` finds fields in JSON and says which one is wrong, `portion` takes a task's resources out of
//! what is offered.

mod change;
mod comparison;
mod demand;
mod document;
mod portion;
mod replay;
mod scenario;
mod settings;
mod state;

pub use change::{Change, ChangeError};
pub use comparison::{Comparison, ComparisonError};
pub use demand::{Demand, Extra};
pub use document::DocumentError;
pub use replay::{Replay, ReplayError, replay};
pub use scenario::{Held, Scenario, ScenarioAgent, ScenarioFramework, Wanted};
pub use settings::read_roles;
pub use state::read_state;
