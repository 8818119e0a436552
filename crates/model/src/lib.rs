//! Ids, states and capabilities as the cores reason about them, and what a message must say to make sense by itself.
//! Knows nothing of the present state of a master or an agent, and does nothing.
//!
//! `ids`, `task_state` and `capabilities` are vocabulary; `parse` checks messages; `refusal` is the one table from our
//! reasons to Mesos's; `status` builds task statuses and updates, `task` and `history` keep them in a task's row.

#![forbid(unsafe_code)]

pub mod capabilities;
pub mod history;
pub mod ids;
pub mod parse;
pub mod refusal;
pub mod status;
pub mod task;
pub mod task_state;

pub use capabilities::{AgentCapabilities, FrameworkCapabilities};
pub use ids::{AgentId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId};
pub use refusal::Refusal;
