//! Operator calls that change something, one file per family. Reads are answered from the state, elsewhere.

mod explain;
mod groups;
mod maintenance;
pub(crate) mod quota;
mod resources;
mod weights;

use model::{AgentId, FrameworkId};
use proto::v1::master::{Call, call::Type};

use crate::{Master, Step, counters::Counter, effect::Reply, event::RequestId};

impl Master {
    pub(crate) fn on_operator_call(
        &mut self,
        req: RequestId,
        principal: Option<String>,
        call: Call,
        step: &mut Step<'_>,
    ) {
        if !self.state.is_leading() {
            step.reply(req, Reply::Unavailable("Master has not finished recovery".to_owned()));
            return;
        }
        if let Err(why) = model::parse::operator_call(&call) {
            step.reply(req, Reply::BadRequest(format!("Failed to validate master::Call: {why}")));
            return;
        }
        match call.r#type() {
            Type::Teardown => {
                let id = call.teardown.map(|teardown| FrameworkId::from(&teardown.framework_id));
                self.on_operator_teardown(req, id, step);
            }
            Type::MarkAgentGone => {
                let gone = call.mark_agent_gone.unwrap_or_default();
                self.on_mark_agent_gone(req, AgentId::from(&gone.agent_id), step);
            }
            Type::DrainAgent => self.on_drain_agent(req, call.drain_agent.unwrap_or_default(), step),
            Type::DeactivateAgent => {
                let id = AgentId::from(&call.deactivate_agent.unwrap_or_default().agent_id);
                self.on_deactivate_agent(req, id, step);
            }
            Type::ReactivateAgent => {
                let id = AgentId::from(&call.reactivate_agent.unwrap_or_default().agent_id);
                self.on_reactivate_agent(req, id, step);
            }
            Type::UpdateQuota => self.on_update_quota(req, call.update_quota.unwrap_or_default(), step),
            Type::SetQuota => {
                self.on_set_quota(req, &call.set_quota.unwrap_or_default().quota_request, step);
            }
            Type::RemoveQuota => self.on_remove_quota(req, &call.remove_quota.unwrap_or_default().role, step),
            Type::GetGroups => self.on_get_groups(req, step),
            Type::SetGroup => self.on_set_group(req, call.set_group.unwrap_or_default(), step),
            Type::RemoveGroup => self.on_remove_group(req, call.remove_group.unwrap_or_default().name, step),
            Type::Explain => self.on_explain(req, &call.explain.unwrap_or_default(), step),
            Type::UpdateWeights => {
                self.on_update_weights(req, &call.update_weights.unwrap_or_default().weight_infos, step);
            }
            Type::UpdateMaintenanceSchedule => {
                let schedule = call.update_maintenance_schedule.unwrap_or_default().schedule;
                self.on_update_schedule(req, schedule, step);
            }
            Type::StartMaintenance => {
                self.on_start_maintenance(req, call.start_maintenance.unwrap_or_default().machines, step);
            }
            Type::StopMaintenance => {
                self.on_stop_maintenance(req, call.stop_maintenance.unwrap_or_default().machines, step);
            }
            Type::ReserveResources
            | Type::UnreserveResources
            | Type::CreateVolumes
            | Type::DestroyVolumes
            | Type::GrowVolume
            | Type::ShrinkVolume => self.on_resources_call(req, call, principal.as_deref(), step),
            kind => step.reply(req, not_built(kind)),
        }
    }

    fn on_operator_teardown(&mut self, req: RequestId, id: Option<FrameworkId>, step: &mut Step<'_>) {
        let Some(id) = id.filter(|id| self.state.frameworks.contains(id)) else {
            step.reply(req, Reply::BadRequest("No framework found with specified ID".to_owned()));
            return;
        };
        self.state.counters.add(Counter::MessagesUnregisterFramework);
        self.remove_framework(&id, step);
        step.reply(req, Reply::Ok(None));
    }
}

/// The refusal says what can be done instead.
fn not_built(kind: Type) -> Reply {
    let instead = match kind {
        Type::Subscribe => "ask again and again with GET_STATE or GET_TASKS",
        _ => "docs/compat.md tells how this version differs from Mesos",
    };
    Reply::NotImplemented(format!("{} is not implemented; {instead}", kind.as_str_name()))
}
