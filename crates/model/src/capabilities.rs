//! What frameworks and agents say they can cope with, as flags.

use proto::v1::{FrameworkInfo, agent_info, framework_info, master_info};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameworkCapabilities {
    pub revocable_resources: bool,
    pub task_killing_state: bool,
    pub gpu_resources: bool,
    pub shared_resources: bool,
    pub partition_aware: bool,
    pub multi_role: bool,
    pub reservation_refinement: bool,
    pub region_aware: bool,
}

impl FrameworkCapabilities {
    pub fn of(info: &FrameworkInfo) -> FrameworkCapabilities {
        use framework_info::capability::Type;
        let mut all = FrameworkCapabilities::default();
        for capability in &info.capabilities {
            match capability.r#type() {
                Type::Unknown => {}
                Type::RevocableResources => all.revocable_resources = true,
                Type::TaskKillingState => all.task_killing_state = true,
                Type::GpuResources => all.gpu_resources = true,
                Type::SharedResources => all.shared_resources = true,
                Type::PartitionAware => all.partition_aware = true,
                Type::MultiRole => all.multi_role = true,
                Type::ReservationRefinement => all.reservation_refinement = true,
                Type::RegionAware => all.region_aware = true,
            }
        }
        all
    }
}

impl From<&FrameworkInfo> for FrameworkCapabilities {
    fn from(info: &FrameworkInfo) -> FrameworkCapabilities {
        FrameworkCapabilities::of(info)
    }
}

/// The roles a framework subscribes to, whichever way it says so.
pub fn roles_of(info: &FrameworkInfo) -> Vec<String> {
    if FrameworkCapabilities::of(info).multi_role { info.roles.clone() } else { vec![info.role().to_owned()] }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCapabilities {
    pub multi_role: bool,
    pub hierarchical_role: bool,
    pub reservation_refinement: bool,
    pub resource_provider: bool,
    pub resize_volume: bool,
    pub agent_operation_feedback: bool,
    pub agent_draining: bool,
    pub task_resource_limits: bool,
}

impl AgentCapabilities {
    /// What this agent can do.
    pub const ALL: AgentCapabilities = AgentCapabilities {
        multi_role: true,
        hierarchical_role: true,
        reservation_refinement: true,
        resource_provider: true,
        resize_volume: true,
        agent_operation_feedback: true,
        agent_draining: true,
        task_resource_limits: true,
    };

    pub fn from_protos(capabilities: &[agent_info::Capability]) -> AgentCapabilities {
        use agent_info::capability::Type;
        let mut all = AgentCapabilities::default();
        for capability in capabilities {
            match capability.r#type() {
                Type::Unknown => {}
                Type::MultiRole => all.multi_role = true,
                Type::HierarchicalRole => all.hierarchical_role = true,
                Type::ReservationRefinement => all.reservation_refinement = true,
                Type::ResourceProvider => all.resource_provider = true,
                Type::ResizeVolume => all.resize_volume = true,
                Type::AgentOperationFeedback => all.agent_operation_feedback = true,
                Type::AgentDraining => all.agent_draining = true,
                Type::TaskResourceLimits => all.task_resource_limits = true,
            }
        }
        all
    }

    pub fn to_protos(&self) -> Vec<agent_info::Capability> {
        use agent_info::capability::Type;
        [
            (self.multi_role, Type::MultiRole),
            (self.hierarchical_role, Type::HierarchicalRole),
            (self.reservation_refinement, Type::ReservationRefinement),
            (self.resource_provider, Type::ResourceProvider),
            (self.resize_volume, Type::ResizeVolume),
            (self.agent_operation_feedback, Type::AgentOperationFeedback),
            (self.agent_draining, Type::AgentDraining),
            (self.task_resource_limits, Type::TaskResourceLimits),
        ]
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, kind)| agent_info::Capability { r#type: Some(kind.into()) })
        .collect()
    }
}

/// What a master announces in its MasterInfo.
pub fn master_capabilities() -> Vec<master_info::Capability> {
    use master_info::capability::Type;
    [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2]
        .map(|kind| master_info::Capability { r#type: Some(kind.into()) })
        .to_vec()
}

/// The region and zone of whoever has said them.
pub fn fault_domain(domain: Option<&proto::v1::DomainInfo>) -> Option<(&str, &str)> {
    let fault = domain?.fault_domain.as_ref()?;
    Some((&fault.region.name, &fault.zone.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_capabilities_go_to_the_wire_and_back() {
        assert_eq!(AgentCapabilities::from_protos(&AgentCapabilities::ALL.to_protos()), AgentCapabilities::ALL);
        assert_eq!(AgentCapabilities::from_protos(&[]), AgentCapabilities::default());
    }

    #[test]
    fn roles_come_from_the_field_that_the_capability_names() {
        let mut info = FrameworkInfo { roles: vec!["a".into()], ..Default::default() };
        assert_eq!(roles_of(&info), ["*"]);
        info.capabilities
            .push(framework_info::Capability { r#type: Some(framework_info::capability::Type::MultiRole.into()) });
        assert_eq!(roles_of(&info), ["a"]);
        assert!(FrameworkCapabilities::of(&info).multi_role);
    }
}
