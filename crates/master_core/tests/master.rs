//! Whole masters under test: `scripts` runs `testdata/*.txt`, `walk` draws inputs at random. Both drive the `world`, and
//! `render` writes down what comes out.

#[path = "master/render.rs"]
mod render;
#[path = "master/scripts.rs"]
mod scripts;
#[path = "master/walk.rs"]
mod walk;
#[path = "master/world.rs"]
mod world;
