//! Quotas come, change and go.

use std::collections::BTreeMap;

use resources::Resources;
use stdx::Tick;

use crate::{
    allocator::Allocator,
    consumption::QuotaRow,
    quota::{self, Quota, QuotaError},
};

impl Allocator {
    /// Gives a role a quota in place of the one it has; the default one takes it away. To be checked before, see
    /// `check_quotas`. Nobody loses what he holds.
    pub fn set_quota(&mut self, now: Tick, role: &str, quota: Quota) {
        let had_quotas = self.has_quotas();
        if quota.is_default() {
            if self.quotas.remove(role).is_none() {
                return;
            }
        } else if self.quotas.insert(role.to_owned(), quota.clone()).as_ref() == Some(&quota) {
            return;
        }
        // Whoever waits may have waited for this.
        self.wake_all_waiting(now);
        let r = self.ensure_role(role);
        let row = (!quota.is_default()).then(|| QuotaRow::new(&quota, &mut self.scalars));
        if let Some(role) = self.roles.get_mut(r) {
            role.quota = row;
        }
        if had_quotas && self.has_quotas() {
            self.settle_needs(r);
        } else {
            self.recount_consumption();
        }
        self.tree().drop_if_unused(r);
    }

    /// All quotas, by role.
    pub fn quotas(&self) -> &BTreeMap<String, Quota> {
        &self.quotas
    }

    /// Whether quotas can be changed like this, all at once. Says what breaks first; what `QuotaError::can_be_forced`
    /// is only looked at without `force`. Changes nothing.
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
