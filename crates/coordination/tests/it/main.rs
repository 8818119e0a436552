//! Stores and elections over every service.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod election;
mod stores;
