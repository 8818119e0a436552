//! ACKNOWLEDGE: on its way to the agent, the acknowledgement of a terminal update lets the master forget the task.

use model::{FrameworkId, task_state};
use proto::{
    internal::StatusUpdateAcknowledgementMessage,
    upid::Upid,
    v1::{TaskState, scheduler::call::Acknowledge},
};

use crate::{Step, counters::Counter, tasks::Tasks};

impl Tasks<'_> {
    pub(crate) fn on_acknowledge(&mut self, id: &FrameworkId, call: Acknowledge, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesStatusUpdateAcknowledgement);
        let agent = self.agents.get(call.agent_id.value.as_str()).filter(|agent| agent.connected);
        let Some((agent, pid)) = agent.map(|agent| (agent.id.clone(), agent.pid.clone())) else {
            self.counters.add(Counter::InvalidStatusUpdateAcknowledgements);
            return;
        };
        let row = self.frameworks.get(id).and_then(|row| row.tasks.get(call.task_id.value.as_str()));
        if let Some(row) = row.filter(|row| row.agent == agent) {
            let Some((state, uuid)) = row.forwarded() else {
                // The agent sends the update again, and then it is known here too.
                self.counters.add(Counter::InvalidStatusUpdateAcknowledgements);
                return;
            };
            if is_end(state) && *uuid == call.uuid {
                let task = row.id.clone();
                self.remove(id, &task, false, step);
            }
        }
        self.counters.add(Counter::ValidStatusUpdateAcknowledgements);
        pass_on(id, call, &pid, step);
    }
}

/// Whether an acknowledged state is the last of its task.
fn is_end(state: TaskState) -> bool {
    stdx::bug!("any_acknowledgement_ends_a_task", return true);
    task_state::is_terminal(state)
}

fn pass_on(framework: &FrameworkId, mut call: Acknowledge, to: &Upid, step: &mut Step<'_>) {
    stdx::bug!("acknowledgement_made_up", call.uuid = bytes::Bytes::from_static(&[7; 16]));
    let message = StatusUpdateAcknowledgementMessage {
        agent_id: call.agent_id,
        framework_id: framework.to_proto(),
        task_id: call.task_id,
        uuid: call.uuid,
    };
    step.send(to, message);
}
