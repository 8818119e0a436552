//! Real clients, recorded exchanges and crashes, against real clusters.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod crashes;
mod libmesos;
mod memory;
mod pymesos;
mod scheduler;
mod scripts;
mod survive;
mod v0;
