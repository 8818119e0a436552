//! Knows a whole data centre in virtual time: the real cores of masters and agents, and everything around them made up
//! from one seed. Knows nothing about what the cores decide; its checkers say what must hold whatever they decide.
//!
//! `scenario` is what a run is, `run` runs one through its phases, `world` is what the cores live in, `scheduler` how
//! frameworks behave, `observation` what checkers are told, `checks` what must hold, `shrink` finds a smaller failure.
//! `experiment` is the same engine for people who want to know how a cluster of theirs would do.

pub mod checks;
pub mod experiment;
pub mod observation;
pub mod paper;
pub mod prove;
pub mod replay;
pub mod run;
pub mod scenario;
mod scheduler;
pub mod shrink;
mod trace;
mod world;

pub use world::World;
