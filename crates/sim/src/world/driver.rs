//! Executors that speak libprocess: what `executor` says as calls travels as a driver's messages, and what such a
//! driver is told becomes the events of `executor`. Some of the frameworks' own executors are of this kind.

use agent_core::{Caller, ContainerId, Event};
use model::TaskId;
use proto::{
    internal,
    link::{FromExecutor, ToExecutor},
    upid::Upid,
    v1::{
        self,
        executor::{self, Call, call, event},
    },
};

use super::{
    World,
    happening::{Life, Local, Node},
    network::host_of,
};

/// Which of the frameworks' own executors are of this kind, decided by what is random anyway.
pub(crate) fn is_v0(container: &ContainerId) -> bool {
    container.as_str().ends_with(['0', '1', '2', '3', '4', '5'])
}

/// The address of the driver in a container. Its name tells which.
fn address_of(agent: u32, container: &ContainerId) -> Upid {
    Upid::new(format!("executor({container})"), host_of(Node::Agent(agent)), 7001)
}

fn container_at(address: &Upid) -> Option<ContainerId> {
    Some(ContainerId::root_of(address.id.strip_prefix("executor(")?.strip_suffix(')')?))
}

/// A call of the executor API in a driver's words.
pub(crate) fn message_of(call: Call, returns: bool) -> Option<FromExecutor> {
    let (framework_id, executor_id) = (call.framework_id, call.executor_id);
    let in_v0 = |status: v1::TaskStatus| internal::StatusUpdate {
        framework_id: framework_id.clone(),
        executor_id: Some(executor_id.clone()),
        agent_id: None,
        timestamp: status.timestamp.unwrap_or_default(),
        uuid: status.uuid.clone(),
        status,
        latest_state: None,
    };
    match call::Type::try_from(call.r#type?).ok()? {
        call::Type::Subscribe if returns => {
            let subscribe = call.subscribe?;
            let updates = subscribe.unacknowledged_updates.into_iter().map(|update| in_v0(update.status)).collect();
            let tasks = subscribe.unacknowledged_tasks;
            Some(internal::ReregisterExecutorMessage { framework_id, executor_id, tasks, updates }.into())
        }
        call::Type::Subscribe => Some(internal::RegisterExecutorMessage { framework_id, executor_id }.into()),
        call::Type::Update => {
            let update = in_v0(call.update?.status);
            Some(internal::StatusUpdateMessage { update, pid: None }.into())
        }
        call::Type::Message | call::Type::Heartbeat | call::Type::Unknown => None,
    }
}

/// What a driver is told, in the words of the executor API; `None` for the wish that it comes back.
pub(crate) fn event_of(message: ToExecutor) -> Option<executor::Event> {
    let of_kind = |kind: event::Type| executor::Event { r#type: Some(kind.into()), ..Default::default() };
    Some(match message {
        ToExecutor::ReconnectExecutor(_) => return None,
        ToExecutor::ExecutorRegistered(m) => {
            let subscribed = event::Subscribed {
                executor_info: m.executor_info,
                framework_info: m.framework_info,
                agent_info: m.agent_info,
                container_id: None,
            };
            executor::Event { subscribed: Some(Box::new(subscribed)), ..of_kind(event::Type::Subscribed) }
        }
        ToExecutor::ExecutorReregistered(_) => of_kind(event::Type::Subscribed),
        ToExecutor::RunTask(m) => {
            executor::Event { launch: Some(event::Launch { task: m.task }), ..of_kind(event::Type::Launch) }
        }
        ToExecutor::KillTask(m) => {
            let kill = event::Kill { task_id: m.task_id, kill_policy: m.kill_policy };
            executor::Event { kill: Some(kill), ..of_kind(event::Type::Kill) }
        }
        ToExecutor::StatusUpdateAcknowledgement(m) => {
            let acknowledged = event::Acknowledged { task_id: m.task_id, uuid: m.uuid };
            executor::Event { acknowledged: Some(acknowledged), ..of_kind(event::Type::Acknowledged) }
        }
        ToExecutor::FrameworkToExecutor(m) => {
            executor::Event { message: Some(event::Message { data: m.data }), ..of_kind(event::Type::Message) }
        }
        ToExecutor::ShutdownExecutor(_) => of_kind(event::Type::Shutdown),
    })
}

impl World {
    /// A driver's message reaches its agent's process, or nobody.
    pub(crate) fn on_driver_message(
        &mut self,
        agent: u32,
        life: Life,
        container: ContainerId,
        conn: Option<agent_core::ConnectionId>,
        message: FromExecutor,
    ) {
        if self.agents[agent as usize].life != life || !self.agents[agent as usize].is_up() {
            if let Some(conn) = conn {
                self.plan(agent, World::LOOPBACK, Local::StreamEnds { container, conn });
            }
            return;
        }
        self.say(|| format!("v0 executor in {container} -> agent {agent}: {}", message.name()));
        let message = FromExecutor::decode(message.name(), &message.encode());
        let message = message.unwrap_or_else(|error| panic!("cannot be read back: {error}"));
        if let Some(machine) = self.machine(agent) {
            machine.hold(conn, &container);
        }
        let (from, caller) = (address_of(agent, &container), Caller::Container(container));
        self.step_agent(agent, Event::FromDriver { from, caller, message });
    }

    /// An agent says something to a driver.
    pub(crate) fn agent_to_driver(&mut self, agent: u32, to: &Upid, message: ToExecutor) {
        let Some(container) = container_at(to) else { return };
        if let ToExecutor::StatusUpdateAcknowledgement(ack) = &message {
            self.note_acknowledged(agent, &container, &TaskId::from(&ack.task_id), &ack.uuid);
        }
        self.plan(agent, World::LOOPBACK, Local::Told { container, message });
    }

    /// The link that an agent's process keeps to a driver is broken.
    pub(crate) fn on_agent_lost_driver(&mut self, agent: u32, container: &ContainerId) {
        let peer = address_of(agent, container);
        self.step_agent(agent, Event::Exited { peer });
    }
}
