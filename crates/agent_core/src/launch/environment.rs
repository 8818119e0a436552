//! The environment that executors and nested containers are promised.

use crate::{ExecutorKind, config::Config, state::Executor};
use proto::v1;
use std::time::Duration;
use stdx::units::print_duration;

/// The environment of an executor; `command` is its own, whose variables win.
pub(crate) fn of_executor(
    config: &Config,
    agent: &v1::AgentId,
    executor: &Executor,
    checkpoint: bool,
) -> Result<Vec<(String, String)>, String> {
    let grace = shutdown_grace(config, &executor.info);
    let mut environment = config.executor_environment.clone();
    let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
    set("MESOS_FRAMEWORK_ID", executor.framework.as_str().to_owned());
    set("MESOS_EXECUTOR_ID", executor.id.as_str().to_owned());
    set("MESOS_DIRECTORY", executor.sandbox.as_ref().to_owned());
    set("MESOS_SANDBOX", sandbox_inside(config, executor.info.container.as_deref(), &executor.sandbox));
    set("MESOS_SLAVE_ID", agent.value.clone());
    set("MESOS_SLAVE_PID", config.upid.to_string());
    set("MESOS_AGENT_ENDPOINT", config.upid.address());
    let local = executor.kind != ExecutorKind::Custom || config.http_executor_domain_sockets;
    if let Some(path) = config.domain_socket.as_ref().filter(|_| local) {
        set("MESOS_DOMAIN_SOCKET", path.clone());
    }
    set("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" }.to_owned());
    set("MESOS_HTTP_COMMAND_EXECUTOR", "1".to_owned());
    set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", print_duration(grace));
    if checkpoint {
        set("MESOS_RECOVERY_TIMEOUT", print_duration(config.recovery_timeout));
        // An executor that waits as long as we do might come back too late.
        set("MESOS_SUBSCRIPTION_BACKOFF_MAX", print_duration(config.executor_reregistration_timeout / 2));
    }
    set("LIBPROCESS_PORT", "0".to_owned());
    set("LIBPROCESS_IP", config.upid.host.as_ref().to_owned());
    set("MESOS_CONTAINER_IP", config.upid.host.as_ref().to_owned());
    set("HOSTNAME", hostname_inside(config, executor.info.container.as_deref()));
    extend(&mut environment, executor.info.command.as_ref())?;
    Ok(environment)
}

/// The environment of a container that an operator or executor launches.
pub(crate) fn of_container(
    config: &Config,
    sandbox: &str,
    container: Option<&v1::ContainerInfo>,
    command: Option<&v1::CommandInfo>,
) -> Result<Vec<(String, String)>, String> {
    let mut environment = vec![
        ("MESOS_SANDBOX".to_owned(), sandbox_inside(config, container, sandbox)),
        ("MESOS_CONTAINER_IP".to_owned(), config.upid.host.as_ref().to_owned()),
        ("LIBPROCESS_PORT".to_owned(), "0".to_owned()),
        ("LIBPROCESS_IP".to_owned(), config.upid.host.as_ref().to_owned()),
        ("HOSTNAME".to_owned(), hostname_inside(config, container)),
    ];
    extend(&mut environment, command)?;
    Ok(environment)
}

/// What whoever joins a running executor finds: what that has, and of a command task what the task has.
pub(crate) fn in_executor(
    config: &Config,
    agent: &v1::AgentId,
    executor: &Executor,
    checkpoint: bool,
) -> Result<Vec<(String, String)>, String> {
    let mut environment = of_executor(config, agent, executor, checkpoint)?;
    if executor.kind == ExecutorKind::Command {
        for task in executor.tasks.values() {
            extend(&mut environment, task.info.command.as_ref())?;
        }
    }
    Ok(environment)
}

/// The environment of a session in a container that has this one.
pub(crate) fn of_session(
    mut inside: Vec<(String, String)>,
    command: Option<&v1::CommandInfo>,
) -> Result<Vec<(String, String)>, String> {
    extend(&mut inside, command)?;
    Ok(inside)
}

/// Adds what the command sets, secrets too; later entries win.
fn extend(environment: &mut Vec<(String, String)>, command: Option<&v1::CommandInfo>) -> Result<(), String> {
    let variables = command.and_then(|command| command.environment.as_ref()).map(|e| e.variables.as_slice());
    for variable in variables.unwrap_or_default() {
        if let Some(value) = proto::environment::value_of(variable)? {
            let value = String::from_utf8(value.to_vec())
                .map_err(|_| format!("The secret of the environment variable '{}' is no text", variable.name))?;
            environment.push((variable.name.clone(), value));
        }
    }
    Ok(())
}

/// The container's own name, or that of its host.
fn hostname_inside(config: &Config, container: Option<&v1::ContainerInfo>) -> String {
    container.and_then(|info| info.hostname.clone()).unwrap_or_else(|| config.info.hostname.clone())
}

/// Where a container sees its sandbox: elsewhere once it has its own root file system.
fn sandbox_inside(config: &Config, container: Option<&v1::ContainerInfo>, sandbox: &str) -> String {
    match container.and_then(|info| info.mesos.as_ref()).and_then(|mesos| mesos.image.as_ref()) {
        Some(_) => config.sandbox_directory.clone(),
        None => sandbox.to_owned(),
    }
}

pub(crate) fn shutdown_grace(config: &Config, info: &v1::ExecutorInfo) -> Duration {
    match &info.shutdown_grace_period {
        Some(period) => Duration::from_nanos(u64::try_from(period.nanoseconds).unwrap_or(0)),
        None => config.executor_shutdown_grace_period,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_set_and_what_cannot_be_set_is_named() {
        use v1::{Secret, environment::Variable, environment::variable::Type, secret};
        let command = |secret: Secret| v1::CommandInfo {
            environment: Some(v1::Environment {
                variables: vec![Variable {
                    name: "TOKEN".into(),
                    r#type: Some(Type::Secret as i32),
                    secret: Some(secret),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        };
        let value = |data: &'static [u8]| {
            command(Secret {
                r#type: Some(secret::Type::Value as i32),
                value: Some(secret::Value { data: data.into() }),
                ..Default::default()
            })
        };
        let mut environment = Vec::new();
        extend(&mut environment, Some(&value(b"s3cret"))).unwrap();
        assert_eq!(environment, [("TOKEN".to_owned(), "s3cret".to_owned())]);
        assert!(extend(&mut environment, Some(&value(b"\xff"))).unwrap_err().contains("'TOKEN' is no text"));
        let reference = Secret {
            r#type: Some(secret::Type::Reference as i32),
            reference: Some(secret::Reference { name: "vault".into(), ..Default::default() }),
            ..Default::default()
        };
        assert!(extend(&mut environment, Some(&command(reference))).unwrap_err().contains("'vault' by reference"));
    }
}
