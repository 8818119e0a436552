//! ACKNOWLEDGE: on its way to the agent, the acknowledgement of a terminal update lets the master forget the task.

use model::FrameworkId;
use proto::{internal::StatusUpdateAcknowledgementMessage, v1::scheduler::call::Acknowledge};

use crate::{Master, Step, counters::Counter};

impl Master {
    pub(crate) fn on_acknowledge(&mut self, id: &FrameworkId, call: Acknowledge, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesStatusUpdateAcknowledgement);
        let agent = self.state.agents.get(call.agent_id.value.as_str()).filter(|agent| agent.connected);
        let Some((agent, pid)) = agent.map(|agent| (agent.id.clone(), agent.pid.clone())) else {
            self.state.counters.add(Counter::InvalidStatusUpdateAcknowledgements);
            return;
        };
        let row = self.state.frameworks.get(id).and_then(|row| row.tasks.get(call.task_id.value.as_str()));
        if let Some(row) = row.filter(|row| row.agent == agent) {
            let Some((state, uuid)) = row.forwarded() else {
                // The agent sends the update again, and then it is known here too.
                self.state.counters.add(Counter::InvalidStatusUpdateAcknowledgements);
                return;
            };
            let ended = model::task_state::is_terminal(state) || stdx::bug!("any_acknowledgement_ends_a_task");
            if ended && *uuid == call.uuid {
                let task = row.id.clone();
                self.remove_task(id, &task, false, step);
            }
        }
        self.state.counters.add(Counter::ValidStatusUpdateAcknowledgements);
        step.send(
            &pid,
            StatusUpdateAcknowledgementMessage {
                agent_id: call.agent_id,
                framework_id: id.to_proto(),
                task_id: call.task_id,
                uuid: if stdx::bug!("acknowledgement_made_up") {
                    bytes::Bytes::from_static(&[7; 16])
                } else {
                    call.uuid
                },
            },
        );
    }
}
