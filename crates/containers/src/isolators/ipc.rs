//! IPC objects of its own, and a `/dev/shm` of its own that is as large as its memory and charged to it. Without
//! privilege it takes a user namespace; where there is none, containers share the host's.

use super::{memory::MemoryShape, no_limit};
use crate::{
    Class, IpcMode, LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "namespaces/ipc",
    wanted: |isolation| isolation.ipc_namespace,
    limit: no_limit,
    wish: |spec| match (spec.ipc, spec.shm_bytes) {
        (IpcMode::Private, _) => Some("IPC objects and a /dev/shm of its own".to_owned()),
        (_, Some(bytes)) => Some(format!("a /dev/shm of {} MiB", bytes >> 20)),
        _ => None,
    },
    make: |_, host| host.namespace(host.isolation.ipc_namespace).map(|()| Box::new(Ipc) as _),
};

#[derive(Debug)]
struct Ipc;

impl Isolator for Ipc {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        let own = ask.spec.class != Class::Debug
            && match ask.spec.ipc {
                IpcMode::Private => true,
                // Beside its parent there is no way to what the parent has.
                IpcMode::Unset => !ask.spec.id.is_nested() || ask.user_namespace,
                IpcMode::ShareParent => false,
            };
        plan.namespaces.add(libc::CLONE_NEWIPC, own);
        if own {
            plan.own_shm = plan.namespaces.owns(libc::CLONE_NEWNS);
            let memory = MemoryShape::new(&ask.spec.limits).hard.filter(|bytes| *bytes != u64::MAX);
            plan.shm_bytes = ask.spec.shm_bytes.or(memory);
        }
        Ok(())
    }
}
