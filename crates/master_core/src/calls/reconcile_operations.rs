//! RECONCILE_OPERATIONS: what the master knows of a framework's operations, of all of them or of those it names.

use model::{AgentId, FrameworkId, OperationId};
use proto::v1::{self, OperationState, scheduler::call::reconcile_operations};

use crate::{
    Step,
    counters::Counter,
    frameworks::{events, send::send_event},
    state::{Operation, State},
};

impl State {
    pub(crate) fn on_reconcile_operations(
        &mut self,
        id: &FrameworkId,
        asked: Vec<reconcile_operations::Operation>,
        step: &mut Step<'_>,
    ) {
        self.counters.add(Counter::MessagesReconcileOperations);
        let Some(framework) = self.frameworks.get(id) else { return };
        let rows = framework.operations.iter().filter_map(|uuid| self.operations.get(uuid));
        let named: Vec<&Operation> = rows.filter(|row| row.id.is_some()).collect();
        let statuses: Vec<v1::OperationStatus> = if asked.is_empty() {
            named.into_iter().map(latest).collect()
        } else {
            let known = |id: &v1::OperationId| {
                let id = OperationId::from(id);
                named.iter().rfind(|row| row.id.as_ref() == Some(&id)).copied()
            };
            asked
                .into_iter()
                .map(|asked| match known(&asked.operation_id) {
                    Some(row) => latest(row),
                    None => self.status_of_unknown(asked),
                })
                .collect()
        };
        for status in statuses {
            send_event(&mut self.frameworks, &self.agents, id, events::update_operation_status(status), step);
        }
    }

    fn status_of_unknown(&self, asked: reconcile_operations::Operation) -> v1::OperationStatus {
        let (state, why) = self.state_of_unknown(asked.agent_id.as_ref());
        v1::OperationStatus {
            operation_id: Some(asked.operation_id),
            state: state.into(),
            message: Some(why.to_owned()),
            agent_id: asked.agent_id,
            resource_provider_id: asked.resource_provider_id,
            ..Default::default()
        }
    }

    fn state_of_unknown(&self, agent: Option<&v1::AgentId>) -> (OperationState, &'static str) {
        let state = self;
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

/// Nobody acknowledges an answer: it has no uuid.
fn latest(row: &Operation) -> v1::OperationStatus {
    v1::OperationStatus { uuid: None, ..row.proto.latest_status.clone() }
}
