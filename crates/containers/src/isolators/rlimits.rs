//! The resource limits that a container asks for (`setrlimit`). Always at work: without privilege, a hard limit above
//! the agent's own fails the launch.

use super::{no_limit, no_wish};
use crate::{
    LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "posix/rlimits",
    wanted: |_| true,
    limit: no_limit,
    wish: no_wish,
    make: |_, _| Ok(Box::new(Rlimits)),
};

#[derive(Debug)]
struct Rlimits;

impl Isolator for Rlimits {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.rlimits.clone_from(&ask.spec.rlimits);
        Ok(())
    }
}
