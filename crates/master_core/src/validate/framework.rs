//! Whether a framework may subscribe as it says.

use allocator::{ConstraintLimits, OfferConstraints};
use model::{FrameworkId, capabilities::roles_of, parse::framework};
use proto::v1::FrameworkInfo;

use crate::{Config, State, frameworks::Subscription};

pub(crate) fn check_subscription(config: &Config, state: &State, subscription: &Subscription) -> Result<(), String> {
    check_info(config, state, &subscription.info)?;
    check_options(subscription)
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
    if id.is_some_and(|id| state.completed_frameworks.get(&id).is_some()) {
        return Err("Framework has been removed".to_owned());
    }
    Ok(())
}

/// Suppressed roles and offer constraints.
pub(crate) fn check_options(subscription: &Subscription) -> Result<(), String> {
    let roles = roles_of(&subscription.info);
    let suppressed: Vec<String> = subscription.suppressed.iter().cloned().collect();
    framework::suppressed_roles(&suppressed, &roles)?;
    let Some(constraints) = &subscription.constraints else { return Ok(()) };
    framework::offer_constraints(constraints, &roles)?;
    OfferConstraints::compile(constraints, ConstraintLimits::default())
        .map(drop)
        .map_err(|error| framework::invalid(&error.to_string()))
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
        assert!(check_options(&subscription("*")).is_ok());
        assert_eq!(
            check_options(&subscription("a")),
            Err("Suppressed role 'a' is not contained in the list of roles".to_owned())
        );
    }
}
