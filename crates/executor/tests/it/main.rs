//! Executors as programs, under a scripted agent.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod command;
mod fake;
mod pod;
