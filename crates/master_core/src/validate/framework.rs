//! Whether a framework may subscribe as it says.

use allocator::{ConstraintError, OfferConstraints};
use model::{FrameworkId, capabilities::roles_of, parse::framework};
use proto::v1::FrameworkInfo;

use crate::{Config, State, frameworks::Subscription, weight};

pub(crate) fn check_subscription(config: &Config, state: &State, subscription: &Subscription) -> Result<(), String> {
    check_info(config, state, &subscription.info)?;
    check_suppressed(subscription)?;
    check_weight(config, subscription)?;
    check_constraints(config, subscription)
}

pub(crate) fn check_info(config: &Config, state: &State, info: &FrameworkInfo) -> Result<(), String> {
    framework::framework_info(info)?;
    if let Some(allowed) = &config.roles {
        let wrong: Vec<String> = roles_of(info).into_iter().filter(|role| !allowed.contains(role)).collect();
        if !wrong.is_empty() {
            return Err(format!("Roles {} are not present in the master's --roles", braced(&wrong)));
        }
    }
    if info.user == "root" && !config.root_submissions {
        return Err("User 'root' is not allowed to run frameworks without --root_submissions set".to_owned());
    }
    let id = info.id.as_ref().map(FrameworkId::from);
    if id.is_some_and(|id| state.is_over(&id)) {
        return Err("Framework has been removed".to_owned());
    }
    Ok(())
}

pub(crate) fn check_suppressed(subscription: &Subscription) -> Result<(), String> {
    let suppressed: Vec<String> = subscription.suppressed.iter().cloned().collect();
    framework::suppressed_roles(&suppressed, &roles_of(&subscription.info))
}

pub(crate) fn check_weight(config: &Config, subscription: &Subscription) -> Result<(), String> {
    weight::check_framework(config, &subscription.info, subscription.constraints.as_deref())
}

pub(crate) fn check_constraints(config: &Config, subscription: &Subscription) -> Result<(), String> {
    let Some(constraints) = &subscription.constraints else { return Ok(()) };
    framework::offer_constraints(constraints)?;
    match OfferConstraints::compile(constraints, config.constraint_limits) {
        Ok(_) => Ok(()),
        Err(ConstraintError::Regex { role, regex, why }) => {
            let why = format!("Failed to construct regex from pattern '{regex}': {why}");
            Err(framework::invalid_in_role(&role, &why))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// `{ a, b }`, as Mesos prints sets.
fn braced(items: &[String]) -> String {
    format!("{{ {} }}", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppressed_roles_are_roles_of_the_framework() {
        let subscription = |role: &str| Subscription {
            info: FrameworkInfo { user: "u".into(), name: "n".into(), ..Default::default() },
            suppressed: [role.to_owned()].into(),
            constraints: None,
        };
        assert!(check_suppressed(&subscription("*")).is_ok());
        assert_eq!(
            check_suppressed(&subscription("a")),
            Err("Suppressed role 'a' is not contained in the list of roles".to_owned())
        );
    }
}
