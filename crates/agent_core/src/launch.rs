//! Starting tasks: what a container shall be (`spec`).

pub mod spec;
