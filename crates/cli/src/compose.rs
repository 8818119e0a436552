//! From what a person writes of a task (on the command line or in a pod file) to Mesos's messages. Pure.

use std::{collections::BTreeMap, path::Path, time::Duration};

use proto::v1::{self, command_info, environment::Variable};
use resources::Quantities;
use stdx::units;

use crate::{fit, framework::Part};

/// A task, or a container of a pod, as it is wished.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    pub command: Vec<String>,
    /// The command is a program and its arguments, not text for a shell.
    pub argv: bool,
    pub env: BTreeMap<String, String>,
    pub uris: Vec<v1::command_info::Uri>,
    pub user: Option<String>,
    pub needs: Quantities,
    pub health: Option<v1::HealthCheck>,
    pub kill_after: Option<Duration>,
    pub kill_grace: Option<Duration>,
}

impl Wish {
    pub fn part(&self, name: &str, task_id: &str) -> Part {
        let task = v1::TaskInfo {
            name: name.to_owned(),
            task_id: v1::TaskId { value: task_id.to_owned() },
            command: Some(self.command_info()),
            health_check: self.health.clone().map(Box::new),
            max_completion_time: self.kill_after.map(duration_info),
            kill_policy: self.kill_grace.map(|grace| v1::KillPolicy { grace_period: Some(duration_info(grace)) }),
            ..Default::default()
        };
        Part { task, needs: self.needs.clone() }
    }

    fn command_info(&self) -> v1::CommandInfo {
        let variables = self.env.iter().map(|(name, value)| Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..Default::default()
        });
        v1::CommandInfo {
            uris: self.uris.clone(),
            environment: (!self.env.is_empty()).then(|| v1::Environment { variables: variables.collect() }),
            user: self.user.clone(),
            ..command_line(&self.command, self.argv)
        }
    }
}

/// Words for a shell are joined; a program and its arguments stay apart.
pub fn command_line(words: &[String], argv: bool) -> v1::CommandInfo {
    match argv {
        false => v1::CommandInfo { shell: Some(true), value: Some(words.join(" ")), ..Default::default() },
        true => v1::CommandInfo {
            shell: Some(false),
            value: words.first().cloned(),
            arguments: words.to_vec(),
            ..Default::default()
        },
    }
}

/// Far beyond any machine, and well within what resources can count.
const AMOUNT_MAX: f64 = 1e9;
/// Resources are counted in thousandths.
const AMOUNT_MIN: f64 = 0.001;

/// What is wrong with an amount of a resource, if anything is.
pub fn check_amount(name: &str, amount: f64) -> Result<(), String> {
    match amount {
        0.0 => Ok(()),
        _ if (AMOUNT_MIN..=AMOUNT_MAX).contains(&amount) => Ok(()),
        _ => Err(format!("{name} cannot be {amount}; write 0 or a number from {AMOUNT_MIN} to {AMOUNT_MAX}")),
    }
}

/// cpus, mem (MiB), disk (MiB), gpus; zero means none.
pub fn needs(cpus: f64, mem: f64, disk: f64, gpus: f64) -> Result<Quantities, String> {
    let amounts = [("cpus", cpus), ("mem", mem), ("disk", disk), ("gpus", gpus)];
    for (name, amount) in amounts {
        check_amount(name, amount)?;
    }
    Ok(fit::quantities(amounts))
}

fn duration_info(duration: Duration) -> v1::DurationInfo {
    v1::DurationInfo { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
}

/// `K=V`.
pub fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not a variable; write NAME=VALUE")),
    }
}

/// Mesos's durations (`15secs`, `2mins`), and the short ones of other tools: `15s`, `2m`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let number_end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let unit = match unit {
        "" | "s" | "sec" => "secs",
        "m" | "min" => "mins",
        "h" | "hr" => "hrs",
        "d" | "day" => "days",
        other => other,
    };
    units::parse_duration(&format!("{number}{unit}"))
}

/// `URI[:OPTION…]`, options being `extract`, `noextract`, `executable`, `cache` and `output=NAME`. A path without a
/// scheme is one of this machine.
pub fn parse_uri(text: &str) -> Result<v1::command_info::Uri, String> {
    let mut uri = command_info::Uri::default();
    let mut rest = text;
    while let Some((before, option)) = rest.rsplit_once(':') {
        match option {
            "extract" => uri.extract = Some(true),
            "noextract" => uri.extract = Some(false),
            "executable" => uri.executable = Some(true),
            "cache" => uri.cache = Some(true),
            _ => match option.strip_prefix("output=") {
                Some(name) => uri.output_file = Some(name.to_owned()),
                None => break,
            },
        }
        rest = before;
    }
    if rest.is_empty() {
        return Err(format!("'{text}' names no file; write URI[:extract|:noextract|:executable|:cache|:output=NAME]"));
    }
    uri.value = match rest.contains("://") || rest.starts_with('/') {
        true => rest.to_owned(),
        false => std::path::absolute(Path::new(rest))
            .map_err(|error| format!("cannot make '{rest}' an absolute path: {error}"))?
            .to_string_lossy()
            .into_owned(),
    };
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_uri_come_behind_it() {
        let uri = parse_uri("http://h:80/a.tgz:extract:cache").expect("valid");
        assert_eq!((uri.value.as_str(), uri.extract, uri.cache), ("http://h:80/a.tgz", Some(true), Some(true)));
        let uri = parse_uri("file:///bin/x:executable:output=y").expect("valid");
        assert_eq!((uri.value.as_str(), uri.executable), ("file:///bin/x", Some(true)));
        assert_eq!(uri.output_file.as_deref(), Some("y"));
        assert_eq!(parse_uri("/a/b:noextract").expect("valid").extract, Some(false));
        assert_eq!(parse_uri("http://h:80/a").expect("valid").value, "http://h:80/a");
        assert!(parse_uri("x").expect("valid").value.starts_with('/'));
        assert!(parse_uri(":extract").is_err());
    }

    #[test]
    fn durations_in_both_dialects() {
        for (text, expected) in [("10", 10.0), ("1.5s", 1.5), ("2m", 120.0), ("15secs", 15.0), ("1hrs", 3600.0)] {
            assert_eq!(parse_duration(text).expect(text).as_secs_f64(), expected);
        }
        assert!(parse_duration("soon").is_err());
    }

    #[test]
    fn amounts_below_zero_are_refused() {
        assert!(needs(-1.0, 0.0, 0.0, 0.0).expect_err("negative").contains("cpus"));
        for amount in [f64::NAN, f64::INFINITY, 1e20, -0.1, 0.0001] {
            assert!(needs(0.0, amount, 0.0, 0.0).expect_err("no amount").contains("mem"), "{amount}");
        }
        assert_eq!(needs(0.5, 32.0, 0.0, 0.0).expect("valid").to_string(), "cpus:0.5; mem:32");
    }
}
