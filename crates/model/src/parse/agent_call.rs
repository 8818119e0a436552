//! Calls of operators and executors to an agent.

use super::{container, ids, present, resources as resource_rules, type_of};
use proto::v1::{
    ContainerId, ContainerInfo,
    agent::{
        Call,
        call::{LaunchContainer, Type, attach_container_input},
    },
};
use resources::Resources;

pub fn agent_call(call: &Call) -> Result<(), String> {
    match type_of(call.r#type)? {
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders
        | Type::PruneImages => Ok(()),
        Type::GetMetrics => present(&call.get_metrics, "get_metrics").map(drop),
        Type::SetLoggingLevel => present(&call.set_logging_level, "set_logging_level").map(drop),
        Type::ListFiles => present(&call.list_files, "list_files").map(drop),
        Type::ReadFile => present(&call.read_file, "read_file").map(drop),
        Type::LaunchNestedContainer => launch_nested(call),
        Type::LaunchNestedContainerSession => launch_session(call),
        Type::WaitNestedContainer => {
            let name = "wait_nested_container";
            nested(&present(&call.wait_nested_container, name)?.container_id, name)
        }
        Type::KillNestedContainer => {
            let name = "kill_nested_container";
            nested(&present(&call.kill_nested_container, name)?.container_id, name)
        }
        Type::RemoveNestedContainer => {
            let name = "remove_nested_container";
            nested(&present(&call.remove_nested_container, name)?.container_id, name)
        }
        Type::AttachContainerInput => attach_input(call),
        Type::AttachContainerOutput => {
            let name = "attach_container_output";
            named(&present(&call.attach_container_output, name)?.container_id, name)
        }
        Type::LaunchContainer => launch(present(&call.launch_container, "launch_container")?),
        Type::WaitContainer => {
            let name = "wait_container";
            named(&present(&call.wait_container, name)?.container_id, name)
        }
        Type::KillContainer => {
            let name = "kill_container";
            named(&present(&call.kill_container, name)?.container_id, name)
        }
        Type::RemoveContainer => {
            let name = "remove_container";
            named(&present(&call.remove_container, name)?.container_id, name)
        }
        Type::AddResourceProviderConfig => {
            let name = "add_resource_provider_config";
            without_id(present(&call.add_resource_provider_config, name)?.info.id.is_none(), name)
        }
        Type::UpdateResourceProviderConfig => {
            let name = "update_resource_provider_config";
            without_id(present(&call.update_resource_provider_config, name)?.info.id.is_none(), name)
        }
        Type::RemoveResourceProviderConfig => {
            present(&call.remove_resource_provider_config, "remove_resource_provider_config").map(drop)
        }
        Type::MarkResourceProviderGone => {
            present(&call.mark_resource_provider_gone, "mark_resource_provider_gone").map(drop)
        }
    }
}

fn named(id: &ContainerId, call: &str) -> Result<(), String> {
    ids::container_id(id).map_err(|why| format!("'{call}.container_id' is invalid: {why}"))
}

/// A nested container is named below its parent.
fn nested(id: &ContainerId, call: &str) -> Result<(), String> {
    named(id, call)?;
    if id.parent.is_none() {
        return Err(format!("Expecting '{call}.container_id.parent' to be present"));
    }
    Ok(())
}

fn without_id(is_unset: bool, call: &str) -> Result<(), String> {
    if is_unset { Ok(()) } else { Err(format!("Expecting '{call}.info.id' to be unset")) }
}

fn is_twice_nested(id: &ContainerId) -> bool {
    id.parent.as_ref().is_some_and(|parent| parent.parent.is_some())
}

/// What the container says about sharing its parent's cgroups, if anything.
fn share_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

fn launch_nested(call: &Call) -> Result<(), String> {
    let name = "launch_nested_container";
    let launch = present(&call.launch_nested_container, name)?;
    nested(&launch.container_id, name)?;
    if let Some(command) = &launch.command {
        container::command_info(command).map_err(|why| format!("'{name}.command' is invalid: {why}"))?;
    }
    if let Some(info) = &launch.container {
        container::container_info(info).map_err(|why| format!("'{name}.container' is invalid: {why}"))?;
        if share_cgroups(Some(info)) == Some(false) && is_twice_nested(&launch.container_id) {
            return Err(format!("'{name}' is invalid: {TWICE_NESTED} set 'share_cgroups' to 'false'"));
        }
    }
    Ok(())
}

const TWICE_NESTED: &str = "containers nested at the second level or greater cannot";

fn launch_session(call: &Call) -> Result<(), String> {
    let name = "launch_nested_container_session";
    let launch = present(&call.launch_nested_container_session, name)?;
    nested(&launch.container_id, name)?;
    if let Some(command) = &launch.command {
        container::command_info(command).map_err(|why| format!("'{name}.command' is invalid: {why}"))?;
    }
    if let Some(info) = &launch.container {
        container::container_info(info).map_err(|why| format!("'{name}.container' is invalid: {why}"))?;
        if share_cgroups(Some(info)) == Some(false) {
            return Err(format!(
                "'{name}.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for nested container \
                 sessions"
            ));
        }
    }
    Ok(())
}

fn attach_input(call: &Call) -> Result<(), String> {
    use attach_container_input::Type;
    let name = "attach_container_input";
    let attach = present(&call.attach_container_input, name)?;
    match attach.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        None => Err(format!("Expecting '{name}.type' to be present")),
        Some(Type::Unknown) => Err(format!("'{name}.type' is unknown")),
        Some(Type::ContainerId) => named(&attach.container_id.clone().unwrap_or_default(), name),
        Some(Type::ProcessIo) => Ok(()),
    }
}

fn launch(launch: &LaunchContainer) -> Result<(), String> {
    let name = "launch_container";
    named(&launch.container_id, name)?;
    let resources = Resources::from_protos(&launch.resources).map_err(|why| format!("Invalid resources: {why}"))?;
    resource_rules::whole_gpus(&resources).map_err(|why| format!("Invalid GPU resources: {why}"))?;
    let is_standalone = launch.container_id.parent.is_none();
    if is_standalone {
        // No master accounts for these, so they take only what is nobody's.
        for resource in &resources {
            if !resource.is_unreserved() {
                return Err(format!("'{name}.resources' must be unreserved"));
            }
            if resource.is_persistent_volume() {
                return Err(format!("'{name}.resources' may not use persistent volumes"));
            }
            if resource.is_revocable() {
                return Err(format!("'{name}.resources' must be non-revocable"));
            }
        }
    }
    if let Some(command) = &launch.command {
        container::command_info(command).map_err(|why| format!("'{name}.command' is invalid: {why}"))?;
    }
    if let Some(info) = &launch.container {
        container::container_info(info).map_err(|why| format!("'{name}.container' is invalid: {why}"))?;
    }
    let shared = share_cgroups(launch.container.as_ref());
    if is_twice_nested(&launch.container_id) {
        if !launch.resources.is_empty() {
            return Err(format!("'{name}' is invalid: {TWICE_NESTED} specify resources"));
        }
        if !launch.limits.is_empty() {
            return Err(format!("'{name}' is invalid: {TWICE_NESTED} specify resource limits"));
        }
        if shared == Some(false) {
            return Err(format!("'{name}' is invalid: {TWICE_NESTED} set 'share_cgroups' to 'false'"));
        }
    }
    if is_standalone && shared == Some(true) {
        return Err(format!("'{name}' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"));
    }
    Ok(())
}
