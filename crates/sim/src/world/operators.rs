//! Operators: people and scripts that change the cluster now and then, always through the leader. At the end they take
//! back what would keep the cluster from healing.

pub(crate) mod drain;
mod groups;

use std::{collections::BTreeMap, time::Duration};

use master_core::{Reply, State};
use proto::v1::{
    self,
    machine_info::Mode,
    maintenance,
    master::{Call, call},
    quota::QuotaConfig,
};

use super::{World, happening::Happening};
use crate::{observation::Fact, scenario};

#[derive(Default)]
pub(crate) struct Operator {
    /// No deeds any more.
    pub resting: bool,
    pub refused: u64,
    pub done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    MarkGone,
    Teardown,
    Quota,
    Weights,
    /// A machine is planned to go, goes, or comes back.
    Maintenance,
    Groups,
    Drain,
    Deactivate,
    /// Takes back what is still set, until nothing is.
    Settle,
}

const ALL: [Deed; 8] = [
    Deed::MarkGone,
    Deed::Teardown,
    Deed::Quota,
    Deed::Weights,
    Deed::Maintenance,
    Deed::Groups,
    Deed::Drain,
    Deed::Deactivate,
];

impl Deed {
    fn every(self, operators: &scenario::Operators) -> f64 {
        match self {
            Deed::MarkGone => operators.mark_gone_every,
            Deed::Teardown => operators.teardown_every,
            Deed::Quota => operators.quota_every,
            Deed::Weights => operators.weights_every,
            Deed::Maintenance => operators.maintenance_every,
            Deed::Groups => operators.groups_every,
            Deed::Drain => operators.drain_every,
            Deed::Deactivate => operators.deactivate_every,
            Deed::Settle => 0.0,
        }
    }
}

impl World {
    pub(crate) fn begin_operations(&mut self) {
        ALL.into_iter().for_each(|deed| self.schedule_deed(deed));
    }

    /// Nothing new is asked for. Who wants tasks now must get some.
    pub(crate) fn end_operations(&mut self) {
        self.operator.resting = true;
        let wants = |index: &u32| self.schedulers[*index as usize].core.is_hungry();
        self.hungry = (0..self.schedulers.len() as u32).filter(wants).collect();
        self.heap.put(self.now, Happening::Operate(Deed::Settle));
    }

    fn schedule_deed(&mut self, deed: Deed) {
        let every = deed.every(&self.scenario.operators);
        if every > 0.0 {
            let wait = self.draw_interval(every);
            self.heap.put(self.now + wait, Happening::Operate(deed));
        }
    }

    pub(crate) fn operate(&mut self, deed: Deed) {
        if deed == Deed::Settle {
            return self.settle();
        }
        if self.operator.resting {
            return;
        }
        self.schedule_deed(deed);
        let Some((master, state)) = self.leading() else { return };
        let Some(call) = self.plan_deed(&state, deed) else { return };
        self.say(|| format!("an operator asks for {deed:?}"));
        self.call_master_as_operator(master, call);
    }

    fn leading(&self) -> Option<(u32, State)> {
        Some((self.election.leader?, self.leader()?.view().clone()))
    }

    fn plan_deed(&mut self, state: &State, deed: Deed) -> Option<Call> {
        match deed {
            Deed::MarkGone => {
                let ids: Vec<v1::AgentId> = state.agents.keys().map(|id| id.to_proto()).collect();
                let agent_id = self.draw(&ids)?;
                Some(Call { mark_agent_gone: Some(call::MarkAgentGone { agent_id }), ..of(call::Type::MarkAgentGone) })
            }
            Deed::Teardown => {
                let ids: Vec<_> = state.frameworks.keys().cloned().collect();
                let id = self.draw(&ids)?;
                if let Some(framework) = self.schedulers.iter().position(|host| host.id.as_ref() == Some(&id)) {
                    self.fact(Fact::FrameworkEnded { framework: framework as u32, id: id.clone() });
                }
                let teardown = call::Teardown { framework_id: id.to_proto() };
                Some(Call { teardown: Some(teardown), ..of(call::Type::Teardown) })
            }
            Deed::Quota => {
                let role = self.draw_role()?;
                let most = f64::from(self.scenario.all_agents()) * self.scenario.agent_cpus;
                let limit = (self.draws.operators.unit() * most * 100.0).round() / 100.0;
                let limits = BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: limit })]);
                let half = v1::value::Scalar { value: (limit * 50.0).round() / 100.0 };
                let guaranteed = self.draws.operators.below(2) == 0;
                let guarantees = guaranteed.then(|| ("cpus".to_owned(), half)).into_iter().collect();
                Some(update_quota(vec![QuotaConfig { role, guarantees, limits }]))
            }
            Deed::Weights => {
                let role = Some(self.draw_role()?);
                let weight_infos = vec![v1::WeightInfo { weight: 0.1 + self.draws.operators.unit() * 5.0, role }];
                let update_weights = Some(call::UpdateWeights { weight_infos });
                Some(Call { update_weights, ..of(call::Type::UpdateWeights) })
            }
            Deed::Maintenance => self.plan_maintenance(state),
            Deed::Groups => self.plan_groups(state),
            Deed::Drain => self.plan_drain(state),
            Deed::Deactivate => self.plan_deactivation(state),
            Deed::Settle => None,
        }
    }

    fn plan_maintenance(&mut self, state: &State) -> Option<Call> {
        let machines: Vec<(v1::MachineId, Mode)> =
            state.registry.machines.values().map(|machine| (machine.id.clone(), machine.mode())).collect();
        match self.draw(&machines) {
            Some((id, Mode::Down)) => Some(stop_maintenance(vec![id])),
            Some((id, _)) if self.draws.operators.below(2) == 0 => {
                let start_maintenance = Some(call::StartMaintenance { machines: vec![id] });
                Some(Call { start_maintenance, ..of(call::Type::StartMaintenance) })
            }
            _ => {
                let agents: Vec<v1::MachineId> = state
                    .agents
                    .values()
                    .map(|agent| v1::MachineId {
                        hostname: Some(agent.info.hostname.clone()),
                        ip: Some(agent.pid.host.as_ref().to_owned()),
                    })
                    .collect();
                let planned = self.draw(&agents)?;
                let down = machines.into_iter().filter(|(_, mode)| *mode == Mode::Down).map(|(id, _)| id);
                let mut machine_ids: Vec<v1::MachineId> = down.filter(|id| *id != planned).collect();
                machine_ids.push(planned);
                Some(update_schedule(machine_ids))
            }
        }
    }

    /// Quotas, schedules and machines that are down would keep somebody from healing. What was asked for last may still
    /// be on its way, so this goes on.
    fn settle(&mut self) {
        self.heap.put(self.now + Duration::from_secs(3), Happening::Operate(Deed::Settle));
        let Some((master, state)) = self.leading() else { return };
        let registry = &state.registry;
        let down = registry.machines.values().filter(|machine| machine.mode() == Mode::Down);
        let down: Vec<v1::MachineId> = down.map(|machine| machine.id.clone()).collect();
        let call = if let Some(quota) = self.find_unsettled_quota(&state) {
            update_quota(vec![quota])
        } else if let Some(call) = self.settle_groups(&state).or_else(|| self.settle_agents(&state)) {
            call
        } else if !down.is_empty() {
            stop_maintenance(down)
        } else if registry.schedules.iter().any(|schedule| !schedule.windows.is_empty()) {
            update_schedule(Vec::new())
        } else {
            return;
        };
        self.call_master_as_operator(master, call);
    }

    /// A role's quota as it should be, if it is not.
    fn find_unsettled_quota(&self, state: &State) -> Option<QuotaConfig> {
        let there = &state.registry.quotas;
        let wanted: Vec<QuotaConfig> = self.scenario.quotas.iter().map(scenario::QuotaPlan::to_proto).collect();
        // A quota of nothing stays listed.
        let is_set = |quota: &QuotaConfig| !quota.limits.is_empty() || !quota.guarantees.is_empty();
        let planned = |role: &str| wanted.iter().any(|quota| quota.role == role);
        if let Some(quota) = there.values().find(|quota| is_set(quota) && !planned(&quota.role)) {
            return Some(QuotaConfig { role: quota.role.clone(), ..QuotaConfig::default() });
        }
        wanted.into_iter().find(|quota| is_set(quota) && there.get(&quota.role) != Some(quota))
    }

    fn draw<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.draws.operators.below(items.len() as u64) as usize).cloned()
    }

    fn draw_role(&mut self) -> Option<String> {
        let roles: Vec<String> = self.scenario.frameworks.iter().map(|plan| plan.role.clone()).collect();
        self.draw(&roles)
    }

    pub(crate) fn on_operator_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Ok(_) | Reply::Accepted => self.operator.done += 1,
            _ => self.operator.refused += 1,
        }
    }
}

fn of(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

fn update_quota(quota_configs: Vec<QuotaConfig>) -> Call {
    let update_quota = Some(call::UpdateQuota { force: Some(true), quota_configs });
    Call { update_quota, ..of(call::Type::UpdateQuota) }
}

fn stop_maintenance(machines: Vec<v1::MachineId>) -> Call {
    Call { stop_maintenance: Some(call::StopMaintenance { machines }), ..of(call::Type::StopMaintenance) }
}

fn update_schedule(machine_ids: Vec<v1::MachineId>) -> Call {
    let start = v1::TimeInfo { nanoseconds: 1_700_000_600_000_000_000 };
    let window = maintenance::Window { machine_ids, unavailability: v1::Unavailability { start, duration: None } };
    let windows = if window.machine_ids.is_empty() { Vec::new() } else { vec![window] };
    let update = call::UpdateMaintenanceSchedule { schedule: maintenance::Schedule { windows } };
    Call { update_maintenance_schedule: Some(update), ..of(call::Type::UpdateMaintenanceSchedule) }
}
