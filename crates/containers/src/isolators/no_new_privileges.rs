//! No privileges by executing a program: set-user-id bits and file capabilities do nothing. Needs no privilege.

use super::{no_limit, no_wish};
use crate::{
    LaunchError,
    isolator::{Ask, Isolator, Kind, Plan},
};

pub const KIND: Kind = Kind {
    name: "linux/nnp",
    wanted: |isolation| isolation.no_new_privileges,
    limit: no_limit,
    wish: no_wish,
    make: |_, _| Ok(Box::new(NoNewPrivileges)),
};

#[derive(Debug)]
struct NoNewPrivileges;

impl Isolator for NoNewPrivileges {
    fn prepare(&self, _: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.restrictions.no_new_privileges = true;
        Ok(())
    }
}
