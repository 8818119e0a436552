//! Agents go silent, return, or are given up: unreachable, reachable, gone, and the pruning of both lists.

use std::collections::BTreeSet;

use model::AgentId;
use proto::v1;
use stdx::WallTime;

use super::{Mutation, Refusal, agent_id};
use crate::{
    capability,
    document::{Admitted, Registry, Unreachable},
    key::Key,
};

pub(super) fn mark_unreachable(
    registry: &mut Registry,
    agent: &AgentId,
    since: WallTime,
    m: &mut Mutation,
) -> Result<(), Refusal> {
    let Some(Admitted { drain_info, deactivated, .. }) = registry.agents.remove(agent) else {
        return Err(Refusal::NotAdmitted(agent.clone()));
    };
    registry.unreachable.insert(agent.clone(), Unreachable { since, drain_info, deactivated });
    m.touch(Key::Agent(agent.clone()));
    m.touch(Key::Unreachable(agent.clone()));
    Ok(())
}

/// An agent that is on no list is admitted too: its entry may have been pruned while it was away.
pub(super) fn mark_reachable(registry: &mut Registry, info: &v1::AgentInfo, m: &mut Mutation) -> Result<(), Refusal> {
    let agent = agent_id(info)?;
    if registry.agents.contains_key(&agent) {
        return Ok(());
    }
    let (drain_info, deactivated) = match registry.unreachable.remove(&agent) {
        Some(was) => {
            m.touch(Key::Unreachable(agent.clone()));
            (was.drain_info, was.deactivated)
        }
        None => (None, false),
    };
    m.touch(Key::Agent(agent.clone()));
    registry.agents.insert(agent, Admitted { info: info.clone(), drain_info, deactivated });
    Ok(())
}

pub(super) fn mark_gone(
    registry: &mut Registry,
    agent: &AgentId,
    since: WallTime,
    m: &mut Mutation,
) -> Result<(), Refusal> {
    if registry.gone.contains_key(agent) {
        return Err(Refusal::AlreadyGone(agent.clone()));
    }
    if registry.agents.remove(agent).is_some() {
        m.touch(Key::Agent(agent.clone()));
    } else if registry.unreachable.remove(agent).is_some() {
        m.touch(Key::Unreachable(agent.clone()));
    } else {
        return Err(Refusal::UnknownAgent(agent.clone()));
    }
    registry.gone.insert(agent.clone(), since);
    m.touch(Key::Gone(agent.clone()));
    capability::settle_draining(registry, m);
    Ok(())
}

pub(super) fn prune(
    registry: &mut Registry,
    unreachable: &BTreeSet<AgentId>,
    gone: &BTreeSet<AgentId>,
    m: &mut Mutation,
) {
    for agent in unreachable {
        if registry.unreachable.remove(agent).is_some() {
            m.touch(Key::Unreachable(agent.clone()));
        }
    }
    for agent in gone {
        if registry.gone.remove(agent).is_some() {
            m.touch(Key::Gone(agent.clone()));
        }
    }
    capability::settle_draining(registry, m);
}
