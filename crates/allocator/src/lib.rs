//! Knows who gets what: dominant-resource fairness over a tree of roles, quotas, resource groups, filters,
//! capabilities, reservations, offer constraints and maintenance. It does not know offers, tasks, or time beyond the
//! `now` it is told: the master calls it inside its own step and turns grants into offers. `docs/allocation.md` tells
//! the rules, with an example.
//!
//! ```text
//!   what happened                     whom to look at         who gets what                       what is told
//!   agents  frameworks  quotas  ──▶   schedule, waiting  ──▶  cycle: for each dirty agent   ──▶   grants
//!   settlement (offers answered)      (a set of agents,       walk:      roles in order           (an agent's free
//!   maintenance  recovery             of frameworks, a time)  visit:     who comes in question    resources for a
//!                                                             allowance: how much of it           framework in a role)
//! ```
//!
//! `allocator` is the face. `config`, `profile` and `quota` hold what callers say, `constraints` the compiled offer
//! constraints, `groups` resource groups. Inside, `frameworks`, `agents`, `quotas`, `maintenance`, `recovery` and
//! `settlement` take the changes; `cycle` hands out, agent by agent (`visit`), in the order of `walk`; `schedule` and
//! `waiting` say when and to whom to look next. They stand on `tree` and `standing` (who is next), `consumption` and
//! `allowance` (how much is left for whom), `filters` (who refused what), `directory` (ids as dense numbers), `scalars`
//! and `bits`. `explain` says why somebody got nothing. `invariants` says
//! what always holds, `oracle` is a second, slow and obvious allocator; both are for tests.

#![forbid(unsafe_code)]

mod agents;
mod allocator;
mod allowance;
mod bits;
mod config;
mod constraints;
mod consumption;
mod cycle;
mod directory;
pub mod explain;
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
pub use groups::{Group, GroupError, GroupStanding};
pub use maintenance::{InverseAnswer, InverseGrant};
pub use profile::{AgentProfile, FrameworkProfile, Grant, Settlement};
pub use quota::{Limits, Quota, QuotaError, WeightError};
