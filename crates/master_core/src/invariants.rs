//! What must hold after every step. Tests and simulations ask; production does not pay for it.

use std::{collections::BTreeMap, sync::Arc};

use resources::Resources;

use crate::{Master, state::State};

impl Master {
    /// Like `check`, and that the allocator has the same in its books.
    pub fn check_invariants(&mut self) -> Result<(), String> {
        check(&self.state)?;
        self.allocator.check_invariants()?;
        for (id, agent) in self.state.agents.iter() {
            let total = self.allocator.total(id);
            require(total == Some(&agent.total), || format!("the allocator has {total:?} of agent {id}"))?;
            let mut expected = self.state.used_on(agent);
            for offer in agent.offers.iter().filter_map(|offer| self.state.offers.get(offer)) {
                *expected.entry(offer.framework.clone()).or_default() += &offer.resources;
            }
            for framework in self.state.frameworks.keys() {
                let resources = expected.remove(framework).unwrap_or_default();
                let ours: BTreeMap<Arc<str>, Resources> = resources
                    .allocations()
                    .into_iter()
                    .map(|(role, held)| (Arc::from(&*role), held.unallocate()))
                    .collect();
                let theirs = self.allocator.held(framework, id);
                require(ours == theirs, || {
                    format!("framework {framework} holds {ours:?} on {id}, and for the allocator {theirs:?}")
                })?;
            }
            let waits = self.pending.is_in_transition(id) || self.pending.draining.contains(id);
            require(!agent.is_draining() || !agent.is_empty() || waits || !self.state.is_leading(), || {
                format!("agent {id} is empty, and still draining")
            })?;
            require(expected.is_empty(), || format!("unknown frameworks hold {expected:?} on {id}"))?;
        }
        Ok(())
    }
}

/// The first thing that is wrong, in words.
pub(crate) fn check(state: &State) -> Result<(), String> {
    check_agents(state)?;
    check_frameworks(state)?;
    check_offers(state)?;
    check_inverse_offers(state)?;
    check_operations(state)
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn check_agents(state: &State) -> Result<(), String> {
    for (id, agent) in state.agents.iter() {
        require(agent.id == *id, || format!("agent {id} stands under another id"))?;
        require(state.registry.agents.contains_key(id), || format!("agent {id} is not in the registry"))?;
        let registered = state.registry.agents.get(id).map(|row| (row.deactivated, row.drain_info));
        require(registered == Some((agent.deactivated, agent.drain_info)), || {
            format!(
                "agent {id} is {registered:?} in the registry, and here {:?}",
                (agent.deactivated, agent.drain_info)
            )
        })?;
        require(!state.recovered_agents.contains(id), || format!("agent {id} is registered and recovering"))?;
        for (framework, task) in &agent.tasks {
            let row = state.find_task(framework, task);
            require(row.is_some_and(|task| task.agent == *id), || format!("agent {id} names task {task} in vain"))?;
        }
        for (framework, executor) in agent.executors.keys() {
            let row = state.frameworks.get(framework);
            let known = row.is_some_and(|row| row.executors.contains(&(id.clone(), executor.clone())));
            require(known, || format!("executor {executor} on {id} is unknown to framework {framework}"))?;
        }
        for offer in &agent.offers {
            let row = state.offers.get(offer);
            require(row.is_some_and(|offer| offer.agent == *id), || format!("agent {id} names offer {offer} in vain"))?;
        }
        require(agent.is_active() || agent.offers.is_empty(), || format!("inactive agent {id} is on offer"))?;
        let used = state.used_on(agent).into_values().sum::<Resources>().unallocate().non_shared();
        let offered = state.offered_on(agent).unallocate().non_shared();
        let total = agent.total.non_shared();
        require((&total - &used).contains(&offered), || {
            format!("agent {id} has {total}, {used} is used, and {offered} is on offer")
        })?;
        // An agent may come back with less than it runs.
        require(agent.reregistered.is_some() || total.contains(&used), || {
            format!("agent {id} has {total}, and {used} is used")
        })?;
    }
    Ok(())
}

fn check_frameworks(state: &State) -> Result<(), String> {
    for (id, framework) in state.frameworks.iter() {
        require(framework.id == *id, || format!("framework {id} stands under another id"))?;
        let info_id = framework.info.id.as_ref().is_some_and(|info| framework.id == *info);
        require(info_id, || format!("framework {id} has another id in its info"))?;
        require(state.completed_frameworks.get(id).is_none(), || format!("framework {id} lives and is completed"))?;
        require(framework.is_active() || framework.offers.is_empty(), || {
            format!("framework {id} is not connected and has offers")
        })?;
        for (task, row) in framework.tasks.iter() {
            let agent = state.agents.get(&row.agent);
            let known = agent.is_some_and(|agent| agent.tasks.contains(&(id.clone(), task.clone())));
            require(known, || format!("task {task} is unknown to its agent {}", row.agent))?;
            require(framework.unreachable_tasks.get(task).is_none(), || {
                format!("task {task} is live and unreachable")
            })?;
        }
        for (agent, executor) in &framework.executors {
            require(state.find_executor(agent, id, executor).is_some(), || {
                format!("framework {id} names executor {executor} on {agent} in vain")
            })?;
        }
        for offer in &framework.offers {
            let row = state.offers.get(offer);
            require(row.is_some_and(|offer| offer.framework == *id), || {
                format!("framework {id} names offer {offer} in vain")
            })?;
        }
    }
    Ok(())
}

fn check_offers(state: &State) -> Result<(), String> {
    for (id, offer) in state.offers.iter() {
        let framework = state.frameworks.get(&offer.framework);
        require(framework.is_some_and(|row| row.offers.contains(id)), || {
            format!("offer {id} is unknown to framework {}", offer.framework)
        })?;
        let agent = state.agents.get(&offer.agent);
        require(agent.is_some_and(|row| row.offers.contains(id)), || {
            format!("offer {id} is unknown to agent {}", offer.agent)
        })?;
        require(!offer.resources.is_empty(), || format!("offer {id} is empty"))?;
        let allocated = offer.resources.iter().all(|r| r.allocation_role() == Some(&*offer.role));
        require(allocated, || format!("offer {id} for role {} holds resources of another", offer.role))?;
    }
    Ok(())
}

fn check_inverse_offers(state: &State) -> Result<(), String> {
    for (id, offer) in state.inverse_offers.iter() {
        let framework = state.frameworks.get(&offer.framework);
        require(framework.is_some_and(|row| row.is_connected() && row.inverse_offers.contains(id)), || {
            format!("inverse offer {id} is unknown to framework {}", offer.framework)
        })?;
        let agent = state.agents.get(&offer.agent);
        require(agent.is_some_and(|row| row.connected && row.inverse_offers.contains(id)), || {
            format!("inverse offer {id} is unknown to agent {}", offer.agent)
        })?;
        let planned = agent.and_then(|agent| state.unavailability_of(agent));
        require(planned == Some(offer.unavailability), || format!("inverse offer {id} names a plan that is no more"))?;
    }
    let named = |count: usize, of: &str| {
        require(count == state.inverse_offers.len(), || format!("{of} name {count} inverse offers"))
    };
    named(state.frameworks.values().map(|row| row.inverse_offers.len()).sum(), "frameworks")?;
    named(state.agents.values().map(|row| row.inverse_offers.len()).sum(), "agents")
}

fn check_operations(state: &State) -> Result<(), String> {
    for (uuid, operation) in state.operations.iter() {
        let agent = state.agents.get(&operation.agent);
        require(agent.is_some_and(|row| row.operations.contains(uuid)), || {
            format!("an operation is unknown to its agent {}", operation.agent)
        })?;
        let framework = operation.framework.as_ref().and_then(|id| state.frameworks.get(id));
        require(framework.is_none_or(|row| row.operations.contains(uuid)), || {
            format!("an operation on {} is unknown to its framework", operation.agent)
        })?;
    }
    let of_agents: usize = state.agents.values().map(|row| row.operations.len()).sum();
    require(of_agents == state.operations.len(), || format!("agents name {of_agents} operations"))?;
    for (id, framework) in state.frameworks.iter() {
        let known = framework.operations.iter().all(|uuid| state.operations.contains(uuid));
        require(known, || format!("framework {id} names an operation in vain"))?;
    }
    Ok(())
}
