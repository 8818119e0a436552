//! An agent's machine: a disk that loses the last unsynced writes at a crash, and containers that outlive the agent's
//! process but no reboot. What runs in a container is `executor`'s.

mod containers;
mod disk;

use std::{collections::BTreeMap, time::Duration};

use agent_core::{Caller, ConnectionId, ContainerId, Effect, Event, FrameworkPhase, Reply, RequestId, replay};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId, TaskId};
use proto::v1;

use super::{
    World,
    happening::{Happening, Life, Local, MachineEvent},
};
use crate::observation::Fact;
pub(crate) use containers::{Container, Stage};
use disk::Disk;

#[derive(Default)]
pub(crate) struct Machine {
    pub boot: Life,
    pub disk: Disk,
    pub containers: BTreeMap<ContainerId, Container>,
    /// The executors' open streams.
    conns: BTreeMap<ConnectionId, ContainerId>,
    reqs: BTreeMap<RequestId, ContainerId>,
}

impl Machine {
    /// A v0 executor has registered; it has no more than one connection.
    pub fn hold(&mut self, conn: Option<ConnectionId>, container: &ContainerId) {
        if let Some(conn) = conn {
            self.conns.retain(|_, held| held != container);
            self.conns.insert(conn, container.clone());
        }
    }
}

impl World {
    pub(crate) fn machine(&mut self, agent: u32) -> Option<&mut Machine> {
        self.agents[agent as usize].machine.as_deref_mut()
    }

    /// Something will happen on this machine, unless it is rebooted before.
    pub(crate) fn plan(&mut self, agent: u32, wait: Duration, what: Local) {
        let Some(boot) = self.machine(agent).map(|machine| machine.boot) else { return };
        self.heap.put(self.now + wait, Happening::Machine(Box::new(MachineEvent { agent, boot, what })));
    }

    /// How long a message takes on one machine: always the same, so that none overtakes another.
    pub(crate) const LOOPBACK: Duration = Duration::from_micros(150);

    /// What an agent's process finds when it starts.
    pub(crate) fn take_up_machine(&mut self, agent: u32) -> Event {
        let Some(machine) = self.machine(agent) else { return Event::Wake };
        let state = Box::new(replay(machine.disk.records()));
        let found = machine.find_containers();
        let boot_id = format!("boot-{}", machine.boot);
        self.forget_found(agent);
        if state.oddities() > 0 {
            let oddities = state.oddities();
            self.show_odd_record(agent);
            self.fact(Fact::AgentRecovered { agent, forgot: Vec::new(), oddities });
        }
        Event::Recovered { state, found, boot_id }
    }

    /// Prints the first record that makes no sense, and those before it.
    fn show_odd_record(&mut self, agent: u32) {
        let Some(records) = self.machine(agent).map(|machine| machine.disk.records()) else { return };
        let odd = (1..=records.len()).find(|end| replay(records[..*end].iter().cloned()).oddities() > 0);
        for record in records.iter().take(odd.unwrap_or(0)).skip(odd.unwrap_or(0).saturating_sub(40)) {
            self.say(|| format!("agent {agent} has the record {record:?}"));
        }
    }

    /// Whether all that runs and that the journal knows is known again.
    pub(crate) fn check_recovered(&mut self, agent: u32) {
        if self.watched.is_none() {
            return;
        }
        let host = &self.agents[agent as usize];
        let (Some(machine), Some(core)) = (&host.machine, host.full()) else { return };
        let known: Vec<&ContainerId> = core.view().executors().map(|row| &row.container).collect();
        let forgot: Vec<ContainerId> = machine
            .containers
            .iter()
            .filter(|(id, container)| container.stage == Stage::Running && machine.disk.knows_container(id))
            .filter(|(id, _)| !known.contains(id))
            .map(|(id, _)| id.clone())
            .collect();
        self.fact(Fact::AgentRecovered { agent, forgot, oddities: 0 });
    }

    /// The agent's process is gone: its executors lose their streams, its last writes may be lost.
    pub(crate) fn cut_off_machine(&mut self, agent: u32) {
        let keep = self.draws.machines.next_u64();
        let Some(machine) = self.machine(agent) else { return };
        machine.disk.crash(keep);
        let conns = std::mem::take(&mut machine.conns);
        let reqs = std::mem::take(&mut machine.reqs);
        for (conn, container) in conns {
            self.plan(agent, World::LOOPBACK, Local::StreamEnds { container, conn });
        }
        for (req, container) in reqs {
            self.plan(agent, World::LOOPBACK, Local::Answer { container, req, reply: None });
        }
        self.settle_launches(agent);
    }

    /// Power off and on: the disk stays, everything else goes.
    pub(crate) fn reboot(&mut self, agent: u32) {
        let Some(machine) = self.machine(agent) else { return };
        machine.boot += 1;
        let containers = std::mem::take(&mut machine.containers);
        for (id, mut container) in containers {
            self.stop_tasks(agent, &id, &mut container);
        }
    }

    /// The machine is set up anew.
    pub(crate) fn wipe_machine(&mut self, agent: u32) {
        self.reboot(agent);
        if let Some(machine) = self.machine(agent) {
            machine.disk = Disk::default();
        }
        self.fact(Fact::MachineLost { agent });
    }

    pub(crate) fn carry_out_on_machine(&mut self, agent: u32, effect: Effect) {
        match effect {
            Effect::ToExecutor { conn, event } => self.agent_to_executor(agent, conn, event),
            Effect::Reply { req, reply } => self.agent_replies(agent, req, reply),
            Effect::Close { conn } => {
                if let Some(container) = self.machine(agent).and_then(|machine| machine.conns.remove(&conn)) {
                    self.plan(agent, World::LOOPBACK, Local::StreamEnds { container, conn });
                }
            }
            Effect::Checkpoint { ticket, record } => self.checkpoint(agent, ticket, &record),
            Effect::Launch { spec } => self.launch_container(agent, *spec),
            Effect::Destroy { container } => self.destroy_container(agent, &container),
            Effect::MeasureDisk => {
                let life = self.agents[agent as usize].life;
                self.plan(agent, Duration::from_millis(5), Local::DiskMeasured { life });
            }
            Effect::ToDriver { to, message } => self.agent_to_driver(agent, &to, message),
            // No volume and no authentication takes part.
            Effect::Authenticate { .. }
            | Effect::MakeVolume { .. }
            | Effect::RemoveVolume { .. }
            | Effect::LinkVolumes { .. }
            | Effect::UpdateLimits { .. }
            | Effect::Signal { .. }
            | Effect::Remove { .. }
            | Effect::RetireSandbox { .. }
            | Effect::PruneSandboxes { .. } => {}
            Effect::ToMaster { .. } | Effect::Link { .. } | Effect::Unlink { .. } | Effect::Exit { .. } => {}
        }
    }

    fn agent_to_executor(&mut self, agent: u32, conn: ConnectionId, event: Box<v1::executor::Event>) {
        let Some(container) = self.machine(agent).and_then(|machine| machine.conns.get(&conn)).cloned() else { return };
        if let Some(ack) = &event.acknowledged {
            self.note_acknowledged(agent, &container, &TaskId::from(&ack.task_id), &ack.uuid);
        }
        self.plan(agent, World::LOOPBACK, Local::Event { container, conn, event });
    }

    /// An executor may forget an update.
    pub(crate) fn note_acknowledged(&mut self, agent: u32, container: &ContainerId, task: &TaskId, uuid: &Bytes) {
        if self.watched.is_none() {
            return;
        }
        let host = &self.agents[agent as usize];
        let row = host.full().and_then(|core| core.view().executors().find(|row| row.container == *container).cloned());
        if let Some(row) = row {
            let phase = host.full().and_then(|core| Some(core.view().frameworks.get(&row.framework)?.phase));
            let is_let_go = phase == Some(FrameworkPhase::Terminating);
            let recorded = is_let_go || self.is_update_recorded(agent, &row.framework, uuid);
            let (framework, task) = (row.framework.clone(), task.clone());
            self.fact(Fact::ExecutorAcknowledged { agent, framework, task, uuid: uuid.clone(), recorded });
        }
    }

    fn agent_replies(&mut self, agent: u32, req: RequestId, reply: Reply) {
        let Some(container) = self.machine(agent).and_then(|machine| machine.reqs.remove(&req)) else { return };
        self.plan(agent, World::LOOPBACK, Local::Answer { container, req, reply: Some(reply) });
    }

    pub(crate) fn on_machine(&mut self, event: MachineEvent) {
        let MachineEvent { agent, boot, what } = event;
        if self.machine(agent).is_none_or(|machine| machine.boot != boot) {
            return;
        }
        match what {
            Local::Launched { container, fails } => self.on_container_launched(agent, &container, fails),
            Local::Ended { container, termination } => self.on_container_ended(agent, &container, termination),
            Local::Forgotten { life, container } => {
                if self.agents[agent as usize].life == life
                    && let Some(machine) = self.machine(agent)
                {
                    machine.forget(&container);
                }
            }
            Local::Call { life, container, req, conn, call } => {
                self.on_executor_call(agent, life, container, req, conn, call);
            }
            Local::Closed { life, conn } => {
                let Some(container) = self.machine(agent).and_then(|machine| machine.conns.remove(&conn)) else {
                    return;
                };
                if self.agents[agent as usize].life != life {
                    return;
                }
                match self.is_v0(agent, &container) {
                    true => self.on_agent_lost_driver(agent, &container),
                    false => self.step_agent(agent, Event::Closed { conn }),
                }
            }
            Local::DiskMeasured { life } => {
                if self.agents[agent as usize].life == life {
                    let used = self.draws.machines.unit();
                    self.step_agent(agent, Event::DiskMeasured { used });
                }
            }
            Local::Said { life, container, conn, message } => {
                self.on_driver_message(agent, life, container, conn, message);
            }
            Local::Told { container, message } => self.on_executor_told(agent, &container, message),
            Local::Executor(container) => self.wake_executor(agent, &container),
            Local::Answer { container, req, reply } => self.on_executor_answer(agent, &container, req, reply),
            Local::Event { container, conn, event } => self.on_executor_event(agent, &container, conn, *event),
            Local::StreamEnds { container, conn } => self.on_executor_stream_end(agent, &container, conn),
        }
    }

    fn on_executor_call(
        &mut self,
        agent: u32,
        life: Life,
        container: ContainerId,
        req: RequestId,
        conn: Option<ConnectionId>,
        call: Box<v1::executor::Call>,
    ) {
        if self.agents[agent as usize].life != life || !self.agents[agent as usize].is_up() {
            self.plan(agent, World::LOOPBACK, Local::Answer { container, req, reply: None });
            return;
        }
        self.say(|| format!("executor {} -> agent {agent}: {}", call.executor_id.value, call.r#type().as_str_name()));
        let Some(machine) = self.machine(agent) else { return };
        machine.reqs.insert(req, container.clone());
        let caller = Caller::Container(container.clone());
        machine.conns.extend(conn.map(|conn| (conn, container)));
        self.step_agent(agent, Event::FromExecutor { req, conn, caller, call });
        if self.machine(agent).is_some_and(|machine| machine.reqs.contains_key(&req)) {
            self.fact(Fact::Unanswered { what: format!("agent {agent} did not answer an executor") });
        }
    }

    /// The executor whose row has this container, by name.
    pub(crate) fn names_of(spec: &agent_core::LaunchSpec) -> Option<(FrameworkId, ExecutorId)> {
        let value = |name: &str| spec.environment.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
        Some((value("MESOS_FRAMEWORK_ID")?.as_str().into(), value("MESOS_EXECUTOR_ID")?.as_str().into()))
    }
}
