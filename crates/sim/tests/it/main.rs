//! Seeds repeat, and planted mistakes are found.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod bugs;
mod seeds;
