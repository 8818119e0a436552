//! Whether the cluster is well: somebody leads, every agent is registered with it, every framework subscribed.

use crate::world::{World, agents::Core, operators::drain::find_inactive};

/// What is not well yet.
pub fn find_wound(world: &World) -> Option<String> {
    let Some(leader) = world.leader() else { return Some("nobody leads".to_owned()) };
    let state = leader.view();
    if let Some(id) = state.recovered_agents.keys().next() {
        return Some(format!("the leader still waits for agent {id}"));
    }
    if leader.allocator().is_recovering() {
        return Some("the leader makes no offers until more agents of before its election are back".to_owned());
    }
    if let Some((id, drain)) = find_inactive(state).find(|(id, _)| state.agents.contains(*id)) {
        return Some(format!("agent {id} is deactivated, draining: {drain:?}"));
    }
    for (index, host) in world.agents.iter().enumerate() {
        let id = match &host.core {
            Core::Down => None,
            Core::Full(agent) => {
                let registered = agent.view().phase == agent_core::Phase::Running;
                agent.view().agent_id.as_ref().filter(|_| registered).map(|id| id.as_str())
            }
            Core::Light(light) => light.id().filter(|_| light.is_registered()).map(|id| id.value.as_str()),
        };
        let Some(id) = id else { return Some(format!("agent {index} is not registered")) };
        if !state.agents.get(id).is_some_and(|row| row.connected) {
            return Some(format!("agent {index} ({id}) is not connected for the leader"));
        }
    }
    if state.agents.len() != world.agents.len() {
        return Some(format!("the leader has {} agents of {}", state.agents.len(), world.agents.len()));
    }
    for (index, host) in world.schedulers.iter().enumerate() {
        let subscribed = host.is_subscribed()
            && host.id.as_ref().and_then(|id| state.frameworks.get(id)).is_some_and(|row| row.is_connected());
        if !subscribed {
            return Some(format!("framework {index} is not subscribed"));
        }
    }
    None
}
