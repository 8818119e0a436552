//! Roles have no rows: what there is to say about them follows from frameworks, reservations, quotas and weights.

use std::collections::{BTreeMap, BTreeSet};

use model::FrameworkId;
use resources::{Quantities, Resource, Resources};

use crate::state::State;

/// One role, as `/roles` shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Role {
    /// 1 unless an operator chose otherwise.
    pub weight: f64,
    /// Frameworks subscribed to it, or holding resources in it.
    pub frameworks: BTreeSet<FrameworkId>,
    /// What is allocated in the role itself: used and offered, with allocation info.
    pub allocated: Resources,
    pub offered: Resources,
    /// What agents reserve for it, used or not.
    pub reserved: Resources,
}

impl State {
    /// What counts against the quota of a role: what is reserved for it and for the roles below it, used or not, and
    /// what these use beside. What they are only offered does not count.
    pub fn consumed(&self, name: &str) -> Quantities {
        let counts = |role: &str| role == name || resources::role::is_strict_subrole_of(role, name);
        let mut sum = Quantities::default();
        for agent in self.agents.values() {
            sum += &agent.total.reserved_in_subtree(name).quantities();
        }
        let counted =
            |row: &Resource| row.is_unreserved() && !row.is_revocable() && row.allocation_role().is_some_and(counts);
        for framework in
            self.frameworks.values().filter(|framework| !framework.tasks.is_empty() || !framework.executors.is_empty())
        {
            for used in self.used_by(framework).values() {
                sum += &used.filter(counted).quantities();
            }
        }
        sum
    }

    /// Every role that a framework, a reservation, a quota or a weight names, with their ancestors.
    pub fn roles(&self) -> BTreeMap<String, Role> {
        let mut roles: BTreeMap<String, Role> = BTreeMap::new();
        for framework in self.frameworks.values() {
            for role in &framework.roles {
                roles.entry(role.clone()).or_default().frameworks.insert(framework.id.clone());
            }
            for resources in self.used_by(framework).values() {
                for (role, held) in resources.allocations() {
                    let row = roles.entry(role).or_default();
                    row.frameworks.insert(framework.id.clone());
                    row.allocated += held;
                }
            }
            for (role, held) in self.offered_to(framework).allocations() {
                let row = roles.entry(role).or_default();
                row.frameworks.insert(framework.id.clone());
                row.allocated += held.clone();
                row.offered += held;
            }
        }
        for agent in self.agents.values() {
            for (role, reserved) in agent.total.reservations() {
                roles.entry(role).or_default().reserved += reserved;
            }
        }
        for role in self.registry.quotas.keys().chain(self.registry.legacy_quotas.keys()) {
            roles.entry(role.clone()).or_default();
        }
        for role in self.registry.weights.keys() {
            roles.entry(role.clone()).or_default();
        }
        let named: Vec<String> = roles.keys().cloned().collect();
        for ancestor in named.iter().flat_map(|role| resources::role::ancestors(role)) {
            roles.entry(ancestor.to_owned()).or_default();
        }
        for (name, role) in &mut roles {
            role.weight = self.registry.weights.get(name).copied().unwrap_or(1.0);
        }
        roles
    }
}
