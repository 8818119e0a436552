//! Guarantees and limits of roles.

use proto::v1;

use super::Mutation;
use crate::{capability, document::Registry, key::Key};

/// Sets each role's quota. A configuration with neither guarantees nor limits stays listed, as in Mesos.
pub(super) fn update(registry: &mut Registry, configs: &[v1::quota::QuotaConfig], m: &mut Mutation) {
    for config in configs {
        if registry.quotas.get(&config.role) != Some(config) {
            registry.quotas.insert(config.role.clone(), config.clone());
            m.touch(Key::Quota(config.role.clone()));
        }
        if registry.legacy_quotas.remove(&config.role).is_some() {
            m.touch(Key::LegacyQuota(config.role.clone()));
        }
    }
    if !registry.quotas.is_empty() {
        capability::demand(registry, capability::QUOTA_V2, m);
    }
}

pub(super) fn remove(registry: &mut Registry, role: &str, m: &mut Mutation) {
    if registry.quotas.remove(role).is_some() {
        m.touch(Key::Quota(role.to_owned()));
    }
    if registry.legacy_quotas.remove(role).is_some() {
        m.touch(Key::LegacyQuota(role.to_owned()));
    }
    if registry.quotas.is_empty() {
        capability::release(registry, capability::QUOTA_V2, m);
    }
}
