//! After healing everybody sees the same tasks: schedulers, the master, agents, and the executors that do the work.

use std::collections::{BTreeMap, BTreeSet};

use model::{FrameworkId, TaskId};
use proto::v1::TaskState;

use super::Check;
use crate::{
    observation::Fact,
    world::{World, agents::Core, machine::Stage},
};

pub(super) struct Views;

impl Check for Views {
    fn name(&self) -> &'static str {
        "views"
    }

    fn note(&mut self, _: &Fact) -> Result<(), String> {
        Ok(())
    }

    fn at_rest(&mut self, world: &World) -> Result<(), String> {
        find_difference(world).map_or(Ok(()), Err)
    }
}

type Tasks = BTreeMap<(FrameworkId, TaskId), (String, TaskState)>;

/// The first thing that two of them see differently.
pub fn find_difference(world: &World) -> Option<String> {
    let leader = world.leader()?;
    let state = leader.view();
    let mut of_master = Tasks::new();
    for framework in state.frameworks.values() {
        for task in framework.tasks.values() {
            let key = (framework.id.clone(), task.id.clone());
            of_master.insert(key, (task.agent.as_str().to_owned(), task.state()));
        }
    }
    let (of_agents, of_executors) = of_machines(world);
    for (key, seen) in &of_master {
        match of_agents.get(key) {
            None => return Some(format!("the master has task {} on {}, which does not", key.1, seen.0)),
            Some(there) if there != seen => {
                return Some(format!("task {} is {seen:?} for the master and {there:?} for the agent", key.1));
            }
            Some(_) => {}
        }
    }
    let unknown = |key: &(FrameworkId, TaskId)| !of_master.contains_key(key) && !world.late.contains(key);
    if let Some((key, seen)) = of_agents.iter().find(|(key, _)| unknown(key)) {
        return Some(format!("agent {} has task {}, and the master does not", seen.0, key.1));
    }
    let working: BTreeSet<&(FrameworkId, TaskId)> = of_executors.iter().collect();
    let full = |key: &&(FrameworkId, TaskId)| {
        of_agents.get(*key).is_some_and(|(_, state)| !model::task_state::is_terminal(*state))
    };
    if let Some(key) = working.iter().find(|key| !full(key)) {
        return Some(format!("an executor works on task {}, which its agent does not know", key.1));
    }
    if world.scenario.light_agents == 0
        && let Some((key, _)) =
            of_agents.iter().find(|(key, (_, state))| !model::task_state::is_terminal(*state) && !working.contains(key))
    {
        return Some(format!("nobody works on task {}, which its agent has", key.1));
    }
    of_schedulers(world, &of_master)
}

fn of_machines(world: &World) -> (Tasks, Vec<(FrameworkId, TaskId)>) {
    let mut tasks = Tasks::new();
    let mut working = Vec::new();
    for host in &world.agents {
        match &host.core {
            Core::Down => {}
            Core::Full(agent) => {
                let id = agent.view().agent_id.as_ref().map(ToString::to_string).unwrap_or_default();
                for executor in agent.view().executors() {
                    for (task, row) in &executor.tasks {
                        let key = (executor.framework.clone(), task.clone());
                        tasks.insert(key, (id.clone(), row.row.state()));
                    }
                }
            }
            Core::Light(light) => {
                for row in light.tasks() {
                    let key = (FrameworkId::from(&row.framework_id), TaskId::from(&row.task_id));
                    tasks.insert(key, (row.agent_id.value.clone(), row.state()));
                }
            }
        }
        let containers = host.machine.iter().flat_map(|machine| machine.containers.values());
        for container in containers.filter(|container| container.stage == Stage::Running) {
            let Some(executor) = &container.executor else { continue };
            working.extend(executor.live().map(|task| (executor.framework.clone(), task.clone())));
        }
    }
    (tasks, working)
}

fn of_schedulers(world: &World, of_master: &Tasks) -> Option<String> {
    for (index, host) in world.schedulers.iter().enumerate() {
        let Some(id) = &host.id else { continue };
        let own: BTreeMap<TaskId, TaskState> = host.core.tasks().into_iter().collect();
        let there = of_master.iter().filter(|((framework, _), _)| framework == id);
        let there: BTreeMap<&TaskId, TaskState> = there.map(|((_, task), (_, state))| (task, *state)).collect();
        if let Some(task) = own.keys().find(|task| !there.contains_key(task)) {
            return Some(format!("framework {index} has task {task}, and the master does not"));
        }
        if let Some((task, state)) = there.iter().find(|(task, state)| own.get(**task) != Some(state)) {
            return Some(format!("the master has task {task} as {state:?}, framework {index} as {:?}", own.get(*task)));
        }
    }
    None
}
