//! The capabilities a document may demand of its master, and the upkeep of those that follow from its content.

use crate::{document::Registry, key::Key, operation::Mutation};

pub const AGENT_UPDATE: &str = "AGENT_UPDATE";
pub const AGENT_DRAINING: &str = "AGENT_DRAINING";
pub const QUOTA_V2: &str = "QUOTA_V2";
/// Ours: a master that does not know it would hand out the agents of groups to everybody.
pub const RESOURCE_GROUPS: &str = "RESOURCE_GROUPS";

/// What this program can do.
pub(crate) const KNOWN: [&str; 4] = [AGENT_UPDATE, AGENT_DRAINING, QUOTA_V2, RESOURCE_GROUPS];

pub(crate) fn demand(registry: &mut Registry, capability: &str, mutation: &mut Mutation) {
    if registry.minimum_capabilities.insert(capability.to_owned()) {
        mutation.touch(Key::MinimumCapability(capability.to_owned()));
    }
}

pub(crate) fn release(registry: &mut Registry, capability: &str, mutation: &mut Mutation) {
    if registry.minimum_capabilities.remove(capability) {
        mutation.touch(Key::MinimumCapability(capability.to_owned()));
    }
}

/// Drops the demand for draining once no agent drains or is deactivated.
pub(crate) fn settle_draining(registry: &mut Registry, mutation: &mut Mutation) {
    if !registry.minimum_capabilities.contains(AGENT_DRAINING) {
        return;
    }
    let admitted = registry.agents.values().any(|a| a.deactivated || a.drain_info.is_some());
    let unreachable = registry.unreachable.values().any(|a| a.deactivated || a.drain_info.is_some());
    if !admitted && !unreachable {
        release(registry, AGENT_DRAINING, mutation);
    }
}
