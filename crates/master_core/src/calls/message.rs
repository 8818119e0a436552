//! MESSAGE: from a framework to one of its executors, at best once.

use model::FrameworkId;
use proto::{internal::FrameworkToExecutorMessage, v1::scheduler::call::Message};

use crate::{Step, counters::Counter, tasks::Tasks};

impl Tasks<'_> {
    pub(crate) fn on_message(&mut self, id: &FrameworkId, call: Message, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesFrameworkToExecutor);
        let Some(agent) = self.agents.get(call.agent_id.value.as_str()).filter(|agent| agent.connected) else {
            self.counters.add(Counter::InvalidFrameworkToExecutorMessages);
            return;
        };
        let message = FrameworkToExecutorMessage {
            agent_id: call.agent_id,
            framework_id: id.to_proto(),
            executor_id: call.executor_id,
            data: call.data,
        };
        step.tell(agent, message);
        self.counters.add(Counter::ValidFrameworkToExecutorMessages);
    }
}
