//! Capabilities: the most that containers may have, and what one gets of it.

use crate::Config;
use kernel::capabilities::{Bounds, Capabilities, Capability};

/// What a program of root commonly needs among its own files and processes, and nothing that reaches the machine.
pub const DEFAULT: Capabilities = Capabilities::of(&[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::SysChroot,
    Capability::AuditWrite,
    Capability::Setfcap,
]);

/// What one container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CapabilityWish {
    /// To start with, also as a user other than root.
    pub effective: Option<Capabilities>,
    /// At most, for it and for what it executes.
    pub bounding: Option<Capabilities>,
}

/// What a container gets; `permitted` is what the agent itself has to give.
pub fn bounds(wish: CapabilityWish, config: &Config, permitted: Capabilities) -> Result<Bounds, String> {
    let allowed = config.bounding_capabilities.unwrap_or(DEFAULT);
    let bounding = wish.bounding.unwrap_or(allowed);
    let asked = wish.effective.or(config.effective_capabilities);
    let effective = asked.unwrap_or(bounding);
    let too_many = bounding.without(allowed);
    if !too_many.is_empty() {
        return Err(format!("the agent's --bounding_capabilities do not allow {too_many}"));
    }
    let too_many = effective.without(bounding);
    if !too_many.is_empty() {
        let whose = if wish.bounding.is_some() { "its own bounding set does" } else { "--bounding_capabilities do" };
        return Err(format!("{whose} not allow {too_many}"));
    }
    let given = |set: Capabilities| Capabilities(set.0 & permitted.0);
    Ok(Bounds {
        bounding: given(bounding),
        effective: given(effective),
        ambient: given(asked.unwrap_or(Capabilities::NONE)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[Capability]) -> Option<Capabilities> {
        Some(Capabilities::of(list))
    }

    #[test]
    fn a_container_gets_what_it_asks_for_within_what_the_agent_allows() {
        let config = Config::new("/x");
        let ask = |effective, bounding| bounds(CapabilityWish { effective, bounding }, &config, Capabilities::ALL);
        let all = ask(None, None).unwrap();
        assert_eq!((all.bounding, all.effective, all.ambient), (DEFAULT, DEFAULT, Capabilities::NONE));
        let raw = Capabilities::of(&[Capability::NetRaw]);
        let some = ask(Some(raw), None).unwrap();
        assert_eq!((some.bounding, some.effective, some.ambient), (DEFAULT, raw, raw));
        let refused = ask(of(&[Capability::SysAdmin, Capability::Chown]), None).unwrap_err();
        assert_eq!(refused, "--bounding_capabilities do not allow SYS_ADMIN");
        assert!(ask(None, of(&[Capability::SysTime])).unwrap_err().contains("SYS_TIME"));
        assert!(ask(of(&[Capability::Chown]), Some(raw)).unwrap_err().starts_with("its own bounding set"));
    }

    #[test]
    fn nothing_is_given_that_the_agent_has_not() {
        let config = Config { bounding_capabilities: Some(Capabilities::ALL), ..Config::new("/x") };
        let own = Capabilities::of(&[Capability::Kill]);
        let given = bounds(CapabilityWish::default(), &config, own).unwrap();
        assert_eq!((given.bounding, given.effective), (own, own));
    }
}
