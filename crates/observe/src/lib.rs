//! observe

pub mod files;
