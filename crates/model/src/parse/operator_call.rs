//! Calls of operators to a master.

use super::{present, type_of};
use proto::v1::{
    self,
    master::{Call, call::Type},
};
use resources::Resources;

pub fn operator_call(call: &Call) -> Result<(), String> {
    match type_of(call.r#type)? {
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetAgents
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetRoles
        | Type::GetWeights
        | Type::GetMaster
        | Type::Subscribe
        | Type::GetMaintenanceStatus
        | Type::GetMaintenanceSchedule
        | Type::GetQuota
        | Type::GetGroups => Ok(()),
        Type::SetGroup => present(&call.set_group, "set_group").map(drop),
        Type::RemoveGroup => present(&call.remove_group, "remove_group").map(drop),
        Type::Explain => present(&call.explain, "explain").map(drop),
        Type::GetMetrics => present(&call.get_metrics, "get_metrics").map(drop),
        Type::SetLoggingLevel => present(&call.set_logging_level, "set_logging_level").map(drop),
        Type::ListFiles => present(&call.list_files, "list_files").map(drop),
        Type::ReadFile => present(&call.read_file, "read_file").map(drop),
        Type::UpdateWeights => present(&call.update_weights, "update_weights").map(drop),
        Type::ReserveResources => valid(&present(&call.reserve_resources, "reserve_resources")?.resources),
        Type::UnreserveResources => valid(&present(&call.unreserve_resources, "unreserve_resources")?.resources),
        Type::CreateVolumes => present(&call.create_volumes, "create_volumes").map(drop),
        Type::DestroyVolumes => present(&call.destroy_volumes, "destroy_volumes").map(drop),
        Type::GrowVolume => on_agent(&present(&call.grow_volume, "grow_volume")?.agent_id),
        Type::ShrinkVolume => on_agent(&present(&call.shrink_volume, "shrink_volume")?.agent_id),
        Type::UpdateMaintenanceSchedule => {
            present(&call.update_maintenance_schedule, "update_maintenance_schedule").map(drop)
        }
        Type::StartMaintenance => present(&call.start_maintenance, "start_maintenance").map(drop),
        Type::StopMaintenance => present(&call.stop_maintenance, "stop_maintenance").map(drop),
        Type::DrainAgent => present(&call.drain_agent, "drain_agent").map(drop),
        Type::DeactivateAgent => present(&call.deactivate_agent, "deactivate_agent").map(drop),
        Type::ReactivateAgent => present(&call.reactivate_agent, "reactivate_agent").map(drop),
        Type::UpdateQuota => present(&call.update_quota, "update_quota").map(drop),
        Type::SetQuota => present(&call.set_quota, "set_quota").map(drop),
        Type::RemoveQuota => present(&call.remove_quota, "remove_quota").map(drop),
        Type::Teardown => present(&call.teardown, "teardown").map(drop),
        Type::MarkAgentGone => present(&call.mark_agent_gone, "mark_agent_gone").map(drop),
    }
}

fn valid(resources: &[v1::Resource]) -> Result<(), String> {
    Resources::from_protos(resources).map(drop).map_err(|error| error.to_string())
}

fn on_agent(agent_id: &Option<v1::AgentId>) -> Result<(), String> {
    if agent_id.is_some() {
        return Ok(());
    }
    Err("Expecting 'agent_id' to be present; only agent default resources are supported right now".into())
}
