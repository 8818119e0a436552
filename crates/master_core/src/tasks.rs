//! Tasks and executors after their launch: what agents report, what the master decides, and how both end.

mod executors;
pub(crate) mod status;
mod update;

use std::collections::BTreeSet;

use allocator::Allocator;
use model::{AgentId, FrameworkId};

use crate::{
    Config, Master,
    counters::Counters,
    state::{Agent, Framework, Table},
};

/// What begins, runs and ends on agents, and all that it may change.
pub(crate) struct Tasks<'a> {
    pub(crate) config: &'a Config,
    pub(crate) frameworks: &'a mut Table<FrameworkId, Framework>,
    pub(crate) agents: &'a mut Table<AgentId, Agent>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) allocator: &'a mut Allocator,
    /// Draining agents that may have become empty.
    pub(crate) emptied: &'a mut BTreeSet<AgentId>,
}

impl Master {
    pub(crate) fn tasks(&mut self) -> Tasks<'_> {
        Tasks {
            config: &self.config,
            frameworks: &mut self.state.frameworks,
            agents: &mut self.state.agents,
            counters: &mut self.state.counters,
            allocator: &mut self.allocator,
            emptied: &mut self.pending.emptied,
        }
    }
}
