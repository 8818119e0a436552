//! Recorded clusters and traces, replayed.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod recorded;
mod traces;
