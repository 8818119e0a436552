//! Whether a message makes sense by itself, call by call and info by info. Whether it is allowed in the present state
//! is judged in the cores, between these checks: functions that stop where state comes in say so.
//!
//! An error is the text that the peer gets to see. Texts and the order of checks are Mesos's: clients match on them.
//!
//! Calls: [`scheduler_call`], [`executor_call`], [`agent_call`], [`operator_call`], [`registration`]. Contents:
//! [`framework`], [`operation`] (first thing on an accepted operation), [`task`], [`executor`], [`group`],
//! [`resources`], [`container`], [`check`], [`ids`], and what operators set: [`quota`], [`weights`], [`maintenance`].

pub mod check;
pub mod container;
pub mod executor;
pub mod framework;
pub mod group;
pub mod ids;
pub mod maintenance;
pub mod operation;
mod print;
pub mod quota;
pub mod registration;
pub mod resources;
pub mod task;
pub mod weights;

mod agent_call;
mod executor_call;
mod operator_call;
mod scheduler_call;

pub use agent_call::agent_call;
pub use executor_call::executor_call;
pub use operator_call::operator_call;
pub use scheduler_call::{scheduler_call, scheduler_principal};

/// The field of a call that its type demands.
fn present<'a, T>(field: &'a Option<T>, name: &str) -> Result<&'a T, String> {
    field.as_ref().ok_or_else(|| format!("Expecting '{name}' to be present"))
}

/// The type of a call; a number that no type has is as good as none.
fn type_of<T: TryFrom<i32>>(kind: Option<i32>) -> Result<T, String> {
    kind.and_then(|kind| T::try_from(kind).ok()).ok_or_else(|| "Expecting 'type' to be present".into())
}
