//! SHUTDOWN: an executor shall end; its agent sees to it.

use model::FrameworkId;
use proto::{internal::ShutdownExecutorMessage, v1::scheduler::call::Shutdown};

use crate::{Step, tasks::Tasks};

impl Tasks<'_> {
    pub(crate) fn on_shutdown(&mut self, id: &FrameworkId, call: Shutdown, step: &mut Step<'_>) {
        let Some(agent) = self.agents.get(call.agent_id.value.as_str()) else { return };
        let message =
            ShutdownExecutorMessage { executor_id: Some(call.executor_id), framework_id: Some(id.to_proto()) };
        step.tell(agent, message);
    }
}
