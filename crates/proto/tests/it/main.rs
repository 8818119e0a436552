//! Bytes and JSON against vectors and tables. `malformed` counts allocations and is a program of its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "vectors are files")]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod fields;
mod json;
mod v0json;
mod vectors;
mod wire;
