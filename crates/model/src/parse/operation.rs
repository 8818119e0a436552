//! What is done first with every operation of an ACCEPT: its resources are checked one by one and brought into one
//! format, and what schedulers may leave out is filled in. Launches then go to `task` and `group`, reservations to
//! `reservation`, the operations on volumes to `volume`.

pub mod reservation;
pub mod volume;

use super::resources::inject_allocation;
use crate::capabilities::FrameworkCapabilities;
use ::resources::{Resources, format, validate};
use proto::v1::{
    self, FrameworkId, HealthCheck, health_check,
    offer::{Operation, operation::Type},
};
use std::collections::BTreeSet;

/// Checks the resources and upgrades them to the format after reservation refinement. The cores count on it from then
/// on.
pub fn upgrade(operation: &mut Operation) -> Result<(), String> {
    let kind = operation.r#type();
    if kind == Type::Unknown {
        return Err("Unknown offer operation".into());
    }
    if !has_content(operation, kind) {
        return Err(missing(kind));
    }
    let mut outcome = Ok(());
    each_list(operation, &mut |list| {
        if outcome.is_ok() {
            outcome = check_list(list);
        }
    });
    outcome?;
    each_list(operation, &mut |list| list.iter_mut().for_each(format::upgrade));
    Ok(())
}

/// The resources of an operator's call, which names no operation: checked one by one and upgraded.
pub fn upgrade_list(list: &mut [v1::Resource]) -> Result<(), String> {
    check_list(list)?;
    list.iter_mut().for_each(format::upgrade);
    Ok(())
}

/// Who asks for an operation, as far as it matters whether it makes sense.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    pub principal: Option<&'a str>,
    /// The framework, if it is one's; otherwise an operator asks.
    pub framework: Option<(&'a FrameworkId, FrameworkCapabilities)>,
}

/// What an operation works on comes from one place: the agent itself, or one provider. Nothing at all comes from
/// nowhere.
fn from_one_provider(resources: &[v1::Resource]) -> Result<(), String> {
    let providers: BTreeSet<Option<&str>> =
        resources.iter().map(|r| r.provider_id.as_ref().map(|id| id.value.as_str())).collect();
    if providers.len() == 1 {
        return Ok(());
    }
    let names: Vec<&str> = providers.into_iter().map(|id| id.unwrap_or("NONE")).collect();
    Err(format!("Invalid resources: The resources have multiple resource providers: {}", names.join(", ")))
}

/// Reads the resources of an operation, which make sense together.
fn sound(resources: &[v1::Resource]) -> Result<Resources, String> {
    let read = Resources::from_protos(resources).map_err(|why| format!("Invalid resources: {why}"))?;
    super::resources::sound(&read).map_err(|why| format!("Invalid resources: {why}"))?;
    from_one_provider(resources)?;
    Ok(read)
}

fn check_list(list: &[v1::Resource]) -> Result<(), String> {
    list.iter().try_for_each(|resource| {
        validate::check(resource)
            .map_err(|why| format!("Resource '{}' is invalid: {why}", ::resources::print::Proto(resource)))
    })
}

fn has_content(operation: &Operation, kind: Type) -> bool {
    match kind {
        Type::Unknown => false,
        Type::Launch => operation.launch.is_some(),
        Type::LaunchGroup => operation.launch_group.is_some(),
        Type::Reserve => operation.reserve.is_some(),
        Type::Unreserve => operation.unreserve.is_some(),
        Type::Create => operation.create.is_some(),
        Type::Destroy => operation.destroy.is_some(),
        Type::GrowVolume => operation.grow_volume.is_some(),
        Type::ShrinkVolume => operation.shrink_volume.is_some(),
        Type::CreateDisk => operation.create_disk.is_some(),
        Type::DestroyDisk => operation.destroy_disk.is_some(),
    }
}

fn missing(kind: Type) -> String {
    let name = kind.as_str_name();
    let article = if kind == Type::Unreserve { "An" } else { "A" };
    let (what, stop) = match kind {
        Type::GrowVolume => ("operation", ""),
        Type::ShrinkVolume => ("offer operation", ""),
        _ => ("offer operation", "."),
    };
    format!("{article} {name} {what} must have the Offer.Operation.{} field set{stop}", name.to_ascii_lowercase())
}

/// Every list of resources that the operation names, in the order in which Mesos looks at them.
fn each_list(operation: &mut Operation, visit: &mut dyn FnMut(&mut [v1::Resource])) {
    match operation.r#type() {
        Type::Unknown => {}
        Type::Launch => {
            for task in operation.launch.iter_mut().flat_map(|launch| &mut launch.task_infos) {
                each_list_of_task(task, visit);
            }
        }
        Type::LaunchGroup => {
            if let Some(launch) = &mut operation.launch_group {
                visit(&mut launch.executor.resources);
                launch.task_group.tasks.iter_mut().for_each(|task| each_list_of_task(task, visit));
            }
        }
        Type::Reserve => {
            if let Some(reserve) = &mut operation.reserve {
                visit(&mut reserve.resources);
                visit(&mut reserve.source);
            }
        }
        Type::Unreserve => operation.unreserve.iter_mut().for_each(|unreserve| visit(&mut unreserve.resources)),
        Type::Create => operation.create.iter_mut().for_each(|create| visit(&mut create.volumes)),
        Type::Destroy => operation.destroy.iter_mut().for_each(|destroy| visit(&mut destroy.volumes)),
        Type::GrowVolume => {
            if let Some(grow) = &mut operation.grow_volume {
                visit(std::slice::from_mut(&mut grow.volume));
                visit(std::slice::from_mut(&mut grow.addition));
            }
        }
        Type::ShrinkVolume => {
            operation.shrink_volume.iter_mut().for_each(|shrink| visit(std::slice::from_mut(&mut shrink.volume)));
        }
        Type::CreateDisk => {
            operation.create_disk.iter_mut().for_each(|create| visit(std::slice::from_mut(&mut create.source)));
        }
        Type::DestroyDisk => {
            operation.destroy_disk.iter_mut().for_each(|destroy| visit(std::slice::from_mut(&mut destroy.source)));
        }
    }
}

fn each_list_of_task(task: &mut v1::TaskInfo, visit: &mut dyn FnMut(&mut [v1::Resource])) {
    visit(&mut task.resources);
    if let Some(executor) = &mut task.executor {
        visit(&mut executor.resources);
    }
}

/// Fills in what a scheduler may leave out: the role of the offer; in launches the framework's id in executors and the
/// type of a health check that needs no telling; in groups the executor of each task.
pub fn complete(operation: &mut Operation, role: &str, framework_id: &FrameworkId) {
    each_list(operation, &mut |list| inject_allocation(list, role));
    match operation.r#type() {
        Type::Launch => {
            for task in operation.launch.iter_mut().flat_map(|launch| &mut launch.task_infos) {
                if let Some(executor) = &mut task.executor {
                    executor.framework_id.get_or_insert_with(|| framework_id.clone());
                }
                if let Some(check) = &mut task.health_check {
                    infer_type(check);
                }
            }
        }
        Type::LaunchGroup => {
            if let Some(launch) = &mut operation.launch_group {
                for task in &mut launch.task_group.tasks {
                    task.executor.get_or_insert_with(|| Box::new(launch.executor.clone()));
                }
            }
        }
        _ => {}
    }
}

fn infer_type(check: &mut HealthCheck) {
    if check.r#type.is_some() {
        return;
    }
    match (&check.command, &check.http) {
        (Some(_), None) => check.set_type(health_check::Type::Command),
        (None, Some(_)) => check.set_type(health_check::Type::Http),
        _ => {}
    }
}
