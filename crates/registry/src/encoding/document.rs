//! Documents and their parts as `mesos.internal.Registry`. A part is the same message with one subject in it, so
//! reading the parts back is reading each and joining them.

use bytes::Bytes;
use model::AgentId;
use proto::{internal, json, v1};
use stdx::WallTime;

use super::{
    Change, DecodeError, Kind,
    framework::{FrameworkRecord, Whole},
    open, seal,
};
use crate::{
    document::{Admitted, MachineKey, Registry, Unreachable},
    key::Key,
    operation::Mutation,
};

use internal::registry as wire;

impl Registry {
    /// The whole document in one value.
    pub fn encode(&self) -> Bytes {
        let whole = Whole { registry: Some(self.to_proto()), frameworks: self.framework_records().collect() };
        seal(Kind::Document, "", &whole)
    }

    pub fn decode(bytes: &[u8]) -> Result<Registry, DecodeError> {
        let mut registry = Registry::default();
        let whole: Whole = open(Kind::Document, "", bytes)?;
        registry.join(whole.registry.unwrap_or_default())?;
        whole.frameworks.into_iter().try_for_each(|record| registry.join_framework(record))?;
        Ok(registry)
    }

    /// The document that Mesos's message describes.
    pub fn from_proto(proto: internal::Registry) -> Result<Registry, DecodeError> {
        let mut registry = Registry::default();
        registry.join(proto)?;
        Ok(registry)
    }

    /// The whole document as a master of Mesos shows it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut writer = json::Writer::v0();
        writer.value(&self.to_proto());
        writer.into_bytes()
    }

    /// The whole document as Mesos writes it, for reading by people and programs.
    pub fn to_proto(&self) -> internal::Registry {
        let mut proto = internal::Registry::default();
        for key in self.keys() {
            self.add_part(&key, &mut proto);
        }
        proto
    }

    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let master = self.master.iter().map(|_| Key::Master);
        let schedules = (!self.schedules.is_empty()).then_some(Key::Schedules).into_iter();
        master
            .chain(self.agents.keys().cloned().map(Key::Agent))
            .chain(self.unreachable.keys().cloned().map(Key::Unreachable))
            .chain(self.gone.keys().cloned().map(Key::Gone))
            .chain(self.machines.keys().cloned().map(Key::Machine))
            .chain(schedules)
            .chain(self.legacy_quotas.keys().cloned().map(Key::LegacyQuota))
            .chain(self.quotas.keys().cloned().map(Key::Quota))
            .chain(self.weights.keys().cloned().map(Key::Weight))
            .chain(self.groups.keys().cloned().map(Key::Group))
            .chain(self.frameworks.keys().cloned().map(Key::Framework))
            .chain(self.removed_frameworks.keys().cloned().map(Key::RemovedFramework))
            .chain(self.minimum_capabilities.iter().cloned().map(Key::MinimumCapability))
    }

    /// Every part of the document with its value.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Bytes)> {
        self.keys().filter_map(|key| self.entry(&key).map(|value| (key, value)))
    }

    /// The present value of one part, `None` if the document has no such part.
    pub fn entry(&self, key: &Key) -> Option<Bytes> {
        let name = key.to_string();
        match key {
            Key::Framework(id) => return Some(seal(Kind::Framework, &name, &self.framework_record(id)?)),
            Key::RemovedFramework(id) => {
                return Some(seal(Kind::Framework, &name, &self.removed_framework_record(id)?));
            }
            _ => {}
        }
        let mut proto = internal::Registry::default();
        self.add_part(key, &mut proto)?;
        Some(seal(Kind::Entry, &name, &proto))
    }

    /// What a store must write after `mutation` of this document.
    pub fn changes(&self, mutation: &Mutation) -> Vec<Change> {
        mutation.keys().map(|key| Change { key: key.clone(), value: self.entry(key) }).collect()
    }

    /// The document whose parts, each with its key's text, have these values. The order does not matter.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Registry, DecodeError> {
        let mut registry = Registry::default();
        for (name, value) in entries {
            match value.first() {
                Some(b'F') => registry.join_framework(open::<FrameworkRecord>(Kind::Framework, name, value)?)?,
                _ => registry.join(open(Kind::Entry, name, value)?)?,
            }
        }
        Ok(registry)
    }

    fn add_part(&self, key: &Key, proto: &mut internal::Registry) -> Option<()> {
        match key {
            Key::Master => proto.master = Some(wire::Master { info: self.master.clone()? }),
            Key::Agent(id) => {
                let agent = self.agents.get(id)?;
                proto.slaves.get_or_insert_default().slaves.push(wire::Slave {
                    info: agent.info.clone(),
                    drain_info: agent.drain_info,
                    deactivated: agent.deactivated.then_some(true),
                });
            }
            Key::Unreachable(id) => {
                let agent = self.unreachable.get(id)?;
                proto.unreachable.get_or_insert_default().slaves.push(wire::UnreachableSlave {
                    id: id.to_proto(),
                    timestamp: time(agent.since),
                    drain_info: agent.drain_info,
                    deactivated: agent.deactivated.then_some(true),
                });
            }
            Key::Gone(id) => {
                let timestamp = time(*self.gone.get(id)?);
                let gone = wire::GoneSlave { id: id.to_proto(), timestamp };
                proto.gone.get_or_insert_default().slaves.push(gone);
            }
            Key::Machine(machine) => {
                let info = self.machines.get(machine)?.clone();
                proto.machines.get_or_insert_default().machines.push(wire::Machine { info });
            }
            Key::Schedules => {
                if self.schedules.is_empty() {
                    return None;
                }
                proto.schedules.clone_from(&self.schedules);
            }
            Key::Quota(role) => proto.quota_configs.push(self.quotas.get(role)?.clone()),
            Key::LegacyQuota(role) => {
                legacy_quotas(proto).push(wire::Quota { info: self.legacy_quotas.get(role)?.clone() })
            }
            Key::Weight(role) => {
                let info = v1::WeightInfo { weight: *self.weights.get(role)?, role: Some(role.clone()) };
                proto.weights.push(wire::Weight { info });
            }
            Key::Group(name) => proto.resource_groups.push(self.groups.get(name)?.clone()),
            // Mesos's message has no place for them.
            Key::Framework(_) | Key::RemovedFramework(_) => {}
            Key::MinimumCapability(name) => {
                let capability = self.minimum_capabilities.get(name)?.clone();
                proto.minimum_capabilities.push(wire::MinimumCapability { capability });
            }
        }
        Some(())
    }

    fn join(&mut self, mut proto: internal::Registry) -> Result<(), DecodeError> {
        let legacy = std::mem::take(legacy_quotas(&mut proto));
        if let Some(master) = proto.master {
            self.master = Some(master.info);
        }
        for agent in proto.slaves.into_iter().flat_map(|list| list.slaves) {
            let id = agent.info.id.as_ref().ok_or_else(|| damaged("an admitted agent has no id"))?;
            let id = AgentId::from(id);
            let wire::Slave { info, drain_info, deactivated } = agent;
            self.agents.insert(id, Admitted { info, drain_info, deactivated: deactivated == Some(true) });
        }
        for agent in proto.unreachable.into_iter().flat_map(|list| list.slaves) {
            let entry = Unreachable {
                since: WallTime(agent.timestamp.nanoseconds),
                drain_info: agent.drain_info,
                deactivated: agent.deactivated == Some(true),
            };
            self.unreachable.insert(AgentId::from(&agent.id), entry);
        }
        for agent in proto.gone.into_iter().flat_map(|list| list.slaves) {
            self.gone.insert(AgentId::from(&agent.id), WallTime(agent.timestamp.nanoseconds));
        }
        for machine in proto.machines.into_iter().flat_map(|list| list.machines) {
            self.machines.insert(MachineKey::from(&machine.info.id), machine.info);
        }
        self.schedules.extend(proto.schedules);
        for config in proto.quota_configs {
            self.quotas.insert(config.role.clone(), config);
        }
        for quota in legacy {
            let role = quota.info.role.clone().ok_or_else(|| damaged("a quota has no role"))?;
            self.legacy_quotas.insert(role, quota.info);
        }
        for weight in proto.weights {
            self.weights.insert(weight.info.role.unwrap_or_else(|| "*".to_owned()), weight.info.weight);
        }
        for group in proto.resource_groups {
            self.groups.insert(group.name.clone(), group);
        }
        self.minimum_capabilities.extend(proto.minimum_capabilities.into_iter().map(|c| c.capability));
        Ok(())
    }
}

#[allow(deprecated)]
fn legacy_quotas(proto: &mut internal::Registry) -> &mut Vec<wire::Quota> {
    &mut proto.quotas
}

fn time(time: WallTime) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: time.0 }
}

fn damaged(why: &str) -> DecodeError {
    DecodeError::Damaged { what: "content", why: why.to_owned() }
}
