//! Who consumes how much of its quota.

use std::collections::BTreeMap;

use resources::{Quantities, Resources};
use stdx::Tick;

use crate::{
    allocator::Allocator,
    quota::{self, Quota, QuotaError},
};

impl Allocator {
    /// Gives a role a quota in place of the one it has; the default one takes it away. To be checked before, see
    /// `check_quotas`. Nobody loses what he holds.
    pub fn set_quota(&mut self, _now: Tick, role: &str, quota: Quota) {
        if quota.is_default() {
            self.quotas.remove(role);
        } else {
            self.quotas.insert(role.to_owned(), quota);
        }
    }

    /// All quotas, by role.
    pub fn quotas(&self) -> &BTreeMap<String, Quota> {
        &self.quotas
    }

    pub(crate) fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// What counts against a role's quota: scalars that are reserved to it or to roles below it, used or not, and unreserved ones
    /// that frameworks in these roles were offered or use.
    pub fn quota_consumption(&self, role: &str) -> Quantities {
        let mut consumed = Quantities::default();
        let below = |name: &str| name == role || resources::role::is_strict_subrole_of(name, role);
        for (_, agent) in self.agents.iter() {
            consumed += &agent.total.reserved_in_subtree(role).scalar_quantities();
            for (c, held) in &agent.held {
                if self.role_name(*c).is_some_and(|name| below(&name)) {
                    consumed += &held.filter(|r| r.is_unreserved() && !r.is_revocable()).scalar_quantities();
                }
            }
        }
        consumed
    }

    /// Whether quotas can be changed like this, all at once. Says what breaks first; what `QuotaError::can_be_forced` is only
    /// looked at without `force`. Changes nothing.
    pub fn check_quotas(&self, changes: &BTreeMap<String, Quota>, force: bool) -> Result<(), QuotaError> {
        let mut all = self.quotas.clone();
        for (role, quota) in changes {
            quota::check_role(role, self.config.nested_quota)?;
            if !quota.limits.contains(&quota.guarantees) {
                return Err(QuotaError::GuaranteeOverLimit {
                    guarantees: quota.guarantees.clone().into(),
                    limits: quota.limits.clone(),
                });
            }
            if !force && !quota.limits.is_empty() {
                let consumed = self.quota_consumption(role);
                if !quota.limits.contains(&consumed) {
                    let (role, consumed, limits) = (role.clone(), consumed.into(), quota.limits.clone());
                    return Err(QuotaError::LimitBelowConsumption { role, consumed, limits });
                }
            }
            all.insert(role.clone(), quota.clone());
        }
        quota::check_tree(&all)?;
        if force { Ok(()) } else { quota::check_capacity(&all, self.totals_of_agents()) }
    }

    fn totals_of_agents(&self) -> impl Iterator<Item = &Resources> {
        self.agents.iter().map(|(_, agent)| &agent.total)
    }
}
