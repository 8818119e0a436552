//! A host name of its own. Without privilege it takes a user namespace; where there is none, containers have the host's
//! name.

use super::no_limit;
use crate::{
    Class, LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "namespaces/uts",
    wanted: |isolation| isolation.uts_namespace,
    limit: no_limit,
    wish: |spec| spec.hostname.as_ref().map(|name| format!("the host name '{name}'")),
    make: |_, host| host.namespace(host.isolation.uts_namespace).map(|()| Box::new(Uts) as _),
};

#[derive(Debug)]
struct Uts;

impl Isolator for Uts {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        let spec = ask.spec;
        let own = (!spec.id.is_nested() || spec.hostname.is_some()) && spec.class != Class::Debug;
        plan.namespaces.add(libc::CLONE_NEWUTS, own);
        plan.hostname = spec.hostname.clone();
        Ok(())
    }
}
