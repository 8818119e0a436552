//! Who listens at a connection that the agent keeps open.

use crate::container_id::ContainerId;
use model::{ExecutorId, FrameworkId};

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Executor(FrameworkId, ExecutorId),
    /// The output of a debug container, which lives as long as the stream.
    Session(ContainerId),
    Wait(ContainerId),
}
