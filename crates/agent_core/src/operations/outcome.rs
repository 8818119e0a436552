//! Telling what became of operations: at least once, until somebody acknowledges it.

use crate::{
    agent::Agent,
    config::{UPDATE_RETRY_MAX, UPDATE_RETRY_MIN},
    effect::Effects,
    recovery::{Record, record},
    timers::{Timer, cancel},
};
use bytes::Bytes;
use proto::{
    internal,
    v1::{self, OperationState},
};
use std::sync::Arc;

impl Agent {
    /// Sends the outcome, if it is durable and a master listens, and sets the timer for the next try.
    pub(crate) fn tell_operation(&mut self, uuid: &Bytes, out: &mut Effects) {
        let registered = self.is_registered();
        let (now, timer) = (self.now, Timer::OperationRetry { operation: uuid.clone() });
        let Some(row) = self.state.operation_mut(uuid).filter(|row| row.durable && registered) else { return };
        let old = row.retry.take();
        row.backoff = if old.is_none() { UPDATE_RETRY_MIN } else { (row.backoff * 2).min(UPDATE_RETRY_MAX) };
        let (backoff, proto) = (row.backoff, row.proto.clone());
        cancel(&mut self.timers, old);
        let key = self.timers.set(now, backoff, timer);
        if let Some(row) = self.state.operation_mut(uuid) {
            row.retry = Some(key);
        }
        let message = internal::UpdateOperationStatusMessage {
            framework_id: proto.framework_id,
            agent_id: Some(self.agent_id()),
            status: proto.latest_status.clone(),
            latest_status: Some(proto.latest_status),
            operation_uuid: Some(proto.uuid),
        };
        self.to_master(message, out);
    }

    pub(crate) fn on_operation_acknowledged(
        &mut self,
        message: &internal::AcknowledgeOperationStatusMessage,
        out: &mut Effects,
    ) {
        let uuid = &message.operation_uuid.value;
        let told = self.state.operations.get(uuid).and_then(|row| row.proto.latest_status.uuid.clone());
        if told.as_ref() != Some(&message.status_uuid) {
            tracing::warn!("ignoring the acknowledgement of an operation's status that was not sent");
            return;
        }
        if let Some(row) = Arc::make_mut(&mut self.state.operations).remove(uuid) {
            cancel(&mut self.timers, row.retry);
            self.record(Record::OperationEnded(record::OperationName { uuid: uuid.clone() }), out);
        }
    }

    pub(crate) fn pause_operations(&mut self) {
        let keys: Vec<_> = self.state.operations.keys().cloned().collect();
        for uuid in keys {
            let retry = self.state.operation_mut(&uuid).and_then(|row| row.retry.take());
            cancel(&mut self.timers, retry);
        }
    }

    pub(crate) fn resume_operations(&mut self, out: &mut Effects) {
        self.pause_operations();
        let keys: Vec<_> = self.state.operations.keys().cloned().collect();
        for uuid in keys {
            self.tell_operation(&uuid, out);
        }
    }

    /// What a master hears of our operations when it has (again) taken us in.
    pub(crate) fn reported_operations(&self) -> internal::update_slave_message::Operations {
        let operations = self.state.operations.values().map(|row| row.proto.clone()).collect();
        internal::update_slave_message::Operations { operations }
    }

    /// The master asks about operations that we did not name: those that never came here did not happen.
    pub(crate) fn on_reconcile_operations(&mut self, message: internal::ReconcileOperationsMessage, out: &mut Effects) {
        for operation in message.operations {
            let known = operation.operation_uuid.as_ref().map(|uuid| uuid.value.clone());
            if let Some(uuid) = known.filter(|uuid| self.state.operations.contains_key(uuid)) {
                self.tell_operation(&uuid, out);
                continue;
            }
            let status = v1::OperationStatus {
                operation_id: operation.operation_id,
                state: OperationState::OperationDropped as i32,
                agent_id: Some(self.agent_id()),
                resource_provider_id: operation.resource_provider_id,
                ..Default::default()
            };
            let message = internal::UpdateOperationStatusMessage {
                framework_id: message.framework_id.clone(),
                agent_id: Some(self.agent_id()),
                latest_status: Some(status.clone()),
                status,
                operation_uuid: operation.operation_uuid,
            };
            self.to_master(message, out);
        }
    }
}
