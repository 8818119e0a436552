//! Laws of the algebra, and its texts.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod laws;
mod texts;
