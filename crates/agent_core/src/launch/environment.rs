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
) -> Vec<(String, String)> {
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
    extend(&mut environment, executor.info.command.as_ref());
    environment
}

/// The environment of a container that an operator or executor launches.
pub(crate) fn of_container(
    config: &Config,
    sandbox: &str,
    container: Option<&v1::ContainerInfo>,
    command: Option<&v1::CommandInfo>,
) -> Vec<(String, String)> {
    let mut environment = vec![
        ("MESOS_SANDBOX".to_owned(), sandbox_inside(config, container, sandbox)),
        ("MESOS_CONTAINER_IP".to_owned(), config.upid.host.as_ref().to_owned()),
        ("LIBPROCESS_PORT".to_owned(), "0".to_owned()),
        ("LIBPROCESS_IP".to_owned(), config.upid.host.as_ref().to_owned()),
        ("HOSTNAME".to_owned(), hostname_inside(config, container)),
    ];
    extend(&mut environment, command);
    environment
}

/// Adds what the command sets; later entries win.
fn extend(environment: &mut Vec<(String, String)>, command: Option<&v1::CommandInfo>) {
    let variables = command.and_then(|command| command.environment.as_ref()).map(|e| e.variables.as_slice());
    for variable in variables.unwrap_or_default() {
        if let Some(value) = &variable.value {
            environment.push((variable.name.clone(), value.clone()));
        }
    }
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
