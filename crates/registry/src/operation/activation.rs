//! An operator takes an agent out of the offers and puts it back, without touching its tasks.

use model::AgentId;

use super::{Mutation, Refusal, drain::find_drain_state};
use crate::{capability, document::Registry};

pub(super) fn deactivate(registry: &mut Registry, agent: &AgentId, m: &mut Mutation) -> Result<(), Refusal> {
    let (_, deactivated, key) = find_drain_state(registry, agent)?;
    if !*deactivated {
        *deactivated = true;
        m.touch(key);
        capability::demand(registry, capability::AGENT_DRAINING, m);
    }
    Ok(())
}

pub(super) fn reactivate(registry: &mut Registry, agent: &AgentId, m: &mut Mutation) -> Result<(), Refusal> {
    let (drain_info, deactivated, key) = find_drain_state(registry, agent)?;
    if *deactivated || drain_info.is_some() {
        *deactivated = false;
        *drain_info = None;
        m.touch(key);
        capability::settle_draining(registry, m);
    }
    Ok(())
}
