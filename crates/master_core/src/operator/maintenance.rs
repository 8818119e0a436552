//! Maintenance: the schedule, machines that go down, machines that come up. A machine in the schedule drains: its
//! offers say when it will be away, and frameworks are asked to leave it. A machine that is down has no agents.

use std::collections::{BTreeMap, BTreeSet};

use model::{AgentId, parse::maintenance};
use proto::v1::{self, MachineId, machine_info::Mode, maintenance::Schedule};
use registry::{MachineKey, Operation};

use crate::{
    Master, Step,
    agents::membership::{Departure, shutdown},
    counters::Counter,
    effect::Reply,
    event::RequestId,
    offers::Offers,
    pending::Continuation,
    state::{Agent, State},
};

const DOWN: &str = "Operator initiated 'Machine DOWN'";

impl Master {
    pub(super) fn on_update_schedule(&mut self, req: RequestId, schedule: Schedule, step: &mut Step<'_>) {
        if let Err(why) = self.check_schedule(&schedule) {
            step.reply(req, Reply::BadRequest(why));
            return;
        }
        self.pending.persist(vec![Operation::UpdateSchedule(schedule)], Continuation::Schedule { req }, step);
    }

    /// A machine that is down stays in the schedule until it is up.
    fn check_schedule(&self, schedule: &Schedule) -> Result<(), String> {
        maintenance::schedule(schedule)?;
        let ids = schedule.windows.iter().flat_map(|window| &window.machine_ids);
        let planned: BTreeSet<MachineKey> = ids.map(MachineKey::from).collect();
        for (key, machine) in &self.state.registry.machines {
            if machine.mode() == Mode::Down && !planned.contains(key) {
                return Err(format!(
                    "{} is deactivated and cannot be removed from the schedule",
                    maintenance::label(&machine.id)
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn on_schedule(&mut self, req: RequestId, step: &mut Step<'_>) {
        let agents: Vec<AgentId> = self.state.agents.keys().cloned().collect();
        for id in agents {
            let Some(agent) = self.state.agents.get(&id) else { continue };
            let unavailability = self.state.unavailability_of(agent);
            if unavailability.is_some() || self.allocator.unavailability(&id).is_some() {
                self.offers().announce(&id, unavailability, step);
            }
        }
        step.reply(req, Reply::Ok(None));
    }

    pub(super) fn on_start_maintenance(&mut self, req: RequestId, machines: Vec<MachineId>, step: &mut Step<'_>) {
        if let Err(why) = self.check_machines(&machines, Mode::Draining) {
            step.reply(req, Reply::BadRequest(why));
            return;
        }
        let keys: Vec<MachineKey> = machines.iter().map(MachineKey::from).collect();
        let agents: Vec<AgentId> = self
            .state
            .agents
            .values()
            .filter(|agent| keys.contains(&agent.machine()) && !self.pending.is_in_transition(&agent.id))
            .map(|agent| agent.id.clone())
            .collect();
        let mut operations = vec![Operation::StartMaintenance(machines)];
        operations.extend(agents.iter().cloned().map(Operation::RemoveAgent));
        self.pending.removing.extend(agents.iter().cloned());
        self.pending.persist(operations, Continuation::MachinesDown { req, agents }, step);
    }

    pub(crate) fn on_machines_down(&mut self, req: RequestId, agents: &[AgentId], step: &mut Step<'_>) {
        for id in agents {
            self.pending.removing.remove(id);
            let Some(agent) = self.state.agents.get(id) else { continue };
            step.tell(agent, shutdown(DOWN));
            self.state.counters.add(Counter::AgentRemovals);
            self.remove_agent(id, &Departure::Removed { why: DOWN }, step);
        }
        step.reply(req, Reply::Ok(None));
    }

    pub(super) fn on_stop_maintenance(&mut self, req: RequestId, machines: Vec<MachineId>, step: &mut Step<'_>) {
        if let Err(why) = self.check_machines(&machines, Mode::Down) {
            step.reply(req, Reply::BadRequest(why));
            return;
        }
        let keys = machines.iter().map(MachineKey::from).collect();
        let next = Continuation::MachinesUp { req, machines: keys };
        self.pending.persist(vec![Operation::StopMaintenance(machines)], next, step);
    }

    /// An agent that was being let in when its machine went down may still be there, told to end but not gone.
    pub(crate) fn on_machines_up(&mut self, req: RequestId, machines: &[MachineKey], step: &mut Step<'_>) {
        let agents = machines.iter().flat_map(|machine| self.state.agents_on(machine));
        let agents: Vec<AgentId> = agents.map(|agent| agent.id.clone()).collect();
        for id in agents {
            self.offers().announce(&id, None, step);
        }
        step.reply(req, Reply::Ok(None));
    }

    fn check_machines(&self, machines: &[MachineId], wanted: Mode) -> Result<(), String> {
        maintenance::machines(machines)?;
        for machine in machines {
            let label = maintenance::label(machine);
            let Some(info) = self.state.registry.machines.get(&MachineKey::from(machine)) else {
                return Err(format!("{label} is not part of a maintenance schedule"));
            };
            if info.mode() != wanted {
                return Err(match wanted {
                    Mode::Draining => format!("{label} is not in DRAINING mode and cannot be brought down"),
                    Mode::Down | Mode::Up => format!("{label} is not in DOWN mode and cannot be brought up"),
                });
            }
        }
        Ok(())
    }
}

impl Offers<'_> {
    /// What frameworks were told about the agent holds no longer: its offers, and what it asked of them.
    fn announce(&mut self, id: &AgentId, unavailability: Option<v1::Unavailability>, step: &mut Step<'_>) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.inverse_answers = BTreeMap::new();
        }
        self.rescind_on(id, step);
        self.rescind_inverse_on(id, step);
        self.allocator.set_unavailability(step.now, id, unavailability);
    }
}

impl State {
    /// The agents of a machine.
    pub fn agents_on<'a>(&'a self, machine: &'a MachineKey) -> impl Iterator<Item = &'a Agent> {
        self.agents.values().filter(move |agent| agent.machine() == *machine)
    }
}
