//! The agent's core from outside: scripts of commands and every effect (`scripts`), the loss of the agent at any moment
//! (`restart`), who may say what (`senders`), and nonsense in bulk (`walk`). `world` stands in for journal, containers
//! and peers, `build` makes messages, `text` prints effects.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "scripts are files")]
#![allow(clippy::unwrap_used)]

mod build;
mod restart;
mod scripts;
mod senders;
mod text;
mod walk;
mod world;
