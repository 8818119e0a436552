//! Knows how a process is looked at from outside: numbers, log lines, files. Knows nothing about what is counted.
//!
//! `metrics` counts and renders, `system` reads the machine, `logging` sets up the log, `files` lets people read logs
//! and sandboxes, `flight` keeps a process's last inputs.

pub mod files;
pub mod flight;
pub mod host;
pub mod logging;
pub mod metrics;
pub mod system;
