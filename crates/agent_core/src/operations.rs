//! Offer operations: reservations and persistent volumes. What they make of this agent's resources is written down
//! before anybody hears of it. `outcome` tells the master until it is acknowledged, `volumes` knows where volumes lie.

mod outcome;
pub(crate) mod volumes;

use crate::{
    agent::Agent,
    effect::{Effect, Effects},
    pending::Pending,
    recovery::{Record, record},
    state::{Operation, State},
};
use bytes::Bytes;
use model::parse::ids;
use proto::{
    internal,
    v1::{self, OperationState},
};
use resources::{
    Resources,
    conversion::{self, Conversion},
};
use std::sync::Arc;

impl State {
    /// All this agent has, with reservations and volumes in place of what they were made from.
    pub fn total(&self) -> Resources {
        let plain = Resources::from_protos(&self.info.resources).unwrap_or_default();
        match conversion::apply_checkpointed(&plain, &self.checkpointed) {
            Ok(total) => total,
            Err(error) => {
                stdx::never!("the checkpointed resources do not fit: {error}");
                plain
            }
        }
    }
}

impl Agent {
    pub(crate) fn on_apply_operation(&mut self, message: internal::ApplyOperationMessage, out: &mut Effects) {
        let uuid = message.operation_uuid.value.clone();
        if self.state.operations.contains_key(&uuid) {
            self.outcomes().tell(&uuid, out);
            return;
        }
        let mut status = v1::OperationStatus {
            operation_id: message.operation_info.id.clone(),
            state: OperationState::OperationFinished as i32,
            uuid: Some(v1::Uuid { value: self.uuid() }),
            agent_id: Some(self.agent_id()),
            ..Default::default()
        };
        let checkpointed = match self.plan_operation(&message.operation_info) {
            Ok(checkpointed) => checkpointed,
            Err(why) => {
                tracing::error!(operation = message.operation_info.r#type().as_str_name(), why, "cannot apply it");
                status.state = OperationState::OperationError as i32;
                status.message = Some(why);
                self.state.checkpointed.clone()
            }
        };
        let failed = status.state() == OperationState::OperationError;
        let proto = v1::Operation {
            framework_id: message.framework_id,
            agent_id: Some(self.agent_id()),
            info: message.operation_info,
            latest_status: status.clone(),
            statuses: vec![status],
            uuid: message.operation_uuid,
        };
        self.keep(checkpointed, Some(proto), out);
        if failed {
            // The master believes that it was applied; what we say of our resources when we register anew puts that
            // right.
            self.start_registration(out);
        }
    }

    /// The resources to be kept once the operation is applied.
    fn plan_operation(&self, operation: &v1::offer::Operation) -> Result<Resources, String> {
        let conversions = conversion::of_operation(operation).map_err(|error| error.to_string())?;
        let conversions: Vec<Conversion> = conversions.iter().map(Conversion::unallocate).collect();
        let total = conversion::apply_all(&self.state.total(), &conversions).map_err(|error| error.to_string())?;
        let checkpointed = total.checkpointed();
        check_names(&checkpointed)?;
        Ok(checkpointed)
    }

    /// A master that knows no operations says what to keep.
    pub(crate) fn on_checkpoint_resources(
        &mut self,
        message: &internal::CheckpointResourcesMessage,
        out: &mut Effects,
    ) {
        let plain = Resources::from_protos(&self.state.info.resources).unwrap_or_default();
        let wanted = Resources::from_protos(&message.resources).map_err(|error| error.to_string()).and_then(|wanted| {
            let wanted = wanted.unallocate();
            check_names(&wanted)?;
            conversion::apply_checkpointed(&plain, &wanted).map_err(|error| error.to_string())?;
            Ok(wanted)
        });
        match wanted {
            Ok(wanted) => self.keep(wanted, None, out),
            Err(why) => tracing::error!(why, "ignoring what the master wants to be kept"),
        }
    }

    /// Makes the volumes that are new, writes all of it down, and goes on when it is durable: with the removal of
    /// volumes that are gone, and with the outcome of the operation.
    fn keep(&mut self, checkpointed: Resources, operation: Option<v1::Operation>, out: &mut Effects) {
        let (before, after) = (
            volumes::volumes(&self.config.work_dir, &self.state.checkpointed),
            volumes::volumes(&self.config.work_dir, &checkpointed),
        );
        for volume in after.difference(&before) {
            out.push(Effect::MakeVolume { path: volume.path.clone() });
        }
        let removed: Vec<volumes::Volume> = before.difference(&after).cloned().collect();
        let record = Record::Resources(record::ResourcesRecord {
            checkpointed: checkpointed.to_protos(),
            operation: operation.clone(),
            removed: removed.iter().map(record::VolumeRecord::of).collect(),
        });
        self.state.checkpointed = checkpointed;
        let uuid = operation.as_ref().map(|operation| operation.uuid.value.clone());
        if let (Some(uuid), Some(proto)) = (&uuid, operation) {
            let row = Operation { proto, durable: false, retry: None, backoff: Default::default() };
            Arc::make_mut(&mut self.state.operations).insert(uuid.clone(), Arc::new(row));
        }
        self.tickets.record_then(record, Pending::Resources { operation: uuid, removed }, out);
    }

    pub(crate) fn on_resources_durable(
        &mut self,
        operation: Option<Bytes>,
        removed: Vec<volumes::Volume>,
        out: &mut Effects,
    ) {
        // One that was made anew meanwhile stays.
        let present = volumes::volumes(&self.config.work_dir, &self.state.checkpointed);
        for volume in removed.into_iter().filter(|volume| !present.contains(volume)) {
            out.push(Effect::RemoveVolume { path: volume.path, keep_directory: volume.is_mount });
        }
        if let Some(uuid) = operation {
            if let Some(row) = self.state.operation_mut(&uuid) {
                row.durable = true;
            }
            self.outcomes().tell(&uuid, out);
        }
    }
}

/// Whether the volumes among these can have directories.
fn check_names(resources: &Resources) -> Result<(), String> {
    for id in resources.iter().filter_map(|resource| resource.persistence_id()) {
        ids::id(id).map_err(|why| format!("Invalid persistence ID for persistent volume: {why}"))?;
    }
    Ok(())
}
