//! Pod files: several containers that live and die together. Two shapes, both JSON or YAML: Mesos's `TaskGroupInfo`,
//! and a shorter one (docs/pods.md). Pure; `run` launches what is read here.

use std::{collections::BTreeMap, time::Duration};

use proto::v1::{self, health_check};
use resources::{Quantities, Resources};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    compose::{self, Wish},
    framework::Part,
};

/// What a pod's executor takes beside its containers.
const EXECUTOR_CPUS: f64 = 0.1;
const EXECUTOR_MEM: f64 = 32.0;
/// Masters demand some.
const EXECUTOR_DISK: f64 = 1.0;
/// What a container of the short form gets if it does not say.
const DEFAULT_CPUS: f64 = 0.1;
const DEFAULT_MEM: f64 = 32.0;

#[derive(Clone, Debug)]
pub struct Pod {
    pub name: Option<String>,
    /// Task ids are left empty.
    pub parts: Vec<Part>,
    pub executor: Quantities,
}

/// Reads a pod file.
pub fn parse(text: &str) -> Result<Pod, String> {
    let document: Value = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?,
        false => serde_yaml_ng::from_str(text).map_err(|error| format!("this is not YAML: {error}"))?,
    };
    let pod = match (document.get("containers"), document.get("tasks")) {
        (Some(_), None) => short(document)?,
        (None, Some(_)) => task_group(document)?,
        _ => return Err("a pod has `containers` (short form) or `tasks` (Mesos's TaskGroupInfo)".to_owned()),
    };
    check(pod)
}

fn check(pod: Pod) -> Result<Pod, String> {
    let mut names: Vec<&str> = pod.parts.iter().map(|part| part.task.name.as_str()).collect();
    if names.is_empty() {
        return Err("the pod has no containers".to_owned());
    }
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [one, other] = pair
            && one == other
        {
            return Err(format!("two containers are called '{one}'"));
        }
    }
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(format!("'{name}' cannot be a container's name: use letters, digits, '-', '_' and '.'"));
    }
    Ok(pod)
}

/// Names become parts of task ids, which are names of directories.
pub fn is_name(text: &str) -> bool {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 100 && text.chars().all(usual) && !text.starts_with('.')
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Short {
    name: Option<String>,
    user: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
    executor: Option<ShortExecutor>,
    containers: Vec<ShortContainer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortExecutor {
    cpus: Option<f64>,
    mem: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortContainer {
    name: String,
    command: Option<String>,
    argv: Option<Vec<String>>,
    cpus: Option<f64>,
    mem: Option<f64>,
    disk: Option<f64>,
    gpus: Option<f64>,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
    #[serde(default)]
    uris: Vec<String>,
    user: Option<String>,
    health: Option<ShortHealth>,
    kill_after: Option<Time>,
    kill_grace: Option<Time>,
}

/// YAML reads `PORT: 80` as a number; an environment has text only.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Switch(bool),
}

/// Seconds, or text such as `10secs`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Seconds(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortHealth {
    command: Option<String>,
    http: Option<ShortHttp>,
    tcp: Option<ShortTcp>,
    delay: Option<Time>,
    interval: Option<Time>,
    timeout: Option<Time>,
    grace: Option<Time>,
    failures: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortHttp {
    port: u32,
    path: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortTcp {
    port: u32,
}

fn short(document: Value) -> Result<Pod, String> {
    let short: Short = serde_json::from_value(document).map_err(|error| error.to_string())?;
    if let Some(name) = short.name.as_deref().filter(|name| !is_name(name)) {
        return Err(format!("'{name}' cannot be a pod's name: use letters, digits, '-', '_' and '.'"));
    }
    let (user, env) = (short.user, texts(short.env));
    let read = |container: ShortContainer| {
        let name = container.name.clone();
        short_container(container, &env, user.as_deref()).map_err(|why| format!("container '{name}': {why}"))
    };
    let parts = short.containers.into_iter().map(read).collect::<Result<_, _>>()?;
    let asked = short.executor.unwrap_or(ShortExecutor { cpus: None, mem: None });
    let (cpus, mem) = (asked.cpus.unwrap_or(EXECUTOR_CPUS), asked.mem.unwrap_or(EXECUTOR_MEM));
    Ok(Pod { name: short.name, parts, executor: compose::needs(cpus, mem, EXECUTOR_DISK, 0.0)? })
}

fn short_container(
    container: ShortContainer,
    env: &BTreeMap<String, String>,
    user: Option<&str>,
) -> Result<Part, String> {
    let (command, argv) = match (container.command, container.argv) {
        (Some(command), None) => (vec![command], false),
        (None, Some(argv)) if !argv.is_empty() => (argv, true),
        _ => return Err("it needs `command` (for a shell) or `argv` (a program and its arguments)".to_owned()),
    };
    let mut all = env.clone();
    all.extend(texts(container.env));
    let wish = Wish {
        command,
        argv,
        env: all,
        uris: container.uris.iter().map(|uri| compose::parse_uri(uri)).collect::<Result<_, _>>()?,
        user: container.user.or_else(|| user.map(str::to_owned)),
        needs: compose::needs(
            container.cpus.unwrap_or(DEFAULT_CPUS),
            container.mem.unwrap_or(DEFAULT_MEM),
            container.disk.unwrap_or(0.0),
            container.gpus.unwrap_or(0.0),
        )?,
        health: container.health.map(health).transpose()?,
        kill_after: container.kill_after.map(time).transpose()?,
        kill_grace: container.kill_grace.map(time).transpose()?,
    };
    Ok(wish.part(&container.name, ""))
}

fn texts(variables: BTreeMap<String, Scalar>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Scalar::Text(text) => text,
        Scalar::Number(number) => number.to_string(),
        Scalar::Switch(switch) => switch.to_string(),
    };
    variables.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn time(time: Time) -> Result<Duration, String> {
    match time {
        Time::Text(text) => compose::parse_duration(&text),
        Time::Seconds(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} is not a number of seconds"))
        }
    }
}

fn health(short: ShortHealth) -> Result<v1::HealthCheck, String> {
    let seconds = |asked: Option<Time>| asked.map(time).transpose().map(|asked| asked.map(|it| it.as_secs_f64()));
    let mut check = v1::HealthCheck {
        delay_seconds: seconds(short.delay)?.or(Some(0.0)),
        interval_seconds: seconds(short.interval)?,
        timeout_seconds: seconds(short.timeout)?,
        grace_period_seconds: seconds(short.grace)?,
        consecutive_failures: short.failures,
        ..Default::default()
    };
    match (short.command, short.http, short.tcp) {
        (Some(command), None, None) => {
            check.r#type = Some(health_check::Type::Command as i32);
            check.command = Some(compose::command_line(&[command], false));
        }
        (None, Some(http), None) => {
            check.r#type = Some(health_check::Type::Http as i32);
            let path = http.path;
            check.http = Some(health_check::HttpCheckInfo { port: http.port, path, ..Default::default() });
        }
        (None, None, Some(tcp)) => {
            check.r#type = Some(health_check::Type::Tcp as i32);
            check.tcp = Some(health_check::TcpCheckInfo { port: tcp.port, ..Default::default() });
        }
        _ => return Err("health needs one of `command`, `http: {port, path}` and `tcp: {port}`".to_owned()),
    }
    Ok(check)
}

/// Mesos's shape. Ids and agents are for the launch to fill in; files may leave them out.
fn task_group(mut document: Value) -> Result<Pod, String> {
    let tasks = document.get_mut("tasks").and_then(Value::as_array_mut);
    for task in tasks.into_iter().flatten() {
        let Some(task) = task.as_object_mut() else { continue };
        for id in ["task_id", "agent_id"] {
            task.entry(id).or_insert_with(|| serde_json::json!({"value": ""}));
        }
        // Older files of Mesos call agents so.
        task.remove("slave_id");
    }
    let text = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
    let group: v1::TaskGroupInfo =
        proto::json::from_slice(&text).map_err(|error| format!("this is not a TaskGroupInfo: {error}"))?;
    let parts = group.tasks.into_iter().map(group_task).collect::<Result<_, _>>()?;
    Ok(Pod { name: None, parts, executor: compose::needs(EXECUTOR_CPUS, EXECUTOR_MEM, EXECUTOR_DISK, 0.0)? })
}

fn group_task(mut task: v1::TaskInfo) -> Result<Part, String> {
    let wrong = |why: String| format!("task '{}': {why}", task.name);
    for resource in &task.resources {
        compose::check_amount(&resource.name, resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value))
            .map_err(wrong)?;
    }
    let asked = Resources::from_protos(&task.resources).map_err(|error| wrong(error.to_string()))?;
    if let Some(odd) = asked.iter().find(|resource| resource.scalar().is_none() || resource.disk().is_some()) {
        return Err(wrong(format!("'{odd}' cannot be asked for here; plain amounts (cpus, mem, disk, gpus) can")));
    }
    if task.executor.is_some() {
        return Err(wrong("a task of a pod has no executor of its own".to_owned()));
    }
    let needs = asked.quantities();
    task.resources.clear();
    Ok(Part { task, needs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "
name: web
env: {LEVEL: 3, DEBUG: true}
executor: {cpus: 0.2}
containers:
  - name: server
    command: ./serve
    cpus: 0.5
    mem: 64
    env: {LEVEL: high}
    uris: ['http://h/serve:executable']
    health: {http: {port: 80, path: /ok}, interval: 2, grace: 10secs}
    kill_grace: 5
  - name: side
    argv: [sleep, '100']
    user: nobody
";

    #[test]
    fn the_short_form_says_much_with_little() {
        let pod = parse(SHORT).expect("valid");
        assert_eq!(pod.name.as_deref(), Some("web"));
        assert_eq!(pod.executor.to_string(), "cpus:0.2; disk:1; mem:32");
        let [server, side] = &pod.parts[..] else { panic!("two containers") };
        assert_eq!(server.needs.to_string(), "cpus:0.5; mem:64");
        let command = server.task.command.clone().expect("a command");
        assert_eq!((command.value(), command.shell()), ("./serve", true));
        let variables = command.environment.expect("an environment").variables;
        let variables: Vec<_> = variables.iter().map(|it| (it.name.as_str(), it.value())).collect();
        assert_eq!(variables, [("DEBUG", "true"), ("LEVEL", "high")]);
        let health = server.task.health_check.clone().expect("a check");
        assert_eq!((health.interval_seconds(), health.grace_period_seconds()), (2.0, 10.0));
        assert_eq!(health.http.expect("http").path(), "/ok");
        let command = side.task.command.clone().expect("a command");
        assert_eq!((command.value(), command.shell(), command.arguments.len()), ("sleep", false, 2));
        assert_eq!(command.user(), "nobody");
    }

    #[test]
    fn the_examples_of_the_manual_are_pods() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pods.md")).expect("the page");
        let examples: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
        let sizes: Vec<usize> = examples
            .iter()
            .filter_map(|block| block.split_once('\n'))
            .map(|(_, text)| parse(text).expect(text).parts.len())
            .collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn json_is_as_good_as_yaml() {
        let json = r#"{"containers": [{"name": "a", "command": "true"}]}"#;
        assert_eq!(parse(json).expect("valid").parts.len(), 1);
    }

    #[test]
    fn the_shape_of_mesos_is_read_with_and_without_ids() {
        let text = r#"{"tasks": [
            {"name": "a", "task_id": {"value": "x"}, "agent_id": {"value": ""},
             "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.25}}],
             "command": {"value": "sleep 1"}},
            {"name": "b", "resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 16}}],
             "command": {"value": "sleep 2"}}]}"#;
        let pod = parse(text).expect("valid");
        let needs: Vec<String> = pod.parts.iter().map(|part| part.needs.to_string()).collect();
        assert_eq!(needs, ["cpus:0.25", "mem:16"]);
        assert!(pod.parts.iter().all(|part| part.task.resources.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("containers: []", "no containers"),
            ("x: 1", "`containers`"),
            ("containers: [{name: a}]", "container 'a': it needs `command`"),
            ("containers: [{name: a, command: x, cpu: 1}]", "cpu"),
            ("containers: [{name: a, command: x}, {name: a, command: y}]", "two containers are called 'a'"),
            ("containers: [{name: a/b, command: x}]", "'a/b' cannot be"),
            ("containers: [{name: a, command: x, health: {}}]", "health needs one of"),
            ("containers: [{name: a, command: x, kill_after: soon}]", "'soon'"),
            ("containers: [{name: a, command: x, cpus: -1}]", "cpus"),
            ("containers: [{name: a, command: x, mem: 1e20}]", "mem cannot be"),
            (
                r#"{"tasks": [{"name": "a", "resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 1e20}}]}]}"#,
                "mem cannot be",
            ),
            (r#"{"tasks": [{"name": 5}]}"#, "TaskGroupInfo"),
            ("{", "not JSON"),
            ("a: [", "not YAML"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
