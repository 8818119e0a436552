//! Whether an agent may be part of this cluster. What its message must say is `model::parse::registration`'s.

use proto::v1;

/// Whether master and agent can work together at all. A refused agent is not shut down: its tasks run on.
pub(crate) fn check_compatible(
    info: &v1::AgentInfo,
    version: Option<&str>,
    master: &v1::MasterInfo,
    require_domain: bool,
) -> Result<(), String> {
    let version = version.unwrap_or_default();
    let major = version.split('.').next().and_then(|part| part.parse::<u32>().ok());
    match major {
        None => return Err(format!("the agent's version '{version}' is none")),
        Some(0) => return Err(format!("the agent's version {version} is older than 1.0.0")),
        Some(_) => {}
    }
    if info.domain.is_some() && master.domain.is_none() {
        return Err("the agent has a domain and the master has none".to_owned());
    }
    if info.domain.is_none() && require_domain {
        return Err("the agent has no domain, and --require_agent_domain asks for one".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_before_1_0_and_agents_without_a_version_are_not_compatible() {
        let check = |version| check_compatible(&Default::default(), version, &Default::default(), false);
        assert!(check(Some("1.11.0")).is_ok());
        assert!(check(Some("1.0.0-rc1")).is_ok());
        assert!(check(Some("0.28.2")).is_err());
        assert!(check(Some("")).is_err());
        assert!(check(Some("x.1")).is_err());
        assert!(check(None).is_err());
    }

    #[test]
    fn an_agent_with_a_domain_needs_a_master_with_one() {
        let agent = v1::AgentInfo { domain: Some(Default::default()), ..Default::default() };
        let master = v1::MasterInfo { domain: Some(Default::default()), ..Default::default() };
        assert!(check_compatible(&agent, Some("1.11.0"), &Default::default(), false).is_err());
        assert!(check_compatible(&agent, Some("1.11.0"), &master, true).is_ok());
        assert!(check_compatible(&Default::default(), Some("1.11.0"), &master, true).is_err());
    }
}
