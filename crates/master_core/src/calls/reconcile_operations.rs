//! RECONCILE_OPERATIONS: no operation is ever pending here, so that what is said of one follows from its agent.

use model::{AgentId, FrameworkId};
use proto::v1::{self, OperationState, scheduler::call::reconcile_operations};

use crate::{Master, Step, counters::Counter, frameworks::events};

impl Master {
    pub(crate) fn on_reconcile_operations(
        &mut self,
        id: &FrameworkId,
        asked: Vec<reconcile_operations::Operation>,
        step: &mut Step<'_>,
    ) {
        self.state.counters.add(Counter::MessagesReconcileOperations);
        for operation in asked {
            let (state, why) = self.state_of_unknown(operation.agent_id.as_ref());
            let status = v1::OperationStatus {
                operation_id: Some(operation.operation_id),
                state: state.into(),
                message: Some(why.to_owned()),
                agent_id: operation.agent_id,
                resource_provider_id: operation.resource_provider_id,
                ..Default::default()
            };
            self.send_event(id, events::update_operation_status(status), step);
        }
    }

    fn state_of_unknown(&self, agent: Option<&v1::AgentId>) -> (OperationState, &'static str) {
        let state = &self.state;
        match agent.map(AgentId::from) {
            Some(id) if state.recovered_agents.contains(&id) => {
                (OperationState::OperationRecovering, "Reconciliation: Agent is recovered but has not re-registered")
            }
            Some(id) if state.agents.contains(&id) => {
                (OperationState::OperationUnknown, "Reconciliation: Operation is unknown")
            }
            Some(id) if state.registry.unreachable.contains_key(&id) => {
                (OperationState::OperationUnreachable, "Reconciliation: Agent is unreachable")
            }
            Some(id) if state.registry.gone.contains_key(&id) => {
                (OperationState::OperationGoneByOperator, "Reconciliation: Agent marked gone by operator")
            }
            Some(_) => (OperationState::OperationUnknown, "Reconciliation: Both operation and agent are unknown"),
            None => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            ),
        }
    }
}
