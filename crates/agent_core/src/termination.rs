//! How a container ended, as journals keep it and masters hear it.

use model::Refusal;
use proto::v1::{self, TaskState, task_status::Reason};

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Termination {
    /// The raw wait(2) word of the container's first process; `None` when nobody could learn it.
    pub status: Option<i32>,
    /// Set when the container knows better than "failed".
    pub state: Option<TaskState>,
    pub reason: Option<Reason>,
    /// The limit that was hit.
    pub limitation: Option<v1::TaskResourceLimitation>,
    pub message: Option<String>,
}

impl Termination {
    /// The end that we have in mind for a container.
    pub(crate) fn refused(refusal: Refusal, partition_aware: bool, message: impl Into<String>) -> Termination {
        let verdict = refusal.verdict(partition_aware);
        Termination {
            state: Some(verdict.state),
            reason: Some(verdict.reason),
            message: Some(message.into()),
            ..Default::default()
        }
    }
}
