//! Resource groups and quotas of a scenario: what a seed draws, what a file says, and what the registry gets.

use std::collections::BTreeMap;

use proto::{
    meseta::v1::{ResourceGroup, resource_group},
    v1::{
        quota::QuotaConfig,
        scheduler::{
            AttributeConstraint, attribute_constraint, offer_constraints::RoleConstraints,
            offer_constraints::role_constraints,
        },
        value::Scalar,
    },
};
use serde::{Deserialize, Serialize};
use stdx::Rng;

use super::Scenario;

/// The attribute that says which of a scenario's pools an agent is in.
pub(crate) const POOL: &str = "pool";

/// A resource group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupPlan {
    pub name: String,
    pub roles: Vec<String>,
    /// The pool that it draws from; all, if unset.
    pub pool: Option<String>,
    pub weight: f64,
    /// A unit.
    pub cpus: f64,
    pub mem_mb: f64,
    pub disk_mb: f64,
    pub min: u64,
    /// 0 for no end.
    pub max: u64,
    pub exclusive: bool,
    /// By lot instead of by shares.
    pub random: bool,
}

/// What a role is promised and what it may have, in cpus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaPlan {
    pub role: String,
    pub guarantee_cpus: f64,
    /// Unset for no limit.
    pub limit_cpus: Option<f64>,
}

impl Default for GroupPlan {
    fn default() -> GroupPlan {
        GroupPlan {
            name: "g".into(),
            roles: vec!["a".into()],
            pool: None,
            weight: 1.0,
            cpus: 1.0,
            mem_mb: 256.0,
            disk_mb: 0.0,
            min: 0,
            max: 0,
            exclusive: false,
            random: false,
        }
    }
}

impl GroupPlan {
    /// A group of these roles that suits the scenario: a unit finds room on each of its agents, and what it is promised
    /// is a small part of the cluster.
    pub(crate) fn draw(rng: &mut Rng, scenario: &Scenario, name: &str, roles: Vec<String>) -> GroupPlan {
        let part = [0.2, 0.4, 1.0][rng.below(3) as usize];
        let cpus = round(scenario.agent_cpus * part);
        let mem_mb = (scenario.agent_mem_mb * part * [0.5, 1.0][rng.below(2) as usize]).floor();
        let disk_mb = (scenario.kind_of(0).disk_mb * part).floor();
        let agents = u64::from(scenario.all_agents());
        let in_pool = scenario.pools > 1 && agents >= u64::from(scenario.pools) && rng.below(2) == 0;
        let pool = in_pool.then(|| pool(rng.below(u64::from(scenario.pools)) as u32));
        let units = (agents as f64 / part / 4.0).floor() as u64;
        let min = if rng.below(2) == 0 { rng.below(units.max(1)) } else { 0 };
        let max = if rng.below(3) == 0 { min.max(1) + rng.below(units.max(1)) } else { 0 };
        GroupPlan {
            name: name.to_owned(),
            roles,
            // A promise is kept out of all agents.
            pool: pool.filter(|_| min == 0),
            weight: [0.5, 1.0, 1.0, 3.0][rng.below(4) as usize],
            cpus,
            mem_mb,
            disk_mb,
            min,
            max,
            exclusive: rng.below(8) == 0,
            random: rng.below(4) == 0,
        }
    }

    pub fn to_proto(&self) -> ResourceGroup {
        let selector = self.pool.as_ref().map(|pool| {
            let of = attribute_constraint::selector::Selector::AttributeName(POOL.to_owned());
            let is = attribute_constraint::predicate::TextEquals { value: pool.clone() };
            let constraint = AttributeConstraint {
                selector: attribute_constraint::Selector { selector: Some(of) },
                predicate: attribute_constraint::Predicate {
                    predicate: Some(attribute_constraint::predicate::Predicate::TextEquals(is)),
                },
            };
            RoleConstraints { groups: vec![role_constraints::Group { attribute_constraints: vec![constraint] }] }
        });
        let scalar = |name: &str, value: f64| (name.to_owned(), Scalar { value });
        let sorter = if self.random { resource_group::Sorter::Random } else { resource_group::Sorter::Drf };
        ResourceGroup {
            name: self.name.clone(),
            selector,
            roles: self.roles.clone(),
            weight: Some(self.weight),
            unit: [scalar("cpus", self.cpus), scalar("mem", self.mem_mb), scalar("disk", self.disk_mb)]
                .into_iter()
                .filter(|(_, of)| of.value > 0.0)
                .collect(),
            capacity: Some(resource_group::Capacity { min: Some(self.min), max: (self.max > 0).then_some(self.max) }),
            sorter: Some(sorter as i32),
            exclusive: Some(self.exclusive),
        }
    }
}

impl QuotaPlan {
    pub fn to_proto(&self) -> QuotaConfig {
        let cpus = |value: f64| BTreeMap::from([("cpus".to_owned(), Scalar { value })]);
        let guarantees = if self.guarantee_cpus > 0.0 { cpus(self.guarantee_cpus) } else { BTreeMap::new() };
        QuotaConfig { role: self.role.clone(), guarantees, limits: self.limit_cpus.map(cpus).unwrap_or_default() }
    }
}

/// The group that serves a role: the one that names it or the nearest role above it.
pub fn serving<'a>(groups: impl Iterator<Item = &'a ResourceGroup> + Clone, role: &str) -> Option<&'a ResourceGroup> {
    let named = |name: &str| groups.clone().find(|group| group.roles.iter().any(|of| of == name));
    named(role).or_else(|| role.rmatch_indices('/').find_map(|(at, _)| named(&role[..at])))
}

/// The name of a pool.
pub(crate) fn pool(number: u32) -> String {
    format!("p{number}")
}

/// To hundredths, so that sums come out.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).floor() / 100.0
}
