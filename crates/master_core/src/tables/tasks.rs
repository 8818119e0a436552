//! A task as the master knows it: what it holds, where it is, and its two states.

use bytes::Bytes;
use model::{AgentId, ExecutorId, FrameworkId, TaskId};
use proto::v1::{self, TaskState};
use resources::Resources;

/// `proto` is what readers see; the other fields are its parts that decisions need.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    /// None for a command task.
    pub executor: Option<ExecutorId>,
    /// With allocation info.
    pub resources: Resources,
    pub proto: v1::Task,
}

impl Task {
    /// The latest state, which says whether the task still holds its resources.
    pub fn state(&self) -> TaskState {
        model::history::state(&self.proto)
    }

    /// The state and the uuid of the last update that went to the framework.
    pub fn forwarded(&self) -> Option<(TaskState, &Bytes)> {
        model::history::forwarded(&self.proto)
    }

    pub fn is_terminal(&self) -> bool {
        model::task_state::is_terminal(self.state())
    }

    /// Whether the task's resources are taken: from its launch to its first terminal state.
    pub fn holds_resources(&self) -> bool {
        !self.is_terminal() && self.state() != TaskState::TaskUnreachable
    }
}
