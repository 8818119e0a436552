//! Adds up the records of a journal. What is done with the sum: the parent module.

use super::record::{self, Record};
use crate::{
    container_id::ContainerId,
    state::{Container, Drain, Framework},
    updates::stream::Stream,
};
use model::{FrameworkId, TaskId};
use proto::v1;
use std::{collections::BTreeMap, sync::Arc};

/// What the journal says about the agent's last life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveredState {
    pub(crate) boot_id: Option<String>,
    pub(crate) agent: Option<v1::AgentInfo>,
    pub(crate) drain: Option<Drain>,
    pub(crate) frameworks: BTreeMap<FrameworkId, Arc<Framework>>,
    pub(crate) containers: BTreeMap<ContainerId, Arc<Container>>,
    pub(crate) streams: BTreeMap<(FrameworkId, TaskId), Stream>,
    /// Records that make no sense after those before them.
    pub(crate) oddities: u64,
}

/// Adds up the records of a journal, oldest first.
pub fn replay(records: impl IntoIterator<Item = Record>) -> RecoveredState {
    let mut state = RecoveredState::default();
    for record in records {
        state.apply(record);
    }
    state
}

impl RecoveredState {
    fn apply(&mut self, _record: Record) {}
}
