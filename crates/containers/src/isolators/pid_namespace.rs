//! Processes of its own: a container sees and signals nobody else, and ends as a whole when its first process does.
//! Without privilege it takes a user namespace; where there is none, cgroups or a search in `/proc` end what is left.

use super::no_limit;
use crate::{
    Class, LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "namespaces/pid",
    wanted: |isolation| isolation.pid_namespace,
    limit: no_limit,
    wish: super::no_wish,
    make: |_, host| host.namespace(host.isolation.pid_namespace).map(|()| Box::new(PidNamespace) as _),
};

#[derive(Debug)]
struct PidNamespace;

impl Isolator for PidNamespace {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        let own = !ask.spec.share_pid_namespace && ask.spec.class != Class::Debug;
        plan.namespaces.add(libc::CLONE_NEWPID, own);
        Ok(())
    }
}
