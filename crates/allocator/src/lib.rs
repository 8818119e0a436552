//! Knows who gets what: dominant-resource fairness over roles and their frameworks, filters, capabilities, reservations
//! and offer constraints. It does not know offers, tasks, or time beyond the `now` it is told: the master calls it inside
//! its own step and turns grants into offers.
//!
//! `allocator` is the face. `config` and `profile` hold what callers say, `constraints` the compiled offer constraints.
//! Inside, `frameworks`, `agents` and `settlement` take the changes, `cycle` hands out grants, `schedule` says when. They
//! stand on `standing` (who is next), `filters` (who refused what), `directory` (ids as dense numbers), `scalars` and
//! `bits`. `invariants` says what always holds, `oracle` is a second, slow and obvious allocator; both are for tests.

mod agents;
mod allocator;
mod allowance;
mod bits;
mod config;
mod constraints;
mod consumption;
mod cycle;
mod directory;
mod filters;
mod frameworks;
pub mod groups;
mod invariants;
mod maintenance;
#[cfg(test)]
mod oracle;
mod profile;
pub mod quota;
mod quotas;
mod recovery;
mod scalars;
mod schedule;
mod settlement;
mod standing;
mod tree;
mod visit;
mod waiting;
mod walk;

pub use allocator::Allocator;
pub use config::{AllocatorConfig, Budget, Headroom, SorterKind, refusal_duration};
pub use constraints::{ConstraintError, ConstraintLimits, OfferConstraints};
pub use groups::{Group, GroupError};
pub use maintenance::{InverseAnswer, InverseGrant};
pub use profile::{AgentProfile, FrameworkProfile, Grant, Settlement};
pub use quota::{Limits, Quota, QuotaError, WeightError};
