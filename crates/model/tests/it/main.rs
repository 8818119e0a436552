//! Calls and messages parsed into the model, and noise refused.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod calls;
mod infos;
mod noise;
