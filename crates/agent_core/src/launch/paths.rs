//! Where sandboxes lie below the work directory. Ids are checked before they get here.

use crate::container_id::ContainerId;
use model::{AgentId, ExecutorId, FrameworkId};

pub(crate) fn framework(work_dir: &str, agent: &AgentId, framework: &FrameworkId) -> String {
    format!("{work_dir}/slaves/{agent}/frameworks/{framework}")
}

pub(crate) fn runs(work_dir: &str, agent: &AgentId, framework_id: &FrameworkId, executor: &ExecutorId) -> String {
    format!("{}/executors/{executor}/runs", framework(work_dir, agent, framework_id))
}

pub(crate) fn standalone(work_dir: &str, container: &ContainerId) -> String {
    format!("{work_dir}/containers/{}", container.name())
}

pub(crate) fn nested(parent_sandbox: &str, container: &ContainerId) -> String {
    format!("{parent_sandbox}/containers/{}", container.name())
}
