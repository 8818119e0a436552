//! Resource groups: parts of the cluster that agents compete to be in, each shared among some roles. Here is what a
//! group is and which definitions make sense together; `competition` and `draw` hand out units, `contest` holds the
//! competition of a cycle, `kept` collects pieces for it, `membership` keeps track of who is in which group inside the
//! allocator.

pub mod competition;
mod contest;
pub mod draw;
mod hand_out;
mod kept;
mod membership;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proto::{meseta, v1};
use resources::{Name, Quantities, Quantity, Resources, role};

use crate::{
    config::SorterKind,
    constraints::{ConstraintError, ConstraintLimits, RoleConstraints},
    profile::AgentProfile,
};

pub(crate) use contest::Contest;
pub(crate) use hand_out::Share;
pub(crate) use membership::GroupBook;

/// The group of all roles and agents that no other group claims.
pub const DEFAULT: &str = "default";

/// The attribute an agent's competition weight stands in: a scalar, 1 where there is none.
pub const WEIGHT_ATTRIBUTE: &str = "competition_weight";

/// The attribute of an offer that names the group it was won for.
pub const GROUP_ATTRIBUTE: &str = "resource_group";

const NAME_MAX: usize = 128;

/// A group, checked by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: Arc<str>,
    pub(crate) selector: Option<Arc<RoleConstraints>>,
    pub roles: BTreeSet<String>,
    pub weight: f64,
    pub unit: Quantities,
    pub min: u64,
    pub max: Option<u64>,
    /// The master's own, if unset.
    pub sorter: Option<SorterKind>,
    pub exclusive: bool,
}

/// How a group stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStanding {
    pub name: Arc<str>,
    /// Offered and used; a part of a unit counts as a whole.
    pub held_units: u64,
    /// Of what its unit names.
    pub held: Quantities,
    /// The latest competition in which it had a choice, or wanted nothing.
    pub drawn: competition::Result,
    pub won_total: u64,
    /// Of these, units that nobody in the group was offered.
    pub returned_total: u64,
}

/// Why groups cannot be set, with the figure that breaks it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GroupError {
    #[error("'{name}' is no name for a resource group: {why}")]
    Name { name: String, why: &'static str },
    #[error("resource group '{name}' is defined twice")]
    Twice { name: String },
    #[error("resource group '{name}' serves no roles")]
    NoRoles { name: String },
    #[error("resource group '{name}' serves '{role}', which is no role: {why}")]
    Role { name: String, role: String, why: String },
    #[error("resource group '{name}' serves role '{role}', which is not on the list of roles")]
    UnknownRole { name: String, role: String },
    #[error("role '{role}' cannot be served by resource group '{name}': '{other}' serves it")]
    RoleTaken { name: String, role: String, other: String },
    #[error("the weight of resource group '{name}' is {weight}; it must be a positive number")]
    Weight { name: String, weight: f64 },
    #[error("resource group '{name}' has an empty unit")]
    EmptyUnit { name: String },
    #[error("the unit of resource group '{name}' has {amount} {resource}; it must be at least 0.001")]
    UnitAmount { name: String, resource: String, amount: f64 },
    #[error("resource group '{name}' is to hold at least {min} and at most {max} units")]
    MinOverMax { name: String, min: u64, max: u64 },
    #[error("resource group '{name}' may hold 0 units at most; remove it instead")]
    NoCapacity { name: String },
    #[error("the selector of resource group '{name}': {why}")]
    Selector { name: String, why: ConstraintError },
    #[error("resource group '{name}' is guaranteed {min} units, but the agents it selects have room for {supply}")]
    MinOverSupply { name: String, min: u64, supply: u64 },
    #[error("the groups are guaranteed {guaranteed} {resource} together, but the cluster has {total}")]
    MinsOverCluster { resource: String, guaranteed: Quantity, total: Quantity },
    #[error(
        "the exclusive resource groups '{name}' ({min} units guaranteed) and '{other}' ({other_min}) cannot both have \
         what they are guaranteed: on the agents that both select, {missing} units of '{other}' find no room"
    )]
    ExclusiveConflict { name: String, min: u64, other: String, other_min: u64, missing: u64 },
    #[error("there is no resource group '{name}'")]
    NotFound { name: String },
}

impl GroupError {
    /// Whether an operator may have it all the same: the cluster may grow.
    pub fn can_be_forced(&self) -> bool {
        matches!(
            self,
            GroupError::MinOverSupply { .. }
                | GroupError::MinsOverCluster { .. }
                | GroupError::ExclusiveConflict { .. }
        )
    }
}

impl Group {
    /// Reads a definition and checks what can be checked of it alone.
    pub fn compile(spec: &meseta::v1::ResourceGroup, limits: ConstraintLimits) -> Result<Group, GroupError> {
        let name = spec.name.clone();
        check_name(&name)?;
        if spec.roles.is_empty() {
            return Err(GroupError::NoRoles { name });
        }
        for role in &spec.roles {
            role::check(role).map_err(|why| GroupError::Role {
                name: name.clone(),
                role: role.clone(),
                why: why.to_string(),
            })?;
        }
        let weight = spec.weight.unwrap_or(1.0);
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(GroupError::Weight { name, weight });
        }
        let capacity = spec.capacity.unwrap_or_default();
        let (min, max) = (capacity.min.unwrap_or(0), capacity.max);
        if max == Some(0) {
            return Err(GroupError::NoCapacity { name });
        }
        if let Some(max) = max.filter(|max| *max < min) {
            return Err(GroupError::MinOverMax { name, min, max });
        }
        let selector = spec.selector.as_ref().filter(|selector| !selector.groups.is_empty());
        let selector = selector.map(|selector| RoleConstraints::compile(&name, selector, limits)).transpose();
        let selector = selector.map_err(|why| GroupError::Selector { name: name.clone(), why })?;
        Ok(Group {
            unit: unit(spec)?,
            name: name.into(),
            selector: selector.map(Arc::new),
            roles: spec.roles.iter().cloned().collect(),
            weight,
            min,
            max,
            sorter: spec.sorter.map(|_| match spec.sorter() {
                meseta::v1::resource_group::Sorter::Drf => SorterKind::Drf,
                meseta::v1::resource_group::Sorter::Random => SorterKind::Random,
            }),
            exclusive: spec.exclusive(),
        })
    }

    /// Whether it may draw units from such an agent.
    pub fn selects(&self, agent: &AgentProfile) -> bool {
        let admits =
            |rule: &Arc<RoleConstraints>| rule.admit(&agent.hostname, &agent.attributes, agent.domain.as_ref());
        self.selector.as_ref().is_none_or(admits)
    }

    /// How many units an agent with these resources has room for: in what is neither reserved nor revocable.
    pub fn room_on(&self, total: &Resources) -> u64 {
        let open = total.filter(is_divided).scalar_quantities();
        let room = |(name, amount): (&Name, Quantity)| (open.get(name).0 / amount.0.max(1)).max(0) as u64;
        self.unit.iter().map(room).min().unwrap_or(0)
    }
}

/// Whether groups draw lots for a resource: the scalars that are reserved for nobody, not revocable, and divisible. All
/// else goes where roles and capabilities say.
pub(crate) fn is_divided(resource: &resources::Resource) -> bool {
    resource.is_unreserved()
        && !resource.is_revocable()
        && !resource.is_shared()
        && resource.disk().is_none()
        && resource.scalar().is_some()
}

/// An agent's competition weight, from its attributes. What is no number of at least 0 counts as 1.
pub fn competition_weight(attributes: &[v1::Attribute]) -> f64 {
    let weight = attributes.iter().find(|attribute| attribute.name == WEIGHT_ATTRIBUTE);
    let weight = weight.and_then(|attribute| attribute.scalar.as_ref()).map(|scalar| scalar.value);
    weight.filter(|weight| *weight >= 0.0 && weight.is_finite()).unwrap_or(1.0)
}

fn check_name(name: &str) -> Result<(), GroupError> {
    let refuse = |why| Err(GroupError::Name { name: name.to_owned(), why });
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        "" => refuse("it is empty"),
        "." | ".." => refuse("it is a path"),
        DEFAULT => refuse("it is the name of the group of all that no group claims"),
        _ if name.len() > NAME_MAX => refuse("it is longer than 128 bytes"),
        _ if name.starts_with('-') => refuse("it starts with '-'"),
        _ if !name.chars().all(plain) => refuse("only letters, digits, '-', '_' and '.' may be in it"),
        _ => Ok(()),
    }
}

fn unit(spec: &meseta::v1::ResourceGroup) -> Result<Quantities, GroupError> {
    let mut unit = Quantities::default();
    for (resource, scalar) in &spec.unit {
        let amount = Quantity::from_f64(scalar.value);
        if !scalar.value.is_finite() || !amount.is_positive() {
            let name = spec.name.clone();
            return Err(GroupError::UnitAmount { name, resource: resource.clone(), amount: scalar.value });
        }
        unit.add_one(&Name::from(resource.as_str()), amount);
    }
    if unit.is_empty() {
        return Err(GroupError::EmptyUnit { name: spec.name.clone() });
    }
    Ok(unit)
}

/// Whether the groups make sense together. `roles` is the list of roles there may be, if there is one.
pub fn check_together(groups: &BTreeMap<Arc<str>, Group>, roles: Option<&BTreeSet<String>>) -> Result<(), GroupError> {
    let mut servants = BTreeMap::<&str, &str>::new();
    for group in groups.values() {
        for role in &group.roles {
            let name = || group.name.to_string();
            if roles.is_some_and(|roles| !roles.contains(role)) {
                return Err(GroupError::UnknownRole { name: name(), role: role.clone() });
            }
            if let Some(other) = servants.insert(role, &group.name) {
                return Err(GroupError::RoleTaken { name: name(), role: role.clone(), other: other.to_owned() });
            }
        }
    }
    Ok(())
}

/// Whether a cluster of these agents could give every group what it is guaranteed.
pub fn check_capacity<'a>(
    groups: &BTreeMap<Arc<str>, Group>,
    agents: impl Iterator<Item = (&'a AgentProfile, &'a Resources)>,
) -> Result<(), GroupError> {
    let guaranteed: Vec<&Group> = groups.values().filter(|group| group.min > 0).collect();
    if guaranteed.is_empty() {
        return Ok(());
    }
    let mut total = Quantities::default();
    let mut supplies = vec![0u64; guaranteed.len()];
    let mut rooms: Vec<Vec<u64>> = Vec::new();
    for (profile, resources) in agents {
        total += &resources.filter(is_divided).scalar_quantities();
        let room = |group: &&Group| if group.selects(profile) { group.room_on(resources) } else { 0 };
        let row: Vec<u64> = guaranteed.iter().map(room).collect();
        supplies.iter_mut().zip(&row).for_each(|(supply, room)| *supply += room);
        rooms.push(row);
    }
    for (group, &supply) in guaranteed.iter().zip(&supplies) {
        if supply < group.min {
            return Err(GroupError::MinOverSupply { name: group.name.to_string(), min: group.min, supply });
        }
    }
    let mut sum = BTreeMap::<&Name, Quantity>::new();
    for group in &guaranteed {
        for (name, amount) in group.unit.iter() {
            let min = i64::try_from(group.min).unwrap_or(i64::MAX);
            let sum = sum.entry(name).or_default();
            sum.0 = sum.0.saturating_add(amount.0.saturating_mul(min));
        }
    }
    for (name, guaranteed) in sum {
        let total = total.get(name);
        if guaranteed > total {
            return Err(GroupError::MinsOverCluster { resource: name.as_str().to_owned(), guaranteed, total });
        }
    }
    for (x, one) in guaranteed.iter().enumerate() {
        for (y, other) in guaranteed.iter().enumerate().skip(x + 1) {
            if !(one.exclusive && other.exclusive) {
                continue;
            }
            let pairs = rooms.iter().filter_map(|row| Some((*row.get(x)?, *row.get(y)?)));
            let missing = exclusive_shortfall(one.min, other.min, pairs);
            if missing > 0 {
                return Err(GroupError::ExclusiveConflict {
                    name: one.name.to_string(),
                    min: one.min,
                    other: other.name.to_string(),
                    other_min: other.min,
                    missing,
                });
            }
        }
    }
    Ok(())
}

/// How many units of the second group find no room if every agent serves one of two groups only: the first takes agents
/// that are worth most to it in comparison, the last of them even in part, so that the answer errs to the kind side.
fn exclusive_shortfall(min: u64, other_min: u64, rooms: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut rooms: Vec<(u64, u64)> = rooms.filter(|(a, b)| a + b > 0).collect();
    rooms.sort_by(|(a, b), (c, d)| (u128::from(*c) * u128::from(*b)).cmp(&(u128::from(*a) * u128::from(*d))));
    let (mut missing, mut other_room) = (min as f64, 0.0);
    for (room, other) in rooms {
        let taken = if room == 0 { 0.0 } else { (missing / room as f64).min(1.0) };
        missing -= taken * room as f64;
        other_room += (1.0 - taken) * other as f64;
    }
    (other_min as f64 - other_room - 1e-6).max(0.0).ceil() as u64
}
