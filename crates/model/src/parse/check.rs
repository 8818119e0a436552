//! Checks, health checks, and what executors report of checks.

use super::container;
use proto::v1::{CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, check_info, health_check};

pub fn health_check(check: &HealthCheck) -> Result<(), String> {
    use health_check::Type;
    let missing = |field: &str, kind: &str| format!("Expecting '{field}' to be set for {kind} health check");
    match check.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        None => return Err("HealthCheck must specify 'type'".into()),
        Some(Type::Unknown) => return Err("'UNKNOWN' is not a valid health check type".into()),
        Some(Type::Command) => {
            let command = check.command.as_ref().ok_or_else(|| missing("command", "COMMAND"))?;
            check_command(command, "Command health check", "Health check's")?;
        }
        Some(Type::Http) => {
            let http = check.http.as_ref().ok_or_else(|| missing("http", "HTTP"))?;
            if let Some(scheme) = &http.scheme
                && !matches!(scheme.as_str(), "http" | "https")
            {
                return Err(format!("Unsupported HTTP health check scheme: '{scheme}'"));
            }
            if let Some(path) = &http.path
                && !path.starts_with('/')
            {
                return Err(format!("The path '{path}' of HTTP health check must start with '/'"));
            }
        }
        Some(Type::Tcp) => drop(check.tcp.as_ref().ok_or_else(|| missing("tcp", "TCP"))?),
    }
    not_negative([
        ("delay_seconds", check.delay_seconds),
        ("grace_period_seconds", check.grace_period_seconds),
        ("interval_seconds", check.interval_seconds),
        ("timeout_seconds", check.timeout_seconds),
    ])
}

pub fn check_info(check: &CheckInfo) -> Result<(), String> {
    use check_info::Type;
    let missing = |field: &str, kind: &str| format!("Expecting '{field}' to be set for {kind} check");
    match check.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        None => return Err("CheckInfo must specify 'type'".into()),
        Some(Type::Unknown) => return Err("'UNKNOWN' is not a valid check type".into()),
        Some(Type::Command) => {
            let command = check.command.as_ref().ok_or_else(|| missing("command", "COMMAND"))?;
            check_command(&command.command, "Command check", "Check's")?;
        }
        Some(Type::Http) => {
            let http = check.http.as_ref().ok_or_else(|| missing("http", "HTTP"))?;
            if let Some(path) = &http.path
                && !path.starts_with('/')
            {
                return Err(format!("The path '{path}' of HTTP check must start with '/'"));
            }
        }
        Some(Type::Tcp) => drop(check.tcp.as_ref().ok_or_else(|| missing("tcp", "TCP"))?),
    }
    not_negative([
        ("delay_seconds", check.delay_seconds),
        ("interval_seconds", check.interval_seconds),
        ("timeout_seconds", check.timeout_seconds),
    ])
}

pub fn check_status(status: &CheckStatusInfo) -> Result<(), String> {
    use check_info::Type;
    let (is_set, field, kind) = match status.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        None => return Err("CheckStatusInfo must specify 'type'".into()),
        Some(Type::Unknown) => return Err("'UNKNOWN' is not a valid check's status type".into()),
        Some(Type::Command) => (status.command.is_some(), "command", "COMMAND"),
        Some(Type::Http) => (status.http.is_some(), "http", "HTTP"),
        Some(Type::Tcp) => (status.tcp.is_some(), "tcp", "TCP"),
    };
    if is_set { Ok(()) } else { Err(format!("Expecting '{field}' to be set for {kind} check's status")) }
}

fn check_command(command: &CommandInfo, whose: &str, possessive: &str) -> Result<(), String> {
    if command.value.is_none() {
        let kind = if command.shell() { "'shell command'" } else { "'executable path'" };
        return Err(format!("{whose} must contain {kind}"));
    }
    container::command_info(command).map_err(|why| format!("{possessive} `CommandInfo` is invalid: {why}"))
}

fn not_negative<const N: usize>(fields: [(&str, Option<f64>); N]) -> Result<(), String> {
    match fields.iter().find(|(_, value)| value.is_some_and(|value| value < 0.0 || value.is_nan())) {
        Some((name, _)) => Err(format!("Expecting '{name}' to be non-negative")),
        None => Ok(()),
    }
}
