//! Offer operations that only an agent can apply. None is built yet: each is refused, so that no framework waits.

use crate::{agent::Agent, effect::Effects};
use proto::{
    internal,
    v1::{self, OperationState},
};

impl Agent {
    pub(crate) fn on_apply_operation(&mut self, message: internal::ApplyOperationMessage, out: &mut Effects) {
        let status = v1::OperationStatus {
            operation_id: message.operation_info.id.clone(),
            state: OperationState::OperationError as i32,
            message: Some("This agent does not support offer operations yet".into()),
            uuid: Some(v1::Uuid { value: self.uuid() }),
            agent_id: Some(self.agent_id()),
            ..Default::default()
        };
        self.to_master(
            internal::UpdateOperationStatusMessage {
                framework_id: message.framework_id,
                agent_id: Some(self.agent_id()),
                latest_status: Some(status.clone()),
                status,
                operation_uuid: Some(message.operation_uuid),
            },
            out,
        );
    }

    /// The master asks about operations it cannot place: none ever came here.
    pub(crate) fn on_reconcile_operations(&mut self, message: internal::ReconcileOperationsMessage, out: &mut Effects) {
        for operation in message.operations {
            let status = v1::OperationStatus {
                operation_id: operation.operation_id,
                state: OperationState::OperationDropped as i32,
                agent_id: Some(self.agent_id()),
                resource_provider_id: operation.resource_provider_id,
                ..Default::default()
            };
            self.to_master(
                internal::UpdateOperationStatusMessage {
                    framework_id: message.framework_id.clone(),
                    agent_id: Some(self.agent_id()),
                    latest_status: Some(status.clone()),
                    status,
                    operation_uuid: operation.operation_uuid,
                },
                out,
            );
        }
    }

    pub(crate) fn on_checkpoint_resources(&mut self, message: internal::CheckpointResourcesMessage) {
        if !message.resources.is_empty() {
            tracing::error!(
                "ignoring {} reserved or persistent resource(s): this agent does not keep them yet",
                message.resources.len()
            );
        }
    }
}
