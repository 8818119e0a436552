//! Resource groups come and go.

use proto::meseta;

use super::{Mutation, Refusal};
use crate::{capability, document::Registry, key::Key};

pub(super) fn set(registry: &mut Registry, group: &meseta::v1::ResourceGroup, m: &mut Mutation) {
    if registry.groups.get(&group.name) != Some(group) {
        registry.groups.insert(group.name.clone(), group.clone());
        m.touch(Key::Group(group.name.clone()));
    }
    capability::demand(registry, capability::RESOURCE_GROUPS, m);
}

pub(super) fn remove(registry: &mut Registry, name: &str, m: &mut Mutation) -> Result<(), Refusal> {
    if registry.groups.remove(name).is_none() {
        return Err(Refusal::UnknownGroup(name.to_owned()));
    }
    m.touch(Key::Group(name.to_owned()));
    if registry.groups.is_empty() {
        capability::release(registry, capability::RESOURCE_GROUPS, m);
    }
    Ok(())
}
