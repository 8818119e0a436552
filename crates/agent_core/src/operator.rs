//! Calls on the agent's operator API that launch, await, signal or remove containers. Reads are answered from
//! `Agent::view`. `containers` follows a container's life.

mod containers;
pub(crate) mod waiting;

use crate::{
    agent::Agent,
    container_id::ContainerId,
    effect::{Effect, Effects, Reply},
    event::Caller,
    launch::{limits::Sum, spec::Class},
    listener::Listener,
    state::{ContainerLife, ExecutorPhase, Phase},
};
use proto::v1::{
    self,
    agent::{Call, call},
};
use std::collections::BTreeMap;
use stdx::{ConnectionId, RequestId};
use waiting::{Wait, Waiting, wait_reply};

const SIGKILL: i32 = 9;

impl Agent {
    pub(crate) fn waiting(&mut self) -> Waiting<'_> {
        Waiting { waits: &mut self.waits, launches: &mut self.launches, conns: &mut self.conns }
    }

    pub(crate) fn on_operator_call(
        &mut self,
        req: RequestId,
        conn: ConnectionId,
        caller: &Caller,
        call: Call,
        out: &mut Effects,
    ) {
        if let Err(why) = model::parse::agent_call(&call) {
            return self.reply(req, Reply::BadRequest(format!("Failed to validate agent::Call: {why}")), out);
        }
        let kind = call.r#type();
        let Some(id) = named(&call) else {
            return self.reply(req, not_built(kind), out);
        };
        // An executor that is back already may look after its containers.
        if self.state.phase == Phase::Recovering && !self.is_back(&id.root()) {
            return self.reply(req, Reply::Unavailable("Agent has not finished recovery".into()), out);
        }
        if let Err(refusal) = self.check_container_call(caller, &call, &id) {
            return self.reply(req, refusal, out);
        }
        match kind {
            call::Type::LaunchNestedContainer => {
                let Some(m) = call.launch_nested_container else { return };
                let order = LaunchOrder {
                    id,
                    class: Class::Nested,
                    command: m.command,
                    info: m.container,
                    limits: Sum::default(),
                };
                self.on_launch(req, None, order, out);
            }
            call::Type::LaunchNestedContainerSession => {
                let Some(m) = call.launch_nested_container_session else { return };
                let order = LaunchOrder {
                    id,
                    class: Class::Debug,
                    command: m.command,
                    info: m.container,
                    limits: Sum::default(),
                };
                self.on_launch(req, Some(conn), order, out);
            }
            call::Type::LaunchContainer => {
                let Some(m) = call.launch_container else { return };
                let mut limits = Sum::default();
                limits.add(&m.resources, &m.limits);
                let class = if id.is_nested() { Class::Nested } else { Class::Standalone };
                let order = LaunchOrder { id, class, command: m.command, info: m.container, limits };
                self.on_launch(req, None, order, out);
            }
            call::Type::WaitNestedContainer => self.on_wait(req, conn, id, true, out),
            call::Type::WaitContainer => self.on_wait(req, conn, id, false, out),
            call::Type::KillNestedContainer => {
                self.on_signal(req, id, call.kill_nested_container.and_then(|m| m.signal), out);
            }
            call::Type::KillContainer => self.on_signal(req, id, call.kill_container.and_then(|m| m.signal), out),
            _ => self.on_remove(req, id, out),
        }
    }

    fn is_back(&self, root: &ContainerId) -> bool {
        let row = self.roots.get(root).and_then(|(framework, id)| self.state.find_executor(framework, id));
        row.is_some_and(|row| row.phase == ExecutorPhase::Running)
    }

    fn on_wait(&mut self, req: RequestId, conn: ConnectionId, id: ContainerId, nested_call: bool, out: &mut Effects) {
        let known = self.state.containers.get(&id).map(|row| match &row.life {
            ContainerLife::Ended(termination) => Some(termination.clone()),
            _ => None,
        });
        match known {
            Some(Some(termination)) => self.reply(req, wait_reply(&termination, nested_call), out),
            None if !self.roots.contains_key(&id) => self.reply(req, not_found(&id), out),
            _ => {
                self.conns.insert(conn, Listener::Wait(id.clone()));
                self.waits.entry(id).or_default().push(Wait { req, conn, nested_call });
            }
        }
    }

    fn on_signal(&mut self, req: RequestId, id: ContainerId, signal: Option<i32>, out: &mut Effects) {
        let live = match self.state.containers.get(&id) {
            Some(row) => !matches!(row.life, ContainerLife::Ended(_)),
            None => self.roots.contains_key(&id),
        };
        if !live {
            let text = format!("Container '{id}' cannot be found (or is already killed)");
            return self.reply(req, Reply::NotFound(text), out);
        }
        let signal = signal.unwrap_or(SIGKILL);
        if !(1..=64).contains(&signal) {
            let text = format!("Failed to validate agent::Call: {signal} is not a signal");
            return self.reply(req, Reply::BadRequest(text), out);
        }
        out.push(Effect::Signal { container: id, signal });
        self.reply(req, Reply::Ok(None), out);
    }
}

/// Three calls that launch, told alike.
pub(crate) struct LaunchOrder {
    id: ContainerId,
    class: Class,
    command: Option<v1::CommandInfo>,
    info: Option<v1::ContainerInfo>,
    limits: Sum,
}

/// The container that a call of those served here is about.
fn named(call: &Call) -> Option<ContainerId> {
    let id = match call.r#type() {
        call::Type::LaunchNestedContainer => &call.launch_nested_container.as_ref()?.container_id,
        call::Type::LaunchNestedContainerSession => &call.launch_nested_container_session.as_ref()?.container_id,
        call::Type::LaunchContainer => &call.launch_container.as_ref()?.container_id,
        call::Type::WaitNestedContainer => &call.wait_nested_container.as_ref()?.container_id,
        call::Type::WaitContainer => &call.wait_container.as_ref()?.container_id,
        call::Type::KillNestedContainer => &call.kill_nested_container.as_ref()?.container_id,
        call::Type::KillContainer => &call.kill_container.as_ref()?.container_id,
        call::Type::RemoveNestedContainer => &call.remove_nested_container.as_ref()?.container_id,
        call::Type::RemoveContainer => &call.remove_container.as_ref()?.container_id,
        _ => return None,
    };
    ContainerId::from_proto(id)
}

fn not_found(id: &ContainerId) -> Reply {
    Reply::NotFound(format!("Container {id} cannot be found"))
}

/// Containers that share a root, or all of it that is kept.
pub(crate) fn inside<'a, T>(
    containers: &'a BTreeMap<ContainerId, T>,
    ancestor: &'a ContainerId,
) -> impl Iterator<Item = (&'a ContainerId, &'a T)> {
    containers
        .range(ancestor.clone()..)
        .skip_while(move |(id, _)| *id == ancestor)
        .take_while(move |(id, _)| {
            // Siblings whose name continues the ancestor's sort in between only after all descendants.
            id.as_str().starts_with(ancestor.as_str())
        })
        .filter(move |(id, _)| id.is_inside(ancestor))
}

/// The refusal says what can be done instead.
fn not_built(kind: call::Type) -> Reply {
    use call::Type;
    let instead = match kind {
        Type::AttachContainerInput | Type::AttachContainerOutput => {
            "read the output in the sandbox with READ_FILE, or run what needs a terminal with LAUNCH_NESTED_CONTAINER_SESSION"
        }
        Type::PruneImages => "it keeps no images",
        Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone => "it has no resource providers",
        _ => "docs/compat.md tells how this version differs from Mesos",
    };
    Reply::NotImplemented(format!("The agent does not support the call {}; {instead}", kind.as_str_name()))
}
