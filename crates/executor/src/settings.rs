//! What the agent tells an executor through `MESOS_*` environment variables.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where the agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The executor's settings, all from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub framework_id: String,
    pub executor_id: String,
    pub endpoint: Endpoint,
    /// What goes into the `Host` header.
    pub host: String,
    /// The framework's tasks survive a restart of the agent.
    pub checkpoint: bool,
    pub recovery_timeout: Duration,
    pub backoff_max: Duration,
    pub shutdown_grace: Duration,
    pub token: Option<String>,
    pub container_ip: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{0} is not set; the agent starts executors, people do not")]
    Missing(&'static str),
    #[error("{name} is '{value}', which is no {expected}")]
    Invalid { name: &'static str, value: String, expected: &'static str },
}

impl Settings {
    /// Reads the settings with `lookup`, usually `std::env::var`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, SettingsError> {
        let need = |name: &'static str| lookup(name).filter(|v| !v.is_empty()).ok_or(SettingsError::Missing(name));
        let duration = |name: &'static str, default: Duration| match lookup(name).filter(|v| !v.is_empty()) {
            None => Ok(default),
            Some(value) => match stdx::units::parse_duration(&value) {
                Ok(duration) => Ok(duration),
                Err(_) => Err(SettingsError::Invalid { name, value, expected: "duration" }),
            },
        };
        let (endpoint, host) = match lookup("MESOS_DOMAIN_SOCKET").filter(|v| !v.is_empty()) {
            Some(path) => (Endpoint::Unix(path.into()), "localhost".to_owned()),
            None => {
                let name = "MESOS_AGENT_ENDPOINT";
                let value = need(name)?;
                let address = match value.parse() {
                    Ok(address) => Some(address),
                    Err(_) => stdx::hosts::resolve(&value).ok().and_then(|found| found.first().copied()),
                };
                match address {
                    Some(address) => (Endpoint::Tcp(address), value),
                    None => return Err(SettingsError::Invalid { name, value, expected: "address of an agent" }),
                }
            }
        };
        Ok(Settings {
            framework_id: need("MESOS_FRAMEWORK_ID")?,
            executor_id: need("MESOS_EXECUTOR_ID")?,
            endpoint,
            host,
            checkpoint: lookup("MESOS_CHECKPOINT").is_some_and(|value| value == "1"),
            recovery_timeout: duration("MESOS_RECOVERY_TIMEOUT", Duration::from_secs(15 * 60))?,
            backoff_max: duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", Duration::from_secs(2))?,
            shutdown_grace: duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Duration::from_secs(5))?,
            token: lookup("MESOS_EXECUTOR_AUTHENTICATION_TOKEN").filter(|value| !value.is_empty()),
            container_ip: lookup("MESOS_CONTAINER_IP").filter(|value| !value.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(extra: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        let base =
            [("MESOS_FRAMEWORK_ID", "f"), ("MESOS_EXECUTOR_ID", "e"), ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051")];
        move |name| extra.iter().chain(base.iter()).find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn defaults_are_those_of_mesos() {
        let settings = Settings::from_lookup(lookup(&[])).expect("complete");
        assert_eq!(settings.recovery_timeout, Duration::from_secs(900));
        assert_eq!(settings.backoff_max, Duration::from_secs(2));
        assert_eq!(settings.shutdown_grace, Duration::from_secs(5));
        assert!(!settings.checkpoint);
        assert_eq!(settings.host, "127.0.0.1:5051");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(Settings::from_lookup(|_| None), Err(SettingsError::Missing("MESOS_AGENT_ENDPOINT")));
        let error = Settings::from_lookup(lookup(&[("MESOS_RECOVERY_TIMEOUT", "soon")])).expect_err("no duration");
        assert_eq!(error.to_string(), "MESOS_RECOVERY_TIMEOUT is 'soon', which is no duration");
    }

    #[test]
    fn a_domain_socket_wins_over_the_address() {
        let settings = Settings::from_lookup(lookup(&[("MESOS_DOMAIN_SOCKET", "/run/agent.sock")])).expect("complete");
        assert_eq!(settings.endpoint, Endpoint::Unix("/run/agent.sock".into()));
    }
}
