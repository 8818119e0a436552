//! The JSON of the legacy endpoints (`/state`, `/slaves`, `/tasks`, `/frameworks`), which no message describes:
//! resources as one object, ids without their wrapping, "slave" for "agent".
//!
//! Each function writes one value, or where it says so some fields of an object that is open already. The documents
//! are put together where their data is, with the same [`Writer`]; take [`Writer::v0`], so that messages written whole
//! (`domain`, `container`, `drain_info` …) speak v0 too. What a legacy document shows is fixed: new fields do not
//! appear here.

use crate::{
    json::Writer,
    v1::{
        AgentInfo, Attribute, CommandInfo, ContainerStatus, ExecutorInfo, FrameworkInfo, Labels, MasterInfo, Offer,
        Resource, Task, TaskInfo, TaskStatus, agent_info, executor_info, framework_info, master_info, value,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

/// These scalars are always there, in this order.
const FIRST_SCALARS: [&str; 4] = ["disk", "mem", "gpus", "cpus"];

/// `{"disk":0.0,"mem":32.0,"gpus":0.0,"cpus":0.5,"ports":"[31000-31001]"}`: sums over all roles and volumes. What is
/// revocable is summed by itself, as `cpus_revocable`.
pub fn resources(writer: &mut Writer, resources: &[Resource]) {
    // Scalars in thousandths, as everything that adds resources counts them.
    let mut scalars: BTreeMap<String, i64> = FIRST_SCALARS.map(|name| (name.to_owned(), 0)).into();
    let mut ranges: BTreeMap<String, Vec<value::Range>> = BTreeMap::new();
    let mut sets: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for resource in resources {
        let suffix = if resource.revocable.is_some() { "_revocable" } else { "" };
        let name = format!("{}{suffix}", resource.name);
        if let Some(scalar) = &resource.scalar {
            let sum = scalars.entry(name).or_default();
            *sum = sum.saturating_add((scalar.value * 1000.0).round() as i64);
        } else if let Some(more) = &resource.ranges {
            ranges.entry(name).or_default().extend(more.range.iter().cloned());
        } else if let Some(more) = &resource.set {
            sets.entry(name).or_default().extend(more.item.iter().map(String::as_str));
        }
    }
    writer.object(|writer| {
        for name in FIRST_SCALARS {
            let sum = scalars.remove(name).unwrap_or_default();
            writer.field(name, &(sum as f64 / 1000.0));
        }
        scalars.iter().for_each(|(name, sum)| writer.field(name, &(*sum as f64 / 1000.0)));
        ranges.into_iter().for_each(|(name, ranges)| writer.field(&name, &ranges_text(merge(ranges))));
        sets.iter().for_each(|(name, items)| writer.field(name, &listed('{', items, '}')));
    });
}

/// `{"rack":"r1","level":3.5,"slots":"[1-4, 7-9]"}`.
pub fn attributes(writer: &mut Writer, attributes: &[Attribute]) {
    writer.object(|writer| {
        for attribute in attributes {
            if let Some(scalar) = &attribute.scalar {
                writer.field(&attribute.name, &scalar.value);
            } else if let Some(ranges) = &attribute.ranges {
                writer.field(&attribute.name, &ranges_text(ranges.range.clone()));
            } else if let Some(set) = &attribute.set {
                writer.field(&attribute.name, &listed('{', &set.item, '}'));
            } else if let Some(text) = &attribute.text {
                writer.field(&attribute.name, &text.value);
            }
        }
    });
}

/// `[31000-31001, 31005-31010]`.
fn ranges_text(ranges: impl IntoIterator<Item = value::Range>) -> String {
    listed('[', ranges.into_iter().map(|range| format!("{}-{}", range.begin, range.end)), ']')
}

fn listed<T: Display>(open: char, items: impl IntoIterator<Item = T>, close: char) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("{open}{}{close}", items.join(", "))
}

/// In order, with those that overlap or touch made one.
fn merge(mut ranges: Vec<value::Range>) -> Vec<value::Range> {
    ranges.sort_by_key(|range| (range.begin, range.end));
    let mut merged: Vec<value::Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.begin <= last.end.saturating_add(1) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// `[{"key":"a","value":"b"}]`.
pub fn labels(writer: &mut Writer, labels: &Labels) {
    writer.value(&labels.labels);
}

/// The field `labels`, if there are any.
fn labels_field(writer: &mut Writer, value: Option<&Labels>) {
    if let Some(value) = value {
        writer.key("labels");
        labels(writer, value);
    }
}

/// The field `resources`, then the field `role` if they are allocated to one.
fn resources_fields(writer: &mut Writer, value: &[Resource], between: impl FnOnce(&mut Writer)) {
    writer.key("resources");
    resources(writer, value);
    between(writer);
    let role = value.first().and_then(|first| first.allocation_info.as_ref()).and_then(|info| info.role.as_ref());
    writer.optional_field("role", role);
}

/// `["MULTI_ROLE"]`.
pub fn framework_capabilities(writer: &mut Writer, info: &FrameworkInfo) {
    names(writer, info.capabilities.iter().map(framework_info::Capability::r#type).map(|one| one.as_str_name()));
}

pub fn agent_capabilities(writer: &mut Writer, capabilities: &[agent_info::Capability]) {
    names(writer, capabilities.iter().map(agent_info::Capability::r#type).map(|one| one.as_str_name()));
}

pub fn master_capabilities(writer: &mut Writer, info: &MasterInfo) {
    names(writer, info.capabilities.iter().map(master_info::Capability::r#type).map(|one| one.as_str_name()));
}

fn names(writer: &mut Writer, names: impl Iterator<Item = &'static str>) {
    writer.array(|writer| names.for_each(|name| writer.string(name)));
}

/// The field `roles` of a framework that may have many, the field `role` of one that has one.
pub fn role_fields(writer: &mut Writer, info: &FrameworkInfo) {
    let multi_role = framework_info::capability::Type::MultiRole;
    match info.capabilities.iter().any(|capability| capability.r#type() == multi_role) {
        true => writer.field("roles", &info.roles),
        false => writer.field("role", info.role()),
    }
}

/// The fields `hostname`, `port`, `attributes` and `domain` of an agent.
pub fn agent_info_fields(writer: &mut Writer, info: &AgentInfo) {
    writer.field("hostname", &info.hostname);
    writer.field("port", &info.port());
    writer.key("attributes");
    attributes(writer, &info.attributes);
    writer.optional_field("domain", info.domain.as_ref());
}

/// A task as the master and the agent tell of it.
pub fn task(writer: &mut Writer, task: &Task) {
    writer.object(|writer| {
        writer.field("id", &task.task_id.value);
        writer.field("name", &task.name);
        writer.field("framework_id", &task.framework_id.value);
        writer.field("executor_id", task.executor_id.as_ref().map_or("", |id| &id.value));
        writer.field("slave_id", &task.agent_id.value);
        writer.field("state", task.state().as_str_name());
        resources_fields(writer, &task.resources, |writer| limits_field(writer, &task.limits));
        writer.array_field("statuses", &task.statuses, task_status);
        writer.optional_field("user", task.user.as_ref());
        labels_field(writer, task.labels.as_ref());
        writer.optional_field("discovery", task.discovery.as_deref());
        writer.optional_field("container", task.container.as_deref());
        writer.optional_field("health_check", task.health_check.as_deref());
    });
}

/// `{"cpus":1.0,"mem":"Infinity"}`.
fn limits_field(writer: &mut Writer, limits: &BTreeMap<String, value::Scalar>) {
    if !limits.is_empty() {
        writer.object_field("limits", |writer| {
            limits.iter().for_each(|(name, limit)| writer.field(name, &limit.value));
        });
    }
}

/// One of the statuses of a task: not all of the update that brought it.
pub fn task_status(writer: &mut Writer, status: &TaskStatus) {
    writer.object(|writer| {
        writer.field("state", status.state().as_str_name());
        writer.field("timestamp", &status.timestamp());
        labels_field(writer, status.labels.as_ref());
        if let Some(container) = &status.container_status {
            writer.key("container_status");
            container_status(writer, container);
        }
        writer.optional_field("healthy", status.healthy.as_ref());
    });
}

/// All but the executor's process id.
fn container_status(writer: &mut Writer, status: &ContainerStatus) {
    writer.object(|writer| {
        writer.optional_field("container_id", status.container_id.as_ref());
        if !status.network_infos.is_empty() {
            writer.field("network_infos", &status.network_infos);
        }
        writer.optional_field("cgroup_info", status.cgroup_info.as_ref());
    });
}

/// A task that waits at the agent for its executor.
pub fn queued_task(writer: &mut Writer, task: &TaskInfo) {
    writer.object(|writer| {
        writer.field("id", &task.task_id.value);
        writer.field("name", &task.name);
        writer.field("slave_id", &task.agent_id.value);
        resources_fields(writer, &task.resources, |_| {});
        if let Some(executor) = &task.executor {
            writer.field("executor_id", &executor.executor_id.value);
        }
        writer.optional_field("discovery", task.discovery.as_deref());
    });
}

/// The fields of an executor as the master tells of it; it adds the agent's id.
pub fn executor_fields(writer: &mut Writer, info: &ExecutorInfo) {
    writer.field("executor_id", &info.executor_id.value);
    writer.field("name", info.name());
    writer.field("framework_id", info.framework_id.as_ref().map_or("", |id| &id.value));
    // Also that of a pod's executor, which has none.
    writer.key("command");
    match &info.command {
        Some(value) => command(writer, value),
        None => command(writer, &CommandInfo::default()),
    }
    executor_tail_fields(writer, info, &info.resources);
}

/// The fields `resources`, `role`, `labels` and `type`, which the agent writes with what the executor's tasks use as
/// well.
pub fn executor_tail_fields(writer: &mut Writer, info: &ExecutorInfo, resources: &[Resource]) {
    resources_fields(writer, resources, |_| {});
    labels_field(writer, info.labels.as_ref());
    if info.r#type() != executor_info::Type::Unknown {
        writer.field("type", info.r#type().as_str_name());
    }
}

/// `{"value":"sleep 1","argv":[],"uris":[]}`.
pub fn command(writer: &mut Writer, command: &CommandInfo) {
    writer.object(|writer| {
        writer.optional_field("shell", command.shell.as_ref());
        writer.optional_field("value", command.value.as_ref());
        writer.field("argv", &command.arguments);
        writer.optional_field("environment", command.environment.as_ref());
        writer.array_field("uris", &command.uris, |writer, uri| {
            writer.object(|writer| {
                writer.field("value", &uri.value);
                writer.field("executable", &uri.executable());
            });
        });
    });
}

pub fn offer(writer: &mut Writer, offer: &Offer) {
    writer.object(|writer| {
        writer.field("id", &offer.id.value);
        writer.field("framework_id", &offer.framework_id.value);
        writer.optional_field("allocation_info", offer.allocation_info.as_ref());
        writer.field("slave_id", &offer.agent_id.value);
        writer.key("resources");
        resources(writer, &offer.resources);
    });
}

/// `{"dev":{"disk":64.0,…}}`: a resources object for each role that holds a reservation.
pub fn resources_by_role<'a>(writer: &mut Writer, by_role: impl IntoIterator<Item = (&'a str, &'a [Resource])>) {
    writer.object(|writer| {
        for (role, reserved) in by_role {
            writer.key(role);
            resources(writer, reserved);
        }
    });
}
