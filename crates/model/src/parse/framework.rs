//! What a framework says about itself: roles, suppressed roles, filters, constraints.

use super::{ids, print};
use crate::capabilities::FrameworkCapabilities;
use proto::v1::{
    FrameworkInfo, OfferFilters,
    scheduler::{AttributeConstraint, OfferConstraints, attribute_constraint::selector},
};
use resources::role;
use std::collections::BTreeSet;

pub fn framework_info(info: &FrameworkInfo) -> Result<(), String> {
    roles(info)?;
    ids::framework_id(info.id.as_ref())?;
    info.offer_filters.values().try_for_each(offer_filters)?;
    failover_timeout(info)
}

/// One field for those who know several roles, another for those who do not.
fn roles(info: &FrameworkInfo) -> Result<(), String> {
    if !FrameworkCapabilities::of(info).multi_role {
        if !info.roles.is_empty() {
            return Err("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable".into());
        }
        return role::check(info.role()).map_err(|why| format!("'FrameworkInfo.role' is not a valid role: {why}"));
    }
    if info.role.is_some() {
        return Err("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable".into());
    }
    let mut seen = BTreeSet::new();
    let roles = info.roles.iter().map(String::as_str).filter(|_| info.roles.len() > 1);
    let twice: BTreeSet<&str> = roles.filter(|role| !seen.insert(*role)).collect();
    if !twice.is_empty() {
        return Err(format!("'FrameworkInfo.roles' contains duplicate items: {}", print::set(twice)));
    }
    info.roles
        .iter()
        .try_for_each(|role| role::check(role))
        .map_err(|why| format!("'FrameworkInfo.roles' contains invalid role: {why}"))
}

fn failover_timeout(info: &FrameworkInfo) -> Result<(), String> {
    match seconds_as_nanoseconds(info.failover_timeout()) {
        Some(_) => Ok(()),
        None => Err(format!("The framework failover_timeout ({}) is invalid", print::double(info.failover_timeout()))),
    }
}

/// Nothing when 64 bits cannot hold it.
pub fn seconds_as_nanoseconds(seconds: f64) -> Option<i64> {
    let nanoseconds = seconds * 1e9;
    // 2^63, exact as f64, is allowed and saturates.
    (nanoseconds.abs() <= 9_223_372_036_854_775_808.0).then_some(nanoseconds as i64)
}

pub fn offer_filters(filters: &OfferFilters) -> Result<(), String> {
    let Some(minimum) = &filters.min_allocatable_resources else { return Ok(()) };
    for set in &minimum.quantities {
        if set.quantities.is_empty() {
            return Err("Resource quantities must contain at least one quantity".into());
        }
        for (name, quantity) in &set.quantities {
            amount(quantity.value).map_err(|why| format!("Invalid resource quantity for '{name}': {why}"))?;
        }
    }
    Ok(())
}

/// A number that somebody may ask for.
pub fn amount(value: f64) -> Result<(), &'static str> {
    if value.is_infinite() {
        return Err("Infinite values not supported");
    }
    if value.is_nan() {
        return Err("NaN not supported");
    }
    if value.is_subnormal() {
        return Err("Subnormal values not supported");
    }
    if value < 0.0 { Err("Negative values not supported") } else { Ok(()) }
}

/// `roles` are those the framework subscribes to.
pub fn suppressed_roles(suppressed: &[String], roles: &[String]) -> Result<(), String> {
    match suppressed.iter().filter(|role| !roles.contains(role)).min() {
        None => Ok(()),
        Some(foreign) => Err(format!("Suppressed role '{foreign}' is not contained in the list of roles")),
    }
}

/// The shape of constraints; those for roles that the framework is not in have no effect. Regular expressions are
/// judged where they are compiled; `invalid_in_role` wraps that complaint.
pub fn offer_constraints(constraints: &OfferConstraints) -> Result<(), String> {
    for (role, constraints) in &constraints.role_constraints {
        if constraints.groups.is_empty() {
            return Err(format!(
                "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
            ));
        }
        for group in &constraints.groups {
            if group.attribute_constraints.is_empty() {
                // The missing space is in Mesos's text, too.
                return Err(format!(
                    "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty RoleConstraints::Group"
                ));
            }
            for constraint in &group.attribute_constraints {
                attribute_constraint(constraint).map_err(|why| invalid_in_role(role, why))?;
            }
        }
    }
    Ok(())
}

/// Words for a constraint that is wrong in itself.
pub fn invalid_in_role(role: &str, why: &str) -> String {
    format!("A role {role} has an invalid 'AttributeConstraint': {why}")
}

fn attribute_constraint(constraint: &AttributeConstraint) -> Result<(), &'static str> {
    use proto::v1::scheduler::attribute_constraint::{Selector, selector::Selector as Chosen};
    let Selector { selector } = &constraint.selector;
    match selector {
        Some(Chosen::AttributeName(_)) => {}
        Some(Chosen::PseudoattributeType(kind)) => match selector::PseudoattributeType::try_from(*kind) {
            Ok(
                selector::PseudoattributeType::Hostname
                | selector::PseudoattributeType::Region
                | selector::PseudoattributeType::Zone,
            ) => {}
            Ok(selector::PseudoattributeType::Unknown) | Err(_) => return Err("Unknown pseudoattribute type"),
        },
        None => {
            return Err("Exactly one of 'AttributeConstraint::Selector::name' or \
                        'AttributeConstraint::Selector::pseudoattribute_type' must be set");
        }
    }
    if constraint.predicate.predicate.is_none() {
        return Err("Unknown predicate type");
    }
    Ok(())
}

/// Whether a known framework may go on as `new`. Roles, capabilities and the like may change; these may not.
pub fn framework_update(old: &FrameworkInfo, new: &FrameworkInfo) -> Result<(), String> {
    framework_principal(old, new)?;
    if old.user != new.user {
        return Err(format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ));
    }
    if old.checkpoint() != new.checkpoint() {
        return Err(format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{}' to '{}'",
            old.checkpoint(),
            new.checkpoint()
        ));
    }
    Ok(())
}

/// The one change that is refused even to a framework that subscribes again.
pub fn framework_principal(old: &FrameworkInfo, new: &FrameworkInfo) -> Result<(), String> {
    // The old principal is none of the newcomer's business.
    if old.principal == new.principal { Ok(()) } else { Err("Changing framework's principal is not allowed.".into()) }
}

/// Keeps what a framework that subscribes again cannot change.
pub fn preserve_immutable(old: &FrameworkInfo, new: &mut FrameworkInfo) {
    new.user.clone_from(&old.user);
    if old.checkpoint() != new.checkpoint() {
        new.checkpoint = old.checkpoint;
    }
}
