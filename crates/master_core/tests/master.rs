//! Whole masters under test: `scripts` runs `testdata/*.txt`, `walk` draws inputs at random. Both drive the `world`,
//! and `render` writes down what comes out.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "scripts are files")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "master/render.rs"]
mod render;
#[path = "master/scripts.rs"]
mod scripts;
#[path = "master/short.rs"]
mod short;
#[path = "master/walk.rs"]
mod walk;
#[path = "master/world.rs"]
mod world;
