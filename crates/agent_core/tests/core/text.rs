//! Effects as stable text: one line each, ids and uuids by the order in which they appear.

use agent_core::{Effect, Event, Limits, Program, Record, Reply, State};
use proto::{
    internal::StatusUpdate,
    link::{ToExecutor, ToMaster},
    v1::{self, executor::event},
};
use std::{collections::BTreeMap, fmt::Write};

/// Short names for what is random.
#[derive(Default)]
pub struct Names {
    pub containers: Vec<String>,
    pub uuids: Vec<Vec<u8>>,
    pub details: bool,
    /// The last update that was forwarded, by framework and task.
    pub forwarded: BTreeMap<(String, String), bytes::Bytes>,
}

impl Names {
    fn uuid(&mut self, uuid: &[u8]) -> String {
        if uuid.is_empty() {
            return "-".into();
        }
        if uuid[0] == 0xee {
            return format!("x{}", uuid[15]);
        }
        let position = self.uuids.iter().position(|known| known == uuid).unwrap_or_else(|| {
            self.uuids.push(uuid.to_vec());
            self.uuids.len() - 1
        });
        format!("u{}", position + 1)
    }

    /// Puts short names in the place of containers' uuids.
    pub fn shorten(&mut self, text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((start, id)) = find_uuid(rest) {
            let position = self.containers.iter().position(|known| known == id).unwrap_or_else(|| {
                self.containers.push(id.to_owned());
                self.containers.len() - 1
            });
            write!(result, "{}c{}", &rest[..start], position + 1).unwrap();
            rest = &rest[start + 36..];
        }
        result + rest
    }

    /// Turns `c1` or `c1.a` back into the id of a container.
    pub fn container(&self, name: &str) -> agent_core::ContainerId {
        let (root, rest) = name.split_once('.').map_or((name, None), |(root, rest)| (root, Some(rest)));
        let number = root.strip_prefix('c').and_then(|n| n.parse::<usize>().ok());
        let root = number.and_then(|n| self.containers.get(n - 1)).map_or(root, String::as_str);
        let id = agent_core::ContainerId::root_of(root);
        rest.into_iter().flat_map(|rest| rest.split('.')).fold(id, |id, name| id.child(name))
    }

    pub fn effect(&mut self, effect: &Effect) -> String {
        let text = match effect {
            Effect::ToMaster { to, message } => format!("ToMaster {to} {}", self.message(message)),
            Effect::Authenticate { master } => format!("Authenticate {master}"),
            Effect::ToDriver { to, message } => format!("ToDriver {to} {}", self.driver_message(message)),
            Effect::Link { peer } => format!("Link {peer}"),
            Effect::Unlink { peer } => format!("Unlink {peer}"),
            Effect::ToExecutor { conn, event } => format!("ToExecutor #{conn} {}", self.event(event)),
            Effect::Reply { req, reply } => format!("Reply {req} {}", reply_text(reply)),
            Effect::Close { conn } => format!("Close #{conn}"),
            Effect::Checkpoint { ticket, record } => {
                let ticket = ticket.map_or("-".into(), |ticket| ticket.to_string());
                format!("Checkpoint {ticket} {}", self.record(record))
            }
            Effect::Launch { spec } => {
                let program = match &spec.program {
                    Program::Shell(text) => format!("sh {text:?}"),
                    Program::Argv { path, arguments } => format!("argv {path} {arguments:?}"),
                    Program::Executor(kind) => format!("executor {kind:?}"),
                };
                let mut text = format!(
                    "Launch {} {:?} {program} user={} sandbox={} {} output={:?}{}",
                    spec.container,
                    spec.class,
                    spec.user.as_deref().unwrap_or("-"),
                    spec.sandbox,
                    limits_text(&spec.limits),
                    spec.output,
                    if spec.share_cgroups { " share_cgroups" } else { "" },
                );
                for link in &spec.volumes {
                    write!(text, " volume {}={}", link.name, link.path).unwrap();
                }
                if self.details {
                    write!(text, "\n    latest_link={:?}", spec.latest_link).unwrap();
                    for (name, value) in &spec.environment {
                        write!(text, "\n    {name}={value}").unwrap();
                    }
                }
                text
            }
            Effect::UpdateLimits { container, limits } => format!("UpdateLimits {container} {}", limits_text(limits)),
            Effect::Signal { container, signal } => format!("Signal {container} {signal}"),
            Effect::Destroy { container } => format!("Destroy {container}"),
            Effect::Remove { container, sandbox } => format!("Remove {container} {sandbox}"),
            Effect::RetireSandbox { path, at } => format!("RetireSandbox {path} at {at}"),
            Effect::MakeVolume { path } => format!("MakeVolume {path}"),
            Effect::RemoveVolume { path, keep_directory } => {
                format!("RemoveVolume {path}{}", if *keep_directory { " but the directory" } else { "" })
            }
            Effect::LinkVolumes { ticket, container, volumes } => {
                let links: Vec<String> = volumes.iter().map(|link| format!("{}={}", link.name, link.path)).collect();
                format!("LinkVolumes {ticket} {container} {}", links.join(" "))
            }
            Effect::MeasureDisk => "MeasureDisk".into(),
            Effect::PruneSandboxes { retired_until } => format!("PruneSandboxes until {retired_until}"),
            Effect::Exit { code, why } => format!("Exit {code} {why:?}"),
        };
        self.shorten(&text)
    }

    pub fn cause(&mut self, event: &Event) -> String {
        let text = match event {
            Event::Checkpointed { ticket, outcome } => format!("Checkpointed {ticket} {outcome:?}"),
            Event::Launched { container, outcome } => {
                format!("Launched {container} {}", if outcome.is_ok() { "ok" } else { "failed" })
            }
            Event::Terminated { container, termination } => {
                format!("Terminated {container} status={:?}", termination.status)
            }
            Event::VolumesLinked { ticket, outcome } => format!("VolumesLinked {ticket} {outcome:?}"),
            _ => "Wake".into(),
        };
        self.shorten(&text)
    }

    fn update(&mut self, update: &StatusUpdate) -> String {
        let status = &update.status;
        let mut text = format!("{}/{} {}", update.framework_id.value, status.task_id.value, state_name(status.state()));
        if let Some(executor) = &update.executor_id {
            write!(text, " executor={}", executor.value).unwrap();
        }
        if let Some(latest) = update.latest_state {
            write!(text, " latest={}", state_name(v1::TaskState::try_from(latest).unwrap())).unwrap();
        }
        write!(text, " {}", status.source().as_str_name().trim_start_matches("SOURCE_")).unwrap();
        if status.reason.is_some() {
            write!(text, " {}", status.reason().as_str_name()).unwrap();
        }
        if let Some(message) = &status.message {
            write!(text, " {message:?}").unwrap();
        }
        if let Some(container) = &status.container_status {
            write!(text, " container={}", container.container_id.as_ref().map_or("-", |id| &id.value)).unwrap();
        }
        format!("{text} {}", self.uuid(update.uuid()))
    }

    fn message(&mut self, message: &ToMaster) -> String {
        match message {
            ToMaster::RegisterSlave(message) => {
                let capabilities = message.agent_capabilities.len();
                format!(
                    "RegisterSlave {} version={} capabilities={capabilities}",
                    message.agent.hostname,
                    message.version()
                )
            }
            ToMaster::ReregisterSlave(message) => {
                let id = message.agent.id.as_ref().map_or("-", |id| &id.value);
                let mut text = format!("ReregisterSlave {id}");
                if !message.checkpointed_resources.is_empty() {
                    let kept = resources::Resources::from_protos(&message.checkpointed_resources).unwrap();
                    write!(text, " checkpointed=[{kept}]").unwrap();
                }
                for framework in &message.frameworks {
                    write!(text, " framework={}", framework.name).unwrap();
                }
                for executor in &message.executor_infos {
                    write!(text, " executor={}", executor.executor_id.value).unwrap();
                }
                for task in &message.tasks {
                    write!(text, " task={}", row_text(task)).unwrap();
                }
                for framework in &message.completed_frameworks {
                    let tasks: Vec<String> = framework.tasks.iter().map(row_text).collect();
                    write!(text, " completed={}[{}]", framework.framework_info.name, tasks.join(",")).unwrap();
                }
                text
            }
            ToMaster::StatusUpdate(message) => {
                let update = &message.update;
                let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
                self.forwarded.insert(key, update.uuid.clone().unwrap_or_default());
                format!("StatusUpdate {}", self.update(update))
            }
            ToMaster::ExecutorToFramework(message) => {
                format!(
                    "ExecutorToFramework {}/{} {:?}",
                    message.framework_id.value, message.executor_id.value, message.data
                )
            }
            ToMaster::ExitedExecutor(message) => {
                format!(
                    "ExitedExecutor {}/{} status={}",
                    message.framework_id.value, message.executor_id.value, message.status
                )
            }
            ToMaster::UpdateSlave(message) => {
                let mut text = format!("UpdateSlave {}", message.agent_id.value);
                for operation in message.operations.iter().flat_map(|all| &all.operations) {
                    write!(text, " operation={}", operation.info.r#type().as_str_name()).unwrap();
                }
                text
            }
            ToMaster::UnregisterSlave(message) => format!("UnregisterSlave {}", message.agent_id.value),
            ToMaster::UpdateOperationStatus(message) => {
                format!("UpdateOperationStatus {} {:?}", message.status.state().as_str_name(), message.status.message())
            }
            ToMaster::PongSlave(_) => "PongSlave".into(),
        }
    }

    fn driver_message(&mut self, message: &ToExecutor) -> String {
        let name = message.name().rsplit('.').next().unwrap().trim_end_matches("Message");
        let detail = match message {
            ToExecutor::ExecutorRegistered(m) => {
                format!("{}/{} agent={}", m.framework_id.value, m.executor_info.executor_id.value, m.agent_id.value)
            }
            ToExecutor::ExecutorReregistered(m) => format!("agent={}", m.agent_id.value),
            ToExecutor::ReconnectExecutor(m) => format!("agent={}", m.agent_id.value),
            ToExecutor::RunTask(m) => format!("{} of {}", m.task.task_id.value, m.framework.name),
            ToExecutor::KillTask(m) => m.task_id.value.clone(),
            ToExecutor::StatusUpdateAcknowledgement(m) => format!("{} {}", m.task_id.value, self.uuid(&m.uuid)),
            ToExecutor::FrameworkToExecutor(m) => format!("{:?}", m.data),
            ToExecutor::ShutdownExecutor(m) => {
                let executor = m.executor_id.as_ref().map_or("-", |id| id.value.as_str());
                format!("{}/{executor}", m.framework_id.as_ref().map_or("-", |id| id.value.as_str()))
            }
        };
        format!("{name} {detail}")
    }

    fn event(&mut self, event: &v1::executor::Event) -> String {
        let kind = event.r#type().as_str_name();
        let detail = match event.r#type() {
            event::Type::Subscribed => event.subscribed.as_ref().map(|m| {
                let agent = m.agent_info.id.as_ref().map_or("-", |id| &id.value);
                let container = m.container_id.as_ref().map_or("-", |id| &id.value);
                format!(
                    "{}/{} agent={agent} container={container}",
                    m.framework_info.name, m.executor_info.executor_id.value
                )
            }),
            event::Type::Launch => event.launch.as_ref().map(|m| m.task.task_id.value.clone()),
            event::Type::LaunchGroup => event.launch_group.as_ref().map(|m| {
                let ids: Vec<&str> = m.task_group.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
                ids.join(",")
            }),
            event::Type::Kill => event.kill.as_ref().map(|m| {
                let grace = m
                    .kill_policy
                    .as_ref()
                    .and_then(|policy| policy.grace_period.as_ref())
                    .map(|d| d.nanoseconds / 1_000_000_000);
                format!("{} grace={grace:?}", m.task_id.value)
            }),
            event::Type::Acknowledged => {
                event.acknowledged.as_ref().map(|m| format!("{} {}", m.task_id.value, self.uuid(&m.uuid)))
            }
            event::Type::Message => event.message.as_ref().map(|m| format!("{:?}", m.data)),
            _ => None,
        };
        format!("{kind} {}", detail.unwrap_or_default()).trim_end().to_owned()
    }

    pub fn record(&mut self, record: &Record) -> String {
        let detail = match record {
            Record::Boot(r) => r.boot_id.clone(),
            Record::Agent(r) => r.info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
            Record::Framework(r) => r.info.name.clone(),
            Record::FrameworkShutdown(r) => r.framework.clone(),
            Record::Executor(r) => {
                let tasks: Vec<&str> =
                    r.deliveries.iter().flat_map(|d| &d.tasks).map(|task| task.task_id.value.as_str()).collect();
                format!("{}/{} {} [{}]", r.framework, r.info.executor_id.value, r.container, tasks.join(","))
            }
            Record::Tasks(r) => {
                let tasks: Vec<&str> = r.delivery.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
                format!(
                    "{}/{} [{}]{}",
                    r.framework,
                    r.executor,
                    tasks.join(","),
                    if r.delivery.group { " group" } else { "" }
                )
            }
            Record::Resources(r) => {
                let kept = resources::Resources::from_protos(&r.checkpointed).unwrap();
                let state = r.operation.as_ref().map(|o| o.latest_status.state().as_str_name()).unwrap_or("-");
                format!("[{kept}] {state}")
            }
            Record::ExecutorAddress(r) => format!("{}/{} at {}", r.framework, r.executor, r.address),
            Record::ExecutorShutdown(r) | Record::ExecutorCompleted(r) => format!("{}/{}", r.framework, r.executor),
            Record::Update(r) => self.update(&r.update),
            Record::Acknowledged(r) => format!("{}/{} {}", r.framework, r.task, self.uuid(&r.uuid)),
            Record::Kill(r) => format!("{}/{}", r.framework, r.task),
            Record::Container(r) => format!("{} {}", r.container, r.sandbox),
            Record::ContainerEnded(r) => format!("{} status={:?}", r.container, r.termination.status),
            Record::ContainerRemoved(r) => r.container.clone(),
            Record::Drain(r) => if r.config.is_some() { "begins" } else { "ends" }.into(),
            _ => String::new(),
        };
        format!("{} {detail}", record.name()).trim_end().to_owned()
    }

    /// The tables, for `show`.
    pub fn state(&mut self, state: &State) -> Vec<String> {
        let mut lines = vec![format!("{:?} id={}", state.phase, state.agent_id.as_ref().map_or("-", |id| id.as_str()))];
        let completed = state.completed_frameworks.iter().map(|row| ("completed framework", row));
        for (word, framework) in state.frameworks.values().map(|row| ("framework", row)).chain(completed) {
            lines.push(format!("{word} {} {:?}", framework.id, framework.phase));
            let done = framework.completed_executors.iter().map(|row| ("completed executor", row));
            for (word, executor) in framework.executors.values().map(|row| ("executor", row)).chain(done) {
                let text =
                    format!("  {word} {} {:?} {:?} {}", executor.id, executor.kind, executor.phase, executor.container);
                let command = executor.info.command.as_ref().filter(|command| !command.shell());
                let text = text + &command.map_or(String::new(), |command| format!(" {}", command.value()));
                lines.push(self.shorten(&text));
                for task in executor.tasks.values() {
                    lines.push(format!("    task {} {:?}", row_text(&task.row), task.phase));
                }
                for row in &executor.completed_tasks {
                    lines.push(format!("    completed task {}", row_text(row)));
                }
            }
        }
        for container in state.containers.values() {
            let text = format!("container {} {:?} {:?}", container.id, container.class, container.life);
            lines.push(self.shorten(&text));
        }
        for wait in state.drain_waits.iter() {
            let state = state_name(wait.state);
            let again = wait.told_again.map_or("-".into(), |at| at.to_string());
            lines.push(format!("the drain waits for {}/{} {state}, told again at {again}", wait.framework, wait.task));
        }
        for (name, value) in state.metrics().into_iter().filter(|(_, value)| *value != 0.0) {
            lines.push(format!("metric {name} {value}"));
        }
        lines
    }
}

fn find_uuid(text: &str) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(35)).find_map(|start| {
        let piece = &bytes[start..start + 36];
        let fits = piece.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        fits.then(|| (start, &text[start..start + 36]))
    })
}

fn state_name(state: v1::TaskState) -> &'static str {
    state.as_str_name().trim_start_matches("TASK_")
}

fn row_text(row: &v1::Task) -> String {
    let history: Vec<&str> = row.statuses.iter().map(|status| state_name(status.state())).collect();
    let forwarded = match row.status_update_state {
        Some(_) => state_name(row.status_update_state()),
        None => "-",
    };
    format!("{}:{}({}; told {forwarded})", row.task_id.value, state_name(row.state()), history.join(">"))
}

fn limits_text(limits: &Limits) -> String {
    let mut text = format!("cpus={} mem={}M", limits.cpus, limits.mem_bytes >> 20);
    if let Some(limit) = limits.cpu_limit {
        write!(text, " cpu_limit={limit}").unwrap();
    }
    if let Some(limit) = limits.mem_limit_bytes {
        write!(text, " mem_limit={limit}").unwrap();
    }
    text
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Ok(Some(response)) => {
            let (status, state, message) = match (&response.wait_container, &response.wait_nested_container) {
                (Some(m), _) => (m.exit_status, m.state, m.message.clone()),
                (_, Some(m)) => (m.exit_status, m.state, m.message.clone()),
                _ => (None, None, None),
            };
            format!("Ok {} exit_status={status:?} state={state:?} message={message:?}", response.r#type().as_str_name())
        }
        Reply::Ok(None) => "Ok".into(),
        other => format!("{other:?}"),
    }
}
