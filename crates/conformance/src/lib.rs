//! Knows how a Mesos cluster is talked to from outside, byte by byte. Knows nothing of how Meseta is made: the same
//! scripts run against a real Apache Mesos, and what that answers is what Meseta has to answer.
//!
//! `script` reads the scripts below `scripts/`, `play` runs one against a cluster and writes a transcript, `render` and
//! `neutral` make two transcripts comparable, `compare` says where they differ. `http` is the client underneath,
//! `mutate` damages valid input for the tests that only ask whether a server survives.

pub mod compare;
pub mod http;
pub mod mutate;
pub mod neutral;
pub mod play;
pub mod render;
pub mod script;
pub mod suite;
