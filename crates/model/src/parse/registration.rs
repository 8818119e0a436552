//! What an agent says when it registers or comes back.

use super::{executor, framework, ids};
use proto::{
    internal::{RegisterSlaveMessage, ReregisterSlaveMessage},
    v1::{self, AgentInfo, TaskState},
};
use resources::{Resources, validate};
use std::collections::BTreeSet;

pub fn agent_info(info: &AgentInfo) -> Result<(), String> {
    if let Some(id) = &info.id {
        ids::id(&id.value)?;
    }
    valid(&info.resources)
}

fn valid(resources: &[v1::Resource]) -> Result<(), String> {
    Resources::check_protos(resources).map_err(|error| error.to_string())
}

pub fn register(message: &RegisterSlaveMessage) -> Result<(), String> {
    agent_info(&message.agent)?;
    if !message.checkpointed_resources.is_empty() && !message.agent.checkpoint() {
        return Err("Checkpointed resources provided when checkpointing is not enabled".into());
    }
    message.checkpointed_resources.iter().try_for_each(validate::check)
}

/// All that the agent tells must hang together: tasks have frameworks, running tasks have executors.
pub fn reregister(message: &ReregisterSlaveMessage) -> Result<(), String> {
    agent_info(&message.agent)?;
    message.checkpointed_resources.iter().try_for_each(validate::check)?;

    let mut frameworks = BTreeSet::new();
    for info in &message.frameworks {
        framework::framework_info(info)?;
        let id = info.id.as_ref().map_or("", |id| &id.value);
        if !frameworks.insert(id) {
            return Err(format!("Framework has a duplicate FrameworkID: '{id}'"));
        }
    }

    let mut executors = BTreeSet::new();
    for info in &message.executor_infos {
        executor::executor_info(info)?;
        valid(&info.resources)?;
        let framework = info.framework_id.as_ref().map_or("", |id| &id.value);
        if !frameworks.contains(framework) {
            return Err(format!("Executor has an invalid FrameworkID '{framework}'"));
        }
        let id = info.executor_id.value.as_str();
        if !executors.insert((framework, id)) {
            return Err(format!("Framework '{framework}' has a duplicate ExecutorID '{id}'"));
        }
    }

    let agent = message.agent.id.as_ref().map_or("", |id| &id.value);
    for task in &message.tasks {
        ids::id(&task.task_id.value).map_err(|why| format!("Task has an invalid TaskID: {why}"))?;
        if task.agent_id.value != agent {
            return Err(format!("Task has an invalid SlaveID '{}'", task.agent_id.value));
        }
        let framework = task.framework_id.value.as_str();
        if !frameworks.contains(framework) {
            return Err(format!("Task has an invalid FrameworkID '{framework}'"));
        }
        // Command executors are known to the agent alone, and it leaves their ids out.
        if let Some(id) = &task.executor_id
            && task.state() == TaskState::TaskRunning
            && !executors.contains(&(framework, id.value.as_str()))
        {
            return Err(format!("Task has an invalid ExecutorID '{}'", id.value));
        }
        valid(&task.resources).map_err(|why| format!("Task uses invalid resources: {why}"))?;
    }
    Ok(())
}

/// A fault domain as operators write it: JSON with a region and a zone that have names.
pub fn domain(text: &str) -> Result<v1::DomainInfo, String> {
    let domain: v1::DomainInfo = proto::json::from_slice(text.as_bytes()).map_err(|error| error.to_string())?;
    match crate::capabilities::fault_domain(Some(&domain)) {
        None => Err("'fault_domain' is missing".into()),
        Some((region, zone)) if region.is_empty() || zone.is_empty() => {
            Err("region and zone of a fault domain need names".into())
        }
        Some(_) => Ok(domain),
    }
}
