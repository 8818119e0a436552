//! An agent is emptied of its tasks. Works for admitted and unreachable agents alike.

use model::AgentId;
use proto::v1;

use super::{Mutation, Refusal};
use crate::{capability, document::Registry, key::Key};

pub(super) fn drain(
    registry: &mut Registry,
    agent: &AgentId,
    max_grace_period: Option<&v1::DurationInfo>,
    mark_gone: bool,
    m: &mut Mutation,
) -> Result<(), Refusal> {
    let config = v1::DrainConfig { max_grace_period: max_grace_period.copied(), mark_gone: Some(mark_gone) };
    let info = v1::DrainInfo { state: v1::DrainState::Draining as i32, config };
    let (drain_info, deactivated, key) = find_drain_state(registry, agent)?;
    *drain_info = Some(info);
    *deactivated = true;
    m.touch(key);
    capability::demand(registry, capability::AGENT_DRAINING, m);
    Ok(())
}

pub(super) fn mark_drained(registry: &mut Registry, agent: &AgentId, m: &mut Mutation) -> Result<(), Refusal> {
    let (drain_info, _, key) = find_drain_state(registry, agent)?;
    let Some(info) = drain_info else { return Err(Refusal::NotDraining(agent.clone())) };
    let drained = v1::DrainState::Drained as i32;
    if info.state != drained {
        info.state = drained;
        m.touch(key);
    }
    Ok(())
}

/// The drain information, the deactivation and the key of an agent, wherever it is listed.
pub(super) fn find_drain_state<'a>(
    registry: &'a mut Registry,
    agent: &AgentId,
) -> Result<(&'a mut Option<v1::DrainInfo>, &'a mut bool, Key), Refusal> {
    if let Some(admitted) = registry.agents.get_mut(agent) {
        return Ok((&mut admitted.drain_info, &mut admitted.deactivated, Key::Agent(agent.clone())));
    }
    match registry.unreachable.get_mut(agent) {
        Some(entry) => Ok((&mut entry.drain_info, &mut entry.deactivated, Key::Unreachable(agent.clone()))),
        None => Err(Refusal::UnknownAgent(agent.clone())),
    }
}
