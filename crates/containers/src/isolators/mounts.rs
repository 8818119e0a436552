//! Mounts of its own: what a container mounts nobody else sees. The files are still the host's. Without privilege it
//! takes a user namespace; where there is none, containers share the host's mounts.

use super::{no_limit, no_wish};
use crate::{
    Class, LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "filesystem/linux",
    wanted: |isolation| isolation.mount_namespace,
    limit: no_limit,
    wish: no_wish,
    make: |_, host| host.namespace(host.isolation.mount_namespace).map(|()| Box::new(Mounts) as _),
};

#[derive(Debug)]
struct Mounts;

impl Isolator for Mounts {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.namespaces.add(libc::CLONE_NEWNS, ask.spec.class != Class::Debug);
        Ok(())
    }
}
