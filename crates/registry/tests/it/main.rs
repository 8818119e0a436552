//! The document's encoding and its operations.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod encoding;
mod operations;
