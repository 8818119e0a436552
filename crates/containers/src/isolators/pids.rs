//! How many processes and threads a container may have, so that a fork bomb is its own affair. Without privilege it
//! needs cgroups that the agent's user may write; else there is the user's own limit only.

use super::{no_limit, no_wish};
use crate::{
    LaunchError, Limits,
    cgroups::{Controller, Root},
    isolator::{Ask, Isolator, Kind, Plan, Subject},
};
use kernel::files;
use std::io;

pub const KIND: Kind = Kind {
    name: "cgroups/pids",
    wanted: |isolation| isolation.pids,
    limit: no_limit,
    wish: no_wish,
    make: |config, host| Ok(Box::new(Pids { root: host.controller(Controller::Pids)?, most: config.pids_limit })),
};

#[derive(Debug)]
struct Pids {
    root: Root,
    most: Option<u64>,
}

impl Isolator for Pids {
    fn enforces(&self) -> Result<(), String> {
        self.most.map(drop).ok_or_else(|| "--pids_limit is 0, no limit".to_owned())
    }

    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.own_limits |= !ask.shares_cgroups;
        Ok(())
    }

    fn isolate(&self, container: Subject<'_>, _: &Limits) -> io::Result<()> {
        let (Some(most), Some(directory)) = (self.most, container.limited_in(&self.root)) else { return Ok(()) };
        // Versions 1 and 2 have the same file.
        files::write_control(&directory.join("pids.max"), &most.to_string())
    }
}
