//! What an executor must say about itself.

use super::{container, ids, resources as rules};
use ::resources::Resources;
use proto::v1::{CommandInfo, ContainerInfo, ExecutorInfo, command_info::Uri, container_info, executor_info::Type};

/// The executor alone: type, id, grace period, command, container.
pub fn executor_info(executor: &ExecutorInfo) -> Result<(), String> {
    executor_type(executor)?;
    ids::id(&executor.executor_id.value)?;
    if executor.shutdown_grace_period.is_some_and(|period| period.nanoseconds < 0) {
        return Err("ExecutorInfo's 'shutdown_grace_period' must be non-negative".into());
    }
    if let Some(command) = &executor.command {
        container::command_info(command).map_err(|why| format!("Executor's `CommandInfo` is invalid: {why}"))?;
    }
    if let Some(info) = &executor.container {
        container::container_info(info).map_err(|why| format!("Executor's `ContainerInfo` is invalid: {why}"))?;
    }
    Ok(())
}

fn executor_type(executor: &ExecutorInfo) -> Result<(), String> {
    match executor.r#type() {
        Type::Unknown => Ok(()),
        Type::Custom if executor.command.is_none() => {
            Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".into())
        }
        Type::Custom => Ok(()),
        Type::Default => {
            if executor.command.is_some() {
                return Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor".into());
            }
            let Some(info) = &executor.container else { return Ok(()) };
            if info.r#type() != container_info::Type::Mesos {
                return Err("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor".into());
            }
            if info.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
                return Err("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor".into());
            }
            Ok(())
        }
    }
}

/// The executor as part of a launch by `framework_id`. `existing` is the one of the same id that runs on the agent
/// already. Returns its resources.
pub fn launched_executor(
    executor: &ExecutorInfo,
    framework_id: &str,
    existing: Option<&ExecutorInfo>,
) -> Result<Resources, String> {
    executor_info(executor)?;
    let Some(said) = &executor.framework_id else {
        return Err("'ExecutorInfo.framework_id' must be set".into());
    };
    if said.value != framework_id {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {framework_id})",
            said.value
        ));
    }
    let resources =
        rules::usable(&executor.resources).map_err(|why| format!("Executor uses invalid resources: {why}"))?;
    rules::unique_persistence_ids(&resources)
        .map_err(|why| format!("Executor uses duplicate persistence ID: {why}"))?;
    rules::one_role(&resources).map_err(|why| format!("Invalid executor resources: {why}"))?;
    rules::not_half_revocable(&resources)
        .map_err(|why| format!("Executor mixes revocable and non-revocable resources: {why}"))?;
    match existing {
        Some(existing) if !is_same(existing, executor) => Err(incompatible(existing, executor)),
        _ => Ok(resources),
    }
}

/// Whether two infos tell of one executor. Resources are compared as amounts; labels and the grace period may differ; a
/// field that is left out equals its default.
pub fn is_same(a: &ExecutorInfo, b: &ExecutorInfo) -> bool {
    let resources = |info: &ExecutorInfo| Resources::from_protos(&info.resources).ok();
    a == b
        || (a.r#type == b.r#type
            && a.executor_id == b.executor_id
            && a.framework_id.clone().unwrap_or_default() == b.framework_id.clone().unwrap_or_default()
            && a.data.as_deref().unwrap_or_default() == b.data.as_deref().unwrap_or_default()
            && (a.name(), a.source()) == (b.name(), b.source())
            && a.container.clone().unwrap_or_default() == b.container.clone().unwrap_or_default()
            && a.discovery.clone().unwrap_or_default() == b.discovery.clone().unwrap_or_default()
            && is_same_command(&a.command.clone().unwrap_or_default(), &b.command.clone().unwrap_or_default())
            && resources(a) == resources(b))
}

/// URIs and variables may come in any order, arguments may not. From where a URI is fetched says nothing about the
/// command.
fn is_same_command(a: &CommandInfo, b: &CommandInfo) -> bool {
    let uri = |uri: &Uri| (uri.value.clone(), uri.executable(), uri.extract(), uri.output_file().to_owned());
    let uris = |command: &CommandInfo| {
        let mut all: Vec<_> = command.uris.iter().map(uri).collect();
        all.sort_unstable();
        all
    };
    let variables = |command: &CommandInfo| {
        let mut all = command.environment.clone().unwrap_or_default().variables;
        all.sort_by(|x, y| (&x.name, &x.value).cmp(&(&y.name, &y.value)));
        all
    };
    a.arguments == b.arguments
        && (a.value(), a.user(), a.shell()) == (b.value(), b.user(), b.shell())
        && uris(a) == uris(b)
        && variables(a) == variables(b)
}

fn incompatible(existing: &ExecutorInfo, given: &ExecutorInfo) -> String {
    let line = "------------------------------------------------------------";
    let text = |info: &ExecutorInfo| proto::json::to_string(info);
    format!(
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n{line}\nExisting \
         ExecutorInfo:\n{}\n{line}\nExecutorInfo:\n{}\n{line}\n",
        text(existing),
        text(given)
    )
}

/// Executors have cgroups of their own.
pub(super) fn own_cgroups(executor: &ExecutorInfo) -> Result<(), String> {
    if share_cgroups(executor.container.as_deref()) == Some(true) {
        return Err("The 'share_cgroups' field cannot be set to 'true' on executor containers".into());
    }
    Ok(())
}

pub(super) fn share_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}
