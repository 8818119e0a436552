//! Whether a restarted agent may keep its identity although it is configured otherwise.

use crate::config::ReconfigurationPolicy;
use proto::v1::{AgentInfo, Resource};
use resources::Resources;

/// Says what is not compatible.
pub(super) fn check(policy: ReconfigurationPolicy, former: &AgentInfo, present: &AgentInfo) -> Result<(), String> {
    if former.hostname != present.hostname {
        return Err(format!("the hostname was '{}' and is '{}'", former.hostname, present.hostname));
    }
    if former.port() != present.port() {
        return Err(format!("the port was {} and is {}", former.port(), present.port()));
    }
    let additive = policy == ReconfigurationPolicy::Additive;
    if former.domain != present.domain && !(additive && former.domain.is_none()) {
        return Err("the domain has changed".into());
    }
    let (old, new) = (total(&former.resources)?, total(&present.resources)?);
    let enough = if additive { new.contains(&old) } else { new == old };
    if !enough {
        return Err(format!("the resources were '{old}' and are '{new}'"));
    }
    let kept = former.attributes.iter().all(|attribute| present.attributes.contains(attribute));
    let same = former.attributes == present.attributes;
    if !(same || additive && kept) {
        return Err("the attributes have changed".into());
    }
    Ok(())
}

fn total(resources: &[Resource]) -> Result<Resources, String> {
    Resources::from_protos(resources).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1;

    fn info(cpus: f64) -> AgentInfo {
        let resource =
            v1::Resource { name: "cpus".into(), scalar: Some(v1::value::Scalar { value: cpus }), ..Default::default() };
        AgentInfo { hostname: "h".into(), resources: vec![resource], ..Default::default() }
    }

    #[test]
    fn growth_is_allowed_only_by_the_additive_policy() {
        use ReconfigurationPolicy::{Additive, Equal};
        assert_eq!(check(Equal, &info(2.0), &info(2.0)), Ok(()));
        assert!(check(Equal, &info(2.0), &info(3.0)).is_err());
        assert_eq!(check(Additive, &info(2.0), &info(3.0)), Ok(()));
        assert!(check(Additive, &info(3.0), &info(2.0)).is_err());
        let other = AgentInfo { hostname: "g".into(), ..info(2.0) };
        assert!(check(Additive, &info(2.0), &other).is_err());
    }
}
