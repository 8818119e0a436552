//! Calls of executors.

use super::{check, ids, present, type_of};
use proto::v1::{
    TaskState,
    executor::{Call, call::Type},
    task_status::Source,
};

pub fn executor_call(call: &Call) -> Result<(), String> {
    match type_of(call.r#type)? {
        Type::Unknown | Type::Heartbeat => Ok(()),
        Type::Subscribe => present(&call.subscribe, "subscribe").map(drop),
        Type::Message => present(&call.message, "message").map(drop),
        Type::Update => update(call),
    }
}

fn update(call: &Call) -> Result<(), String> {
    let status = &present(&call.update, "update")?.status;
    ids::uuid(present(&status.uuid, "uuid")?)?;
    let (executor, framework) = (&call.executor_id.value, &call.framework_id.value);
    if let Some(said) = &status.executor_id
        && said.value != *executor
    {
        return Err(format!("ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}", said.value));
    }
    if status.source() != Source::Executor {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, expecting \
             'SOURCE_EXECUTOR'"
        ));
    }
    match TaskState::try_from(status.state) {
        Ok(TaskState::TaskStaging) => {
            Err(format!("Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"))
        }
        Ok(_) => status.check_status.as_ref().map_or(Ok(()), check::check_status),
        Err(_) => Err(format!("Received an unknown state from executor {executor} of framework {framework}")),
    }
}
