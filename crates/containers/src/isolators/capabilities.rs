//! Capabilities: the most that containers may have, and what one gets of it. Where root's files would give them back,
//! `/proc` and `/sys` are there to read only. Without privilege containers have none.

use super::no_limit;
use crate::{
    CapabilityWish, Gap, LaunchError, LaunchSpec,
    isolator::{Ask, Isolator, Kind, Plan},
};
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

pub const KIND: Kind = Kind {
    name: "linux/capabilities",
    wanted: |isolation| isolation.capabilities,
    limit: no_limit,
    wish,
    make: |config, host| {
        let (bounding, effective) = (config.bounding_capabilities.unwrap_or(DEFAULT), config.effective_capabilities);
        Ok(Box::new(Limited { bounding, effective, permitted: host.capabilities }))
    },
};

#[derive(Debug)]
struct Limited {
    /// The most that a container may ask for.
    bounding: Capabilities,
    /// Those that a container starts with if it asks for none.
    effective: Option<Capabilities>,
    /// What the agent itself has to give, if it has any.
    permitted: Option<Capabilities>,
}

impl Isolator for Limited {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        let Some(permitted) = self.permitted else {
            // Whom the kernel gives none, none have to be taken from.
            plan.gaps.extend(wish(ask.spec).map(|asked| Gap {
                isolator: KIND.name.to_owned(),
                asked,
                why: "the agent does not run as root and has none to give".to_owned(),
            }));
            return Ok(());
        };
        let what = "the container's capabilities".to_owned();
        let bounds = bounds(ask.spec.capabilities, self.bounding, self.effective, permitted);
        plan.restrictions.capabilities = Some(bounds.map_err(|why| LaunchError::Refused { what, why })?);
        // Who is not root, and cannot become it, may not write there anyway.
        let may_be_root = ask.user.is_none_or(|user| user.uid == 0) || !plan.restrictions.no_new_privileges;
        plan.restrictions.kernel_files = plan.namespaces.owns(libc::CLONE_NEWNS) && may_be_root;
        Ok(())
    }
}

fn wish(spec: &LaunchSpec) -> Option<String> {
    let CapabilityWish { effective, bounding } = spec.capabilities;
    match (effective, bounding) {
        (Some(effective), _) => Some(format!("the capabilities {effective}")),
        (None, Some(bounding)) if bounding.is_empty() => Some("no capabilities".to_owned()),
        (None, Some(bounding)) => Some(format!("at most the capabilities {bounding}")),
        (None, None) => None,
    }
}

/// What a container gets; `permitted` is what the agent itself has to give.
fn bounds(
    wish: CapabilityWish,
    allowed: Capabilities,
    usual: Option<Capabilities>,
    permitted: Capabilities,
) -> Result<Bounds, String> {
    let bounding = wish.bounding.unwrap_or(allowed);
    let asked = wish.effective.or(usual);
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
        let ask =
            |effective, bounding| bounds(CapabilityWish { effective, bounding }, DEFAULT, None, Capabilities::ALL);
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
        let own = Capabilities::of(&[Capability::Kill]);
        let given = bounds(CapabilityWish::default(), Capabilities::ALL, None, own).unwrap();
        assert_eq!((given.bounding, given.effective), (own, own));
    }
}
