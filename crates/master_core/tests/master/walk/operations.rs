//! The part of the walks that reserves, makes volumes, sets quotas and weights, and takes machines away.

use bytes::Bytes;
use master_core::Effect;
use proto::{
    internal,
    v1::{
        self,
        master::{Call, call},
        offer::{Operation, operation},
        quota::QuotaConfig,
    },
};
use resources::{Resource, Resources};

use super::Walk;

const ROLES: [&str; 4] = ["a", "b", "a/c", "z"];

impl Walk {
    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.rng.below(from.len() as u64) as usize) }
    }

    fn role(&mut self) -> String {
        ROLES[self.rng.below(4) as usize].to_owned()
    }

    /// An operation on some of `held`: mostly one that can be done.
    pub(super) fn resource_operation(&mut self, held: &Resources, role: &str) -> Operation {
        let mut result = Operation::default();
        if self.rng.below(2) == 0 {
            result.id = Some(v1::OperationId { value: format!("o{}", self.rng.below(5)) });
        }
        let rows: Vec<Resource> = held.iter().cloned().collect();
        let volumes: Vec<Resource> = rows.iter().filter(|row| row.is_persistent_volume()).cloned().collect();
        let reserved: Vec<Resource> =
            rows.iter().filter(|row| row.is_dynamically_reserved() && !row.is_persistent_volume()).cloned().collect();
        let disks: Vec<Resource> = reserved.iter().filter(|row| *row.name() == "disk").cloned().collect();
        match self.rng.below(7) {
            0 | 1 => {
                let plain: Vec<Resource> = rows.iter().filter(|row| row.is_unreserved()).cloned().collect();
                let mut resource = self.pick(&plain).map(Resource::to_proto).unwrap_or_default();
                resource.reservations.push(v1::resource::ReservationInfo {
                    r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
                    role: Some(role.to_owned()),
                    ..Default::default()
                });
                if let Some(scalar) = &mut resource.scalar {
                    scalar.value = (scalar.value / 4.0).max(0.1);
                }
                result.set_type(operation::Type::Reserve);
                result.reserve = Some(operation::Reserve { resources: vec![resource], source: vec![] });
            }
            2 => {
                let resources = self.pick(&reserved).map(Resource::to_proto).into_iter().collect();
                result.set_type(operation::Type::Unreserve);
                result.unreserve = Some(operation::Unreserve { resources });
            }
            3 | 4 => {
                let mut volume = self.pick(&disks).map(Resource::to_proto).unwrap_or_default();
                let id = format!("v{}", self.rng.below(4));
                volume.disk = Some(Box::new(v1::resource::DiskInfo {
                    persistence: Some(v1::resource::disk_info::Persistence { id, principal: None }),
                    volume: Some(v1::Volume {
                        mode: v1::volume::Mode::Rw.into(),
                        container_path: "d".into(),
                        ..Default::default()
                    }),
                    source: None,
                }));
                volume.shared = (self.rng.below(3) == 0).then(v1::resource::SharedInfo::default);
                result.set_type(operation::Type::Create);
                result.create = Some(operation::Create { volumes: vec![volume] });
            }
            5 => {
                let volumes = self.pick(&volumes).map(Resource::to_proto).into_iter().collect();
                result.set_type(operation::Type::Destroy);
                result.destroy = Some(operation::Destroy { volumes });
            }
            _ => {
                let volume = self.pick(&volumes).map(Resource::to_proto).unwrap_or_default();
                if self.rng.below(2) == 0 {
                    let addition = self.pick(&disks).map(Resource::to_proto).unwrap_or_default();
                    result.set_type(operation::Type::GrowVolume);
                    result.grow_volume = Some(Box::new(operation::GrowVolume { volume, addition }));
                } else {
                    let subtract = v1::value::Scalar { value: 1.0 };
                    result.set_type(operation::Type::ShrinkVolume);
                    result.shrink_volume = Some(Box::new(operation::ShrinkVolume { volume, subtract }));
                }
            }
        }
        result
    }

    /// What operators do to roles, machines and free resources.
    pub(super) fn resource_call(&mut self) -> Call {
        let mut made = Call::default();
        match self.rng.below(8) {
            0 | 1 => {
                let amount = |n: u64| v1::value::Scalar { value: n as f64 };
                let mut config = QuotaConfig { role: self.role(), ..Default::default() };
                if self.rng.below(2) == 0 {
                    config.guarantees.insert("cpus".into(), amount(self.rng.below(4)));
                }
                if self.rng.below(2) == 0 {
                    config.limits.insert("cpus".into(), amount(self.rng.below(8)));
                }
                made.set_type(call::Type::UpdateQuota);
                let force = Some(self.rng.below(2) == 0);
                made.update_quota = Some(call::UpdateQuota { force, quota_configs: vec![config] });
            }
            2 => {
                made.set_type(call::Type::RemoveQuota);
                made.remove_quota = Some(call::RemoveQuota { role: self.role() });
            }
            3 => {
                let weight = [0.0, 0.5, 1.0, 3.0][self.rng.below(4) as usize];
                made.set_type(call::Type::UpdateWeights);
                let info = v1::WeightInfo { weight, role: Some(self.role()) };
                made.update_weights = Some(call::UpdateWeights { weight_infos: vec![info] });
            }
            4 => {
                let machine_ids: Vec<v1::MachineId> =
                    (0..self.rng.below(3)).map(|_| self.machine()).collect::<Vec<_>>();
                let start = v1::TimeInfo { nanoseconds: self.rng.below(1000) as i64 };
                let unavailability = v1::Unavailability { start, duration: None };
                let windows = vec![v1::maintenance::Window { machine_ids, unavailability }];
                let windows = if self.rng.below(3) == 0 { vec![] } else { windows };
                made.set_type(call::Type::UpdateMaintenanceSchedule);
                made.update_maintenance_schedule =
                    Some(call::UpdateMaintenanceSchedule { schedule: v1::maintenance::Schedule { windows } });
            }
            5 => {
                let machines = vec![self.machine()];
                if self.rng.below(3) == 0 {
                    made.set_type(call::Type::StartMaintenance);
                    made.start_maintenance = Some(call::StartMaintenance { machines });
                } else {
                    made.set_type(call::Type::StopMaintenance);
                    made.stop_maintenance = Some(call::StopMaintenance { machines });
                }
            }
            _ => self.free_resources_call(&mut made),
        }
        made
    }

    fn free_resources_call(&mut self, made: &mut Call) {
        let agent_id = self.agent_id();
        let view = self.world.master.view();
        let total = view.agents.get(agent_id.value.as_str()).map(|agent| agent.total.clone()).unwrap_or_default();
        let role = self.role();
        let operation = self.resource_operation(&total, &role);
        made.set_type(call::Type::ReserveResources);
        if let Some(reserve) = operation.reserve {
            let resources = reserve.resources;
            made.reserve_resources = Some(call::ReserveResources { agent_id, source: vec![], resources });
        } else if let Some(unreserve) = operation.unreserve {
            made.set_type(call::Type::UnreserveResources);
            made.unreserve_resources = Some(call::UnreserveResources { agent_id, resources: unreserve.resources });
        } else if let Some(create) = operation.create {
            made.set_type(call::Type::CreateVolumes);
            made.create_volumes = Some(call::CreateVolumes { agent_id, volumes: create.volumes });
        } else if let Some(destroy) = operation.destroy {
            made.set_type(call::Type::DestroyVolumes);
            made.destroy_volumes = Some(call::DestroyVolumes { agent_id, volumes: destroy.volumes });
        } else if let Some(grow) = operation.grow_volume {
            made.set_type(call::Type::GrowVolume);
            let (volume, addition) = (grow.volume, grow.addition);
            made.grow_volume = Some(call::GrowVolume { agent_id: Some(agent_id), volume, addition });
        } else if let Some(shrink) = operation.shrink_volume {
            made.set_type(call::Type::ShrinkVolume);
            let (volume, subtract) = (shrink.volume, shrink.subtract);
            made.shrink_volume = Some(call::ShrinkVolume { agent_id: Some(agent_id), volume, subtract });
        }
    }

    fn machine(&mut self) -> v1::MachineId {
        let n = self.agent();
        v1::MachineId { hostname: Some(format!("H{n}")), ip: Some(format!("10.0.0.{n}")) }
    }

    /// The outcome of an operation that some agent was sent, or of one that nobody knows.
    pub(super) fn operation_status(&mut self) -> Vec<Effect> {
        let view = self.world.master.view();
        let rows: Vec<_> = view.operations.values().cloned().collect();
        let row = self.pick(&rows).cloned();
        let states = [2, 2, 2, 3, 4, 5];
        let state = states[self.rng.below(6) as usize];
        let uuid = (self.rng.below(4) > 0).then(|| v1::Uuid { value: Bytes::copy_from_slice(&self.rng.uuid()) });
        let agent_id = row.as_ref().map_or(self.agent_id(), |row| row.agent.to_proto());
        let status = v1::OperationStatus {
            operation_id: row.as_ref().and_then(|row| row.proto.info.id.clone()),
            state,
            uuid,
            agent_id: Some(agent_id.clone()),
            ..Default::default()
        };
        let message = internal::UpdateOperationStatusMessage {
            framework_id: row.as_ref().and_then(|row| row.proto.framework_id.clone()),
            agent_id: Some(agent_id),
            latest_status: None,
            status,
            operation_uuid: Some(v1::Uuid {
                value: row.map_or_else(|| Bytes::copy_from_slice(&self.rng.uuid()), |row| row.uuid),
            }),
        };
        let n = message.agent_id.clone().map_or(1, |id| self.speaker(&id));
        self.world.hear(n, message.into())
    }

    /// An acknowledgement of something that was told, or not.
    pub(super) fn acknowledgement(&mut self, framework: &str) -> v1::scheduler::call::AcknowledgeOperationStatus {
        let view = self.world.master.view();
        let mine =
            view.operations.values().filter(|row| row.framework.as_ref().is_some_and(|id| id.as_str() == framework));
        let told = mine.filter(|row| row.id.is_some() && row.proto.latest_status.uuid.is_some());
        let rows: Vec<_> = told.cloned().collect();
        let row = self.pick(&rows).cloned();
        let told = row.as_ref().and_then(|row| row.proto.latest_status.uuid.clone());
        v1::scheduler::call::AcknowledgeOperationStatus {
            agent_id: Some(row.as_ref().map_or(self.agent_id(), |row| row.agent.to_proto())),
            resource_provider_id: None,
            uuid: told.map_or_else(|| Bytes::from_static(b"0123456789abcdef"), |uuid| uuid.value),
            operation_id: row.and_then(|row| row.proto.info.id.clone()).unwrap_or_default(),
        }
    }
}
