//! What a restarted agent finds of its earlier containers.

use crate::{ContainerId, Termination};
use std::path::PathBuf;

/// One container found by recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    pub id: ContainerId,
    pub sandbox: PathBuf,
    /// What the launch gave to keep.
    pub tag: String,
    pub pid: Option<u32>,
    /// Absent while it runs.
    pub termination: Option<Termination>,
}
