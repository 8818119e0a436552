//! The commands as people type them, against real clusters.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod command_line;
mod commands;
mod damage;
mod first_hour;
mod groups;
mod masters;
mod registry;
mod sim;
mod what_if;
