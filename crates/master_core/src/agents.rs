//! Agents come, answer, change, fall silent and leave. One file per way; `membership` has what they share.

mod drain;
mod gone;
mod link;
pub(crate) mod membership;
mod ping;
mod register;
mod reregister;
mod senders;
pub(crate) mod unreachable;
mod unregister;
mod update;
