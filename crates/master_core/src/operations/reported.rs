//! What an agent says about its operations when it comes back: what the master did not know it learns, what the agent
//! does not know it is asked about.

use std::collections::BTreeSet;

use bytes::Bytes;
use model::{AgentId, FrameworkId, OperationId};
use proto::{
    internal::{ReconcileOperationsMessage, reconcile_operations_message},
    v1,
};

use super::Operations;
use crate::{Step, state::Operation, tables::operations::is_final};

impl Operations<'_> {
    pub(crate) fn compare(&mut self, agent: &AgentId, reported: &[v1::Operation], step: &mut Step<'_>) {
        let Some(row) = self.agents.get(agent) else { return };
        let pid = row.pid.clone();
        let known = row.operations.clone();
        let mut named: BTreeSet<Bytes> = BTreeSet::new();
        for operation in reported {
            let uuid = operation.uuid.value.clone();
            named.insert(uuid.clone());
            if !known.contains(&uuid) && !self.operations.contains(&uuid) {
                let framework = operation.framework_id.as_ref().map(FrameworkId::from);
                self.add(Operation {
                    uuid,
                    id: operation.info.id.as_ref().map(OperationId::from),
                    framework,
                    agent: agent.clone(),
                    proto: operation.clone(),
                });
            }
        }
        let lost = known.into_iter().filter(|uuid| !named.contains(uuid));
        let operations: Vec<_> = lost
            .filter_map(|uuid| {
                let row = self.operations.get(&uuid)?;
                if is_final(row.state()) {
                    return None;
                }
                Some(reconcile_operations_message::Operation {
                    operation_uuid: Some(v1::Uuid { value: uuid.clone() }),
                    operation_id: row.proto.info.id.clone(),
                    resource_provider_id: None,
                })
            })
            .collect();
        if !operations.is_empty() {
            step.send(&pid, ReconcileOperationsMessage { operations, framework_id: None });
        }
    }
}
