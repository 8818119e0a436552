//! Telling what became of operations: at least once, until somebody acknowledges it.

use crate::{
    agent::Agent,
    config::{UPDATE_RETRY_MAX, UPDATE_RETRY_MIN},
    effect::{Effect, Effects},
    link::send,
    recovery::{Record, record},
    state::{Operations, operation_mut},
    timers::{Timer, Timers, cancel},
};
use bytes::Bytes;
use proto::{
    internal,
    upid::Upid,
    v1::{self, OperationState},
};
use std::sync::Arc;
use stdx::Tick;

/// Outcomes that nobody has acknowledged yet, and all that telling them may change.
pub(crate) struct Outcomes<'a> {
    pub operations: &'a mut Operations,
    pub timers: &'a mut Timers,
    pub master: Option<&'a Upid>,
    /// Whether a master listens.
    pub registered: bool,
    pub agent_id: v1::AgentId,
    pub now: Tick,
}

impl Agent {
    pub(crate) fn outcomes(&mut self) -> Outcomes<'_> {
        let (registered, agent_id) = (self.is_registered(), self.agent_id());
        Outcomes {
            operations: &mut self.state.operations,
            timers: &mut self.timers,
            master: self.state.master.as_ref(),
            registered,
            agent_id,
            now: self.now,
        }
    }

    /// What a master hears of our operations when it has (again) taken us in.
    pub(crate) fn reported_operations(&self) -> internal::update_slave_message::Operations {
        let operations = self.state.operations.values().map(|row| row.proto.clone()).collect();
        internal::update_slave_message::Operations { operations }
    }
}

impl Outcomes<'_> {
    /// Sends the outcome, if it is durable and a master listens, and sets the timer for the next try.
    pub(crate) fn tell(&mut self, uuid: &Bytes, out: &mut Effects) {
        let registered = self.registered;
        let (now, timer) = (self.now, Timer::OperationRetry { operation: uuid.clone() });
        let Some(row) = operation_mut(self.operations, uuid).filter(|row| row.durable && registered) else { return };
        let old = row.retry.take();
        row.backoff = if old.is_none() { UPDATE_RETRY_MIN } else { (row.backoff * 2).min(UPDATE_RETRY_MAX) };
        let (backoff, proto) = (row.backoff, row.proto.clone());
        cancel(self.timers, old);
        let key = self.timers.set(now, backoff, timer);
        if let Some(row) = operation_mut(self.operations, uuid) {
            row.retry = Some(key);
        }
        let message = internal::UpdateOperationStatusMessage {
            framework_id: proto.framework_id,
            agent_id: Some(self.agent_id.clone()),
            status: proto.latest_status.clone(),
            latest_status: Some(proto.latest_status),
            operation_uuid: Some(proto.uuid),
        };
        send(self.master, message, out);
    }

    pub(crate) fn on_acknowledged(&mut self, message: &internal::AcknowledgeOperationStatusMessage, out: &mut Effects) {
        let uuid = &message.operation_uuid.value;
        let told = self.operations.get(uuid).and_then(|row| row.proto.latest_status.uuid.clone());
        if told.as_ref() != Some(&message.status_uuid) {
            tracing::warn!("ignoring the acknowledgement of an operation's status that was not sent");
            return;
        }
        if let Some(row) = Arc::make_mut(self.operations).remove(uuid) {
            cancel(self.timers, row.retry);
            let record = Record::OperationEnded(record::OperationName { uuid: uuid.clone() });
            out.push(Effect::Checkpoint { ticket: None, record: Box::new(record) });
        }
    }

    pub(crate) fn pause(&mut self) {
        let keys: Vec<_> = self.operations.keys().cloned().collect();
        for uuid in keys {
            let retry = operation_mut(self.operations, &uuid).and_then(|row| row.retry.take());
            cancel(self.timers, retry);
        }
    }

    pub(crate) fn resume(&mut self, out: &mut Effects) {
        self.pause();
        let keys: Vec<_> = self.operations.keys().cloned().collect();
        for uuid in keys {
            self.tell(&uuid, out);
        }
    }

    /// The master asks about operations that we did not name: those that never came here did not happen.
    pub(crate) fn on_reconcile(&mut self, message: internal::ReconcileOperationsMessage, out: &mut Effects) {
        for operation in message.operations {
            let known = operation.operation_uuid.as_ref().map(|uuid| uuid.value.clone());
            if let Some(uuid) = known.filter(|uuid| self.operations.contains_key(uuid)) {
                self.tell(&uuid, out);
                continue;
            }
            let status = v1::OperationStatus {
                operation_id: operation.operation_id,
                state: OperationState::OperationDropped as i32,
                agent_id: Some(self.agent_id.clone()),
                resource_provider_id: operation.resource_provider_id,
                ..Default::default()
            };
            let message = internal::UpdateOperationStatusMessage {
                framework_id: message.framework_id.clone(),
                agent_id: Some(self.agent_id.clone()),
                latest_status: Some(status.clone()),
                status,
                operation_uuid: operation.operation_uuid,
            };
            send(self.master, message, out);
        }
    }
}
