//! Containers: they take a moment to start, run an executor, end, and are remembered until the agent has heard of it.

use std::time::Duration;

use agent_core::{ConnectionId, ContainerId, Event, Found, LaunchFailure, LaunchSpec, Launched, Life, Termination};

use super::{Machine, World};
use crate::{
    observation::Fact,
    world::{driver, executor::Executor, happening::Local},
};

/// The word of wait(2) after SIGKILL.
const KILLED: i32 = 9;

pub(crate) struct Container {
    pub stage: Stage,
    /// A launch that is to be given up.
    doomed: bool,
    pub executor: Option<Executor>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    Launching,
    Running,
    /// `Ended` is on its way.
    Ending,
    Ended(Termination),
}

impl Machine {
    pub fn find_containers(&self) -> Vec<Found> {
        let found = self.containers.iter().filter_map(|(id, container)| {
            let life = match &container.stage {
                Stage::Launching => return None,
                Stage::Running | Stage::Ending => Life::Running { pid: Some(7) },
                Stage::Ended(termination) => Life::Ended(termination.clone()),
            };
            Some(Found { container: id.clone(), life, sandbox: None })
        });
        found.collect()
    }

    pub fn forget(&mut self, container: &ContainerId) {
        if self.containers.get(container).is_some_and(|row| matches!(row.stage, Stage::Ended(_))) {
            self.containers.remove(container);
        }
    }
}

impl World {
    pub(crate) fn launch_container(&mut self, agent: u32, spec: LaunchSpec) {
        let id = spec.container.clone();
        let checkpoints = spec.environment.iter().any(|(name, value)| name == "MESOS_CHECKPOINT" && value == "1");
        let executor = World::names_of(&spec).map(|(framework, executor)| {
            let kind = match spec.program {
                agent_core::Program::Executor(kind) => kind,
                _ => agent_core::ExecutorKind::Custom,
            };
            let is_v0 = kind == agent_core::ExecutorKind::Custom && driver::is_v0(&id);
            Executor::new(framework, executor, kind, checkpoints, is_v0)
        });
        let wait = Duration::from_millis(2 + self.draws.machines.below(40));
        let launch_fail = self.scenario.faults.launch_fail;
        let fails = !self.faults.calm && launch_fail > 0.0 && self.draws.machines.unit() < launch_fail;
        let Some(machine) = self.machine(agent) else { return };
        let recorded = !checkpoints || machine.disk.knows_container(&id);
        let container = Container { stage: Stage::Launching, doomed: false, executor };
        let twice = machine.containers.insert(id.clone(), container).is_some();
        self.fact(Fact::ContainerLaunched { agent, container: id.clone(), recorded, twice });
        self.plan(agent, wait, Local::Launched { container: id, fails });
    }

    pub(crate) fn on_container_launched(&mut self, agent: u32, id: &ContainerId, fails: bool) {
        let Some(machine) = self.machine(agent) else { return };
        let Some(container) = machine.containers.get_mut(id).filter(|row| row.stage == Stage::Launching) else {
            return;
        };
        let fails = fails || container.doomed;
        let outcome = if fails {
            machine.containers.remove(id);
            Err(LaunchFailure { message: "no room for another process".into(), ..LaunchFailure::default() })
        } else {
            container.stage = Stage::Running;
            Ok(Launched { pid: Some(7) })
        };
        self.step_agent(agent, Event::Launched { container: id.clone(), outcome });
        if !fails {
            self.plan(agent, Duration::from_millis(1), Local::Executor(id.clone()));
        }
    }

    pub(crate) fn is_v0(&mut self, agent: u32, id: &ContainerId) -> bool {
        let row = self.machine(agent).and_then(|machine| machine.containers.get(id));
        row.and_then(|row| row.executor.as_ref()).is_some_and(|executor| executor.is_v0)
    }

    /// The agent's process died while it launched something: that came to be, or not.
    pub(crate) fn settle_launches(&mut self, agent: u32) {
        let Some(machine) = self.machine(agent) else { return };
        let launching = machine.containers.iter().filter(|(_, row)| row.stage == Stage::Launching);
        let launching: Vec<ContainerId> = launching.map(|(id, _)| id.clone()).collect();
        for id in launching {
            let lives = self.draws.machines.below(2) == 0;
            let Some(machine) = self.machine(agent) else { return };
            if lives && let Some(row) = machine.containers.get_mut(&id) {
                row.stage = Stage::Running;
                self.plan(agent, Duration::from_millis(1), Local::Executor(id));
            } else {
                machine.containers.remove(&id);
            }
        }
    }

    pub(crate) fn destroy_container(&mut self, agent: u32, id: &ContainerId) {
        let Some(machine) = self.machine(agent) else { return };
        let Some(row) = machine.containers.get_mut(id) else { return };
        match row.stage {
            Stage::Launching => row.doomed = true,
            Stage::Running => {
                let termination = Termination { status: Some(KILLED), ..Termination::default() };
                self.end_container(agent, id, termination, Duration::from_millis(3));
            }
            Stage::Ending | Stage::Ended(_) => {}
        }
    }

    /// All processes of a container end; the agent hears of it after `wait`.
    pub(crate) fn end_container(&mut self, agent: u32, id: &ContainerId, termination: Termination, wait: Duration) {
        let Some(mut row) = self.machine(agent).and_then(|machine| machine.containers.remove(id)) else { return };
        if row.stage == Stage::Running {
            row.stage = Stage::Ending;
            self.stop_tasks(agent, id, &mut row);
            self.close_streams_of(agent, id);
            self.plan(agent, wait, Local::Ended { container: id.clone(), termination });
        }
        if let Some(machine) = self.machine(agent) {
            machine.containers.insert(id.clone(), row);
        }
    }

    fn close_streams_of(&mut self, agent: u32, id: &ContainerId) {
        let life = self.agents[agent as usize].life;
        let Some(machine) = self.machine(agent) else { return };
        let conns: Vec<ConnectionId> =
            machine.conns.iter().filter(|(_, of)| *of == id).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.plan(agent, World::LOOPBACK, Local::Closed { life, conn });
        }
    }

    pub(crate) fn on_container_ended(&mut self, agent: u32, id: &ContainerId, termination: Termination) {
        let Some(machine) = self.machine(agent) else { return };
        let Some(row) = machine.containers.get_mut(id) else { return };
        row.stage = Stage::Ended(termination.clone());
        if self.agents[agent as usize].is_up() {
            self.step_agent(agent, Event::Terminated { container: id.clone(), termination });
            self.plan_forgetting(agent, id);
        }
    }

    /// What a starting agent was told of is told once.
    pub(crate) fn forget_found(&mut self, agent: u32) {
        let Some(machine) = self.machine(agent) else { return };
        let ended = machine.containers.iter().filter(|(_, row)| matches!(row.stage, Stage::Ended(_)));
        let ended: Vec<ContainerId> = ended.map(|(id, _)| id.clone()).collect();
        for id in ended {
            self.plan_forgetting(agent, &id);
        }
    }

    /// Some seconds after it has told of it, an agent's program forgets a container; if it lives that long.
    fn plan_forgetting(&mut self, agent: u32, id: &ContainerId) {
        let life = self.agents[agent as usize].life;
        self.plan(agent, Duration::from_secs(2), Local::Forgotten { life, container: id.clone() });
    }

    /// The work of a container is over, whoever ended it.
    pub(crate) fn stop_tasks(&mut self, agent: u32, id: &ContainerId, container: &mut Container) {
        let Some(executor) = &mut container.executor else { return };
        let framework = executor.framework.clone();
        for task in executor.take_live() {
            self.fact(Fact::TaskStopped { agent, container: id.clone(), framework: framework.clone(), task });
        }
    }
}
