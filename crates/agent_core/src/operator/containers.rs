//! The lives of nested and standalone containers: asked for, recorded, launched, ended, removed.

use super::{LaunchOrder, waiting::OperatorLaunch};
use crate::{
    agent::Agent,
    config::MAX_ENDED_SESSIONS_PER_ROOT,
    container_id::ContainerId,
    effect::{Effect, Effects, Reply},
    event::{LaunchFailure, Launched, Termination},
    launch::{
        environment,
        executor::program_of,
        paths,
        spec::{Class, LaunchSpec, Output},
    },
    listener::Listener,
    pending::Pending,
    recovery::{Record, record},
    state::{Container, ContainerLife, Stage},
};
use std::sync::Arc;
use stdx::{ConnectionId, RequestId, Ticket};

impl Agent {
    pub(super) fn on_launch(
        &mut self,
        req: RequestId,
        session: Option<ConnectionId>,
        order: LaunchOrder,
        out: &mut Effects,
    ) {
        let LaunchOrder { id, class, command, info, limits } = order;
        if self.roots.contains_key(&id) {
            return self.reply(req, Reply::Accepted, out);
        }
        // The journal must not mistake it for the executor that had this id.
        if class == Class::Standalone && self.state.executors().any(|row| row.container == id) {
            return self.reply(req, Reply::Internal(format!("Container {id} was an executor's")), out);
        }
        match self.state.containers.get(&id).map(|row| &row.life) {
            None => {}
            Some(ContainerLife::Ended(_)) => {
                let text = format!("Container {id} has ended; remove it before its id is used again");
                return self.reply(req, Reply::Internal(text), out);
            }
            Some(_) => return self.reply(req, Reply::Accepted, out),
        }
        let place = match id.parent() {
            None => Some((paths::standalone(&self.config.work_dir, &id), None)),
            Some(parent) => self.find_parent(&parent).map(|(sandbox, user)| (paths::nested(&sandbox, &id), user)),
        };
        let Some((sandbox, user)) = place else {
            let parent = id.parent().map(|parent| parent.to_string()).unwrap_or_default();
            return self.reply(req, Reply::BadRequest(format!("Parent container {parent} does not exist")), out);
        };
        let command_user = command.as_ref().and_then(|command| command.user.clone());
        let user = if self.config.switch_user { command_user.or(user) } else { None };
        let row = Container {
            id: id.clone(),
            class,
            sandbox: sandbox.as_str().into(),
            user: user.clone(),
            pid: None,
            life: ContainerLife::Launching,
            ended: None,
            environment: Arc::default(),
        };
        Arc::make_mut(&mut self.state.containers).insert(id.clone(), Arc::new(row));
        let limits = limits.limits();
        self.launches
            .insert(id.clone(), OperatorLaunch { req, ticket: None, session, command, container_info: info, limits });
        if let Some(conn) = session {
            self.conns.insert(conn, Listener::Session(id.clone()));
        }
        if self.outlives_us(&id) {
            let record = Record::Container(record::ContainerRecord {
                container: id.as_str().to_owned(),
                class: record::class_number(class),
                sandbox,
                user,
            });
            let ticket = self.tickets.record_then(record, Pending::LaunchContainer { container: id.clone() }, out);
            if let Some(launch) = self.launches.get_mut(&id) {
                launch.ticket = Some(ticket);
            }
        } else {
            self.launch_container(&id, None, out);
        }
    }

    /// Sandbox and user of a live container that others may be launched in.
    pub(crate) fn find_parent(&self, parent: &ContainerId) -> Option<(String, Option<String>)> {
        if let Some((framework, executor)) = self.roots.get(parent) {
            let row = self.state.find_executor(framework, executor)?;
            let live = matches!(row.stage, Stage::Launching | Stage::Up);
            return live.then(|| (row.sandbox.as_ref().to_owned(), row.user.clone()));
        }
        let row = self.state.containers.get(parent)?;
        matches!(row.life, ContainerLife::Running).then(|| (row.sandbox.as_ref().to_owned(), row.user.clone()))
    }

    /// What a process in a live container finds in its environment, where that is known: not of nested containers that
    /// were launched before the agent restarted.
    fn environment_in(&self, id: &ContainerId) -> Option<Vec<(String, String)>> {
        if let Some((framework, executor)) = self.roots.get(id) {
            let framework = self.state.frameworks.get(framework)?;
            let row = framework.executors.get(executor)?;
            return environment::in_executor(&self.config, &self.agent_id(), row, framework.checkpoints()).ok();
        }
        let row = self.state.containers.get(id)?;
        (!row.environment.is_empty()).then(|| row.environment.to_vec())
    }

    /// Whether the journal keeps a container: all but those of executors that end with the agent, and sessions.
    pub(crate) fn outlives_us(&self, id: &ContainerId) -> bool {
        if self.state.containers.get(id).is_some_and(|row| row.class == Class::Debug) {
            return false;
        }
        match self.roots.get(&id.root()) {
            Some((framework, _)) => self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints()),
            None => true,
        }
    }

    /// The record of a container is durable (or shall not be).
    pub(crate) fn launch_container(&mut self, id: &ContainerId, ticket: Option<Ticket>, out: &mut Effects) {
        let Some(row) = self.state.containers.get(id) else { return };
        if self.launches.get(id).is_none_or(|launch| launch.ticket != ticket) {
            return;
        }
        if row.life == ContainerLife::Destroying {
            self.container_gone(id, Termination::default(), out);
            return;
        }
        let (class, user, sandbox) = (row.class, row.user.clone(), row.sandbox.clone());
        let Some(launch) = self.launches.get_mut(id) else { return };
        launch.ticket = None;
        let command = launch.command.take();
        let info = launch.container_info.take();
        let share_cgroups = match class {
            Class::Standalone | Class::Executor => false,
            Class::Debug => true,
            Class::Nested => {
                info.as_ref().and_then(|info| info.linux_info.as_ref()).is_none_or(|linux| linux.share_cgroups())
            }
        };
        // A debug container is at home where its parent is.
        let parent = id.parent().filter(|_| class == Class::Debug).and_then(|parent| self.find_parent(&parent));
        let home = parent.map_or_else(|| sandbox.as_ref().to_owned(), |(home, _)| home);
        let inherited = id.parent().filter(|_| class == Class::Debug).and_then(|parent| self.environment_in(&parent));
        let environment = match inherited {
            Some(inside) => environment::of_session(inside, command.as_ref()),
            None => environment::of_container(&self.config, &home, info.as_ref(), command.as_ref()),
        };
        let environment = match environment {
            Ok(environment) => environment,
            Err(message) => {
                let failure = LaunchFailure { reason: None, message, not_supported: false };
                return self.on_container_launched(id, Err(failure), out);
            }
        };
        if class != Class::Debug
            && let Some(row) = self.state.container_mut(id)
        {
            row.environment = environment.as_slice().into();
        }
        let Some(launch) = self.launches.get(id) else { return };
        let spec = LaunchSpec {
            volumes: Vec::new(),
            container: id.clone(),
            class,
            program: program_of(command.as_ref()),
            environment,
            user,
            sandbox: sandbox.as_ref().to_owned(),
            latest_link: None,
            limits: launch.limits,
            share_cgroups,
            output: if launch.session.is_some() { Output::Session } else { Output::Sandbox },
            uris: command.map(|command| command.uris).unwrap_or_default(),
            container_info: info.map(Box::new),
        };
        out.push(Effect::Launch { spec: Box::new(spec) });
    }

    pub(crate) fn on_container_launched(
        &mut self,
        id: &ContainerId,
        outcome: Result<Launched, LaunchFailure>,
        out: &mut Effects,
    ) {
        let Some(row) = self.state.container_mut(id).filter(|row| !matches!(row.life, ContainerLife::Ended(_))) else {
            // It was given up in the meantime, perhaps together with its parent.
            if outcome.is_ok() {
                out.push(Effect::Destroy { container: id.clone() });
            }
            return;
        };
        let launch = self.launches.remove(id);
        match outcome {
            Ok(launched) => {
                row.pid = launched.pid;
                if row.life == ContainerLife::Launching {
                    row.life = ContainerLife::Running;
                }
                let Some(launch) = launch else { return };
                let reply = match launch.session {
                    Some(_) => Reply::Output { container: id.clone() },
                    None => Reply::Ok(None),
                };
                self.reply(launch.req, reply, out);
            }
            Err(failure) => {
                self.state.metrics.container_launch_errors += 1;
                if let Some(launch) = launch {
                    if let Some(conn) = launch.session {
                        self.conns.remove(&conn);
                    }
                    let reply = if failure.not_supported {
                        Reply::BadRequest(format!("The provided ContainerInfo is not supported: {}", failure.message))
                    } else {
                        // What fails a launch is most often what was asked for.
                        Reply::BadRequest(failure.message.clone())
                    };
                    self.reply(launch.req, reply, out);
                }
                // A container that never ran is not remembered: its id may be used again.
                let termination = Termination { message: Some(failure.message), ..Default::default() };
                self.waiting().answer_waits(id, &termination, out);
                self.forget_container(id, out);
            }
        }
    }

    /// A nested or standalone container has ended.
    pub(crate) fn container_gone(&mut self, id: &ContainerId, termination: Termination, out: &mut Effects) {
        let (outlives, now) = (self.outlives_us(id), self.now);
        let Some(row) = self.state.container_mut(id) else { return };
        if matches!(row.life, ContainerLife::Ended(_)) {
            return;
        }
        row.life = ContainerLife::Ended(termination.clone());
        row.pid = None;
        row.ended = Some(now);
        let (class, sandbox) = (row.class, row.sandbox.as_ref().to_owned());
        self.waiting().answer_unlaunched(id, out);
        self.waiting().answer_waits(id, &termination, out);
        self.end_inside(id, out);
        match class {
            Class::Debug => {
                self.waiting().forget_session(id);
                self.bound_ended_sessions(&id.root(), out);
            }
            _ if outlives => {
                let termination = record::TerminationRecord::of(&termination);
                let record = record::ContainerEndRecord { container: id.as_str().to_owned(), termination };
                self.record(Record::ContainerEnded(record), out);
            }
            _ => {}
        }
        if class == Class::Standalone {
            out.push(Effect::RetireSandbox { path: sandbox, at: self.wall });
        }
    }

    /// A container is gone, and with it all inside it.
    pub(crate) fn end_inside(&mut self, root: &ContainerId, out: &mut Effects) {
        if !self.state.containers.is_empty() {
            let inside: Vec<ContainerId> =
                super::inside(&self.state.containers, root).map(|(id, _)| id.clone()).collect();
            for id in inside {
                let termination =
                    Termination { message: Some("The parent container has ended".into()), ..Default::default() };
                self.waiting().answer_unlaunched(&id, out);
                self.waiting().answer_waits(&id, &termination, out);
                self.waiting().forget_session(&id);
                Arc::make_mut(&mut self.state.containers).remove(&id);
            }
        }
    }

    /// How a session ended is kept until it is removed, as that of any nested container. Clients that never remove them
    /// must not fill the agent, so the oldest go by themselves.
    fn bound_ended_sessions(&mut self, root: &ContainerId, out: &mut Effects) {
        let ended = |(id, row): (&ContainerId, &Arc<Container>)| {
            Some((row.ended.filter(|_| row.class == Class::Debug)?, id.clone()))
        };
        let mut ended: Vec<_> = super::inside(&self.state.containers, root).filter_map(ended).collect();
        let excess = ended.len().saturating_sub(MAX_ENDED_SESSIONS_PER_ROOT);
        ended.sort();
        ended.into_iter().take(excess).for_each(|(_, id)| self.remove_ended(id, out));
    }

    pub(super) fn on_remove(&mut self, req: RequestId, id: ContainerId, out: &mut Effects) {
        match self.state.containers.get(&id).map(|row| matches!(row.life, ContainerLife::Ended(_))) {
            Some(true) => self.remove_ended(id, out),
            Some(false) => {
                return self.reply(req, Reply::Internal("Nested container has not terminated yet".to_owned()), out);
            }
            None if self.roots.contains_key(&id) => {
                return self.reply(req, Reply::Internal("Nested container has not terminated yet".to_owned()), out);
            }
            None if id.is_nested() && !self.knows(&id.root()) => {
                return self.reply(req, Reply::Internal("Unknown root container".to_owned()), out);
            }
            // Removed already, perhaps by a call whose answer was lost.
            None if id.is_nested() => {}
            None => return self.reply(req, Reply::Internal(format!("Container {id} cannot be found")), out),
        }
        self.reply(req, Reply::Ok(None), out);
    }

    fn remove_ended(&mut self, id: ContainerId, out: &mut Effects) {
        let Some(sandbox) = self.state.containers.get(&id).map(|row| row.sandbox.as_ref().to_owned()) else { return };
        self.forget_container(&id, out);
        out.push(Effect::Remove { container: id, sandbox });
    }

    fn knows(&self, root: &ContainerId) -> bool {
        self.roots.contains_key(root) || self.state.containers.contains_key(root)
    }

    fn forget_container(&mut self, id: &ContainerId, out: &mut Effects) {
        let outlives = self.outlives_us(id);
        Arc::make_mut(&mut self.state.containers).remove(id);
        if outlives {
            self.record(Record::ContainerRemoved(record::ContainerName::of(id)), out);
        }
    }

    /// Whoever watched the container's output has gone: so must the container.
    pub(crate) fn on_session_closed(&mut self, id: &ContainerId, out: &mut Effects) {
        let Some(row) = self.state.container_mut(id) else { return };
        if matches!(row.life, ContainerLife::Launching | ContainerLife::Running) {
            row.life = ContainerLife::Destroying;
            out.push(Effect::Destroy { container: id.clone() });
        }
    }
}
