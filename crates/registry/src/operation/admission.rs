//! Agents come, change and leave: admit, update, remove.

use model::AgentId;
use proto::v1;

use super::{Mutation, Refusal, agent_id};
use crate::{
    capability,
    document::{Admitted, Registry},
    key::Key,
};

pub(super) fn admit(registry: &mut Registry, info: &v1::AgentInfo, m: &mut Mutation) -> Result<(), Refusal> {
    let agent = agent_id(info)?;
    if registry.agents.contains_key(&agent) {
        return Err(Refusal::AlreadyAdmitted(agent));
    }
    m.touch(Key::Agent(agent.clone()));
    registry.agents.insert(agent, Admitted { info: info.clone(), drain_info: None, deactivated: false });
    Ok(())
}

pub(super) fn update(registry: &mut Registry, info: &v1::AgentInfo, m: &mut Mutation) -> Result<(), Refusal> {
    let agent = agent_id(info)?;
    let Some(admitted) = registry.agents.get_mut(&agent) else { return Err(Refusal::NotAdmitted(agent)) };
    if admitted.info != *info {
        admitted.info = info.clone();
        m.touch(Key::Agent(agent));
    }
    Ok(())
}

pub(super) fn remove(registry: &mut Registry, agent: &AgentId, m: &mut Mutation) -> Result<(), Refusal> {
    if registry.agents.remove(agent).is_none() {
        return Err(Refusal::NotAdmitted(agent.clone()));
    }
    m.touch(Key::Agent(agent.clone()));
    capability::settle_draining(registry, m);
    Ok(())
}
