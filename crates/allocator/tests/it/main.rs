//! The allocator from outside: laws, known answers, explanations, seeded draws. One program, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod cluster;
mod competition;
mod explain;
mod groups;
mod proofs;
mod scenarios;
