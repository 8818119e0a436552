//! v0 executors, whose drivers speak libprocess: their messages become calls of the executor API, and its events become
//! messages to them. A driver is known by its address, which the journal keeps, so that an agent that restarts can ask
//! it back; what comes from another address in its executor's name is dropped.

use crate::{
    agent::Agent,
    effect::{Effect, Effects, Reply},
    event::Caller,
    recovery::{Record, record},
    state::{Connection, Executor, ExecutorPhase, Framework},
};
use model::{ExecutorId, FrameworkId};
use proto::{
    internal,
    link::{FromExecutor, ToExecutor},
    upid::Upid,
    v1::{
        self,
        executor::{Call, Event, call, event},
        task_status::Source,
    },
};

impl Agent {
    pub(crate) fn on_driver_message(&mut self, from: Upid, caller: &Caller, message: FromExecutor, out: &mut Effects) {
        match message {
            FromExecutor::RegisterExecutor(m) => {
                let call = Call {
                    subscribe: Some(call::Subscribe::default()),
                    ..call_of(m.framework_id, Some(m.executor_id), call::Type::Subscribe)
                };
                self.on_driver_subscribe(from, caller, call, Comes::First, out);
            }
            FromExecutor::ReregisterExecutor(m) => {
                let subscribe = call::Subscribe {
                    unacknowledged_updates: m.updates.into_iter().map(to_update).collect(),
                    unacknowledged_tasks: m.tasks,
                };
                let call = Call {
                    subscribe: Some(subscribe),
                    ..call_of(m.framework_id, Some(m.executor_id), call::Type::Subscribe)
                };
                self.on_driver_subscribe(from, caller, call, Comes::Back, out);
            }
            FromExecutor::StatusUpdate(m) => {
                let (framework, executor) = (m.update.framework_id.clone(), m.update.executor_id.clone());
                let update = Some(to_update(m.update));
                self.on_driver_call(
                    &from,
                    caller,
                    Call { update, ..call_of(framework, executor, call::Type::Update) },
                    out,
                );
            }
            FromExecutor::ExecutorToFramework(m) => {
                let message = Some(call::Message { data: m.data });
                let call = call_of(m.framework_id, Some(m.executor_id), call::Type::Message);
                self.on_driver_call(&from, caller, Call { message, ..call }, out);
            }
        }
    }

    fn on_driver_subscribe(&mut self, from: Upid, caller: &Caller, call: Call, comes: Comes, out: &mut Effects) {
        let (framework, id) = (FrameworkId::from(&call.framework_id), ExecutorId::from(&call.executor_id));
        let refusal = match self.check_executor_call(caller, &call) {
            // Only its own container is told what an executor has to do.
            Err(Reply::Forbidden(why)) => {
                tracing::warn!(%from, why, "ignoring whoever registers as an executor");
                return;
            }
            Err(refusal) => Some(refusal),
            Ok(()) => None,
        };
        let ended = self.state.find_executor(&framework, &id).is_some_and(|row| row.phase == ExecutorPhase::Terminated);
        if refusal.is_some() || ended {
            tracing::warn!(%from, ?refusal, "refusing an executor; it is told to end");
            let (framework_id, executor_id) = (Some(call.framework_id), Some(call.executor_id));
            let message = internal::ShutdownExecutorMessage { framework_id, executor_id }.into();
            out.push(Effect::ToDriver { to: from, message });
            return;
        }
        out.push(Effect::Link { peer: from.clone() });
        self.note_address(&framework, &id, &from, out);
        if let Some(message) = self.welcome_driver(&framework, &id, comes) {
            out.push(Effect::ToDriver { to: from.clone(), message });
        }
        self.on_subscribe(Connection::Driver(from), call, out);
    }

    fn welcome_driver(&self, framework: &FrameworkId, id: &ExecutorId, comes: Comes) -> Option<ToExecutor> {
        let (agent_id, agent_info) = (self.agent_id(), (*self.state.info).clone());
        let framework = self.state.frameworks.get(framework)?;
        Some(match comes {
            Comes::Back => internal::ExecutorReregisteredMessage { agent_id, agent_info }.into(),
            Comes::First => internal::ExecutorRegisteredMessage {
                executor_info: (*framework.executors.get(id)?.info).clone(),
                framework_id: framework.id.to_proto(),
                framework_info: (*framework.info).clone(),
                agent_id,
                agent_info,
            }
            .into(),
        })
    }

    /// Notes whose driver is at this address now.
    pub(super) fn let_in_driver(&mut self, address: Upid, framework: &FrameworkId, id: &ExecutorId) {
        let names = (framework.clone(), id.clone());
        // One process may not be two executors: it is the one that it said last.
        if let Some((framework, id)) = self.drivers.insert(address, names.clone()).filter(|former| *former != names)
            && let Some(row) = self.state.executor_mut(&framework, &id)
        {
            row.connection = None;
        }
    }

    /// Keeps where a v0 executor is, so that it can be asked back after our restart.
    fn note_address(&mut self, framework: &FrameworkId, id: &ExecutorId, address: &Upid, out: &mut Effects) {
        let checkpoints = self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints());
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        if row.address.as_ref() == Some(address) {
            return;
        }
        row.address = Some(address.clone());
        if checkpoints {
            let record = record::ExecutorAddress {
                framework: framework.as_str().into(),
                executor: id.as_str().into(),
                address: address.to_string(),
            };
            self.record(Record::ExecutorAddress(record), out);
        }
    }

    /// Takes what the driver of a registered executor says of it; anybody else's word is dropped.
    fn on_driver_call(&mut self, from: &Upid, caller: &Caller, mut call: Call, out: &mut Effects) {
        let named = (FrameworkId::from(&call.framework_id), ExecutorId::from(&call.executor_id));
        let Some((framework, executor)) = self.drivers.get(from) else {
            tracing::warn!(%from, "dropping a message of an executor that has not registered");
            return;
        };
        // Updates need not name their executor.
        if named.0 != *framework || (named.1 != *executor && !named.1.as_str().is_empty()) {
            tracing::warn!(%from, framework = %named.0, executor = %named.1, "dropping a message in another executor's name");
            return;
        }
        call.executor_id = executor.to_proto();
        match self.check_executor_call(caller, &call) {
            Ok(()) => self.take_executor_call(call, out),
            Err(refusal) => tracing::warn!(%from, ?refusal, "refusing an executor's message"),
        }
    }

    /// The link to a v0 executor broke. Whether it has ended, its container tells; if not, it is asked to come back.
    pub(crate) fn on_driver_exited(&mut self, peer: &Upid, out: &mut Effects) {
        let Some((framework, id)) = self.drivers.remove(peer) else { return };
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        tracing::info!(%framework, executor = %id, "the link to the executor broke");
        row.connection = None;
        if !row.is_ending() {
            self.ask_back(peer.clone(), out);
        }
    }

    /// Asks a v0 executor to register again.
    pub(crate) fn ask_back(&self, to: Upid, out: &mut Effects) {
        let message = internal::ReconnectExecutorMessage { agent_id: self.agent_id() }.into();
        out.push(Effect::ToDriver { to, message });
    }
}

/// How a driver registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    First,
    /// It was there before we restarted, or before the link to it broke.
    Back,
}

fn call_of(framework_id: v1::FrameworkId, executor_id: Option<v1::ExecutorId>, kind: call::Type) -> Call {
    let executor_id = executor_id.unwrap_or_default();
    Call { framework_id, executor_id, r#type: Some(kind.into()), ..Call::default() }
}

/// A driver's update in the words of the executor API, where all of it stands in the status.
fn to_update(update: internal::StatusUpdate) -> call::Update {
    let mut status = update.status;
    status.uuid = update.uuid.or(status.uuid);
    status.timestamp = Some(update.timestamp);
    if status.source.is_none() {
        status.source = Some(Source::Executor.into());
    }
    call::Update { status }
}

/// The message that says `event` to the driver of an executor; `None` for what drivers know nothing of.
pub(super) fn message(
    framework: &Framework,
    executor: &Executor,
    agent_id: v1::AgentId,
    event: Event,
) -> Option<ToExecutor> {
    let (framework_id, executor_id) = (framework.id.to_proto(), executor.id.to_proto());
    match event.r#type() {
        event::Type::Launch => Some(
            internal::RunTaskMessage {
                framework_id: Some(framework_id),
                framework: (*framework.info).clone(),
                task: event.launch?.task,
                ..Default::default()
            }
            .into(),
        ),
        event::Type::Kill => {
            let event::Kill { task_id, kill_policy } = event.kill?;
            Some(internal::KillTaskMessage { framework_id, task_id, kill_policy }.into())
        }
        event::Type::Acknowledged => {
            let event::Acknowledged { task_id, uuid } = event.acknowledged?;
            Some(internal::StatusUpdateAcknowledgementMessage { agent_id, framework_id, task_id, uuid }.into())
        }
        event::Type::Message => {
            let data = event.message?.data;
            Some(internal::FrameworkToExecutorMessage { agent_id, framework_id, executor_id, data }.into())
        }
        event::Type::Shutdown => {
            let (framework_id, executor_id) = (Some(framework_id), Some(executor_id));
            Some(internal::ShutdownExecutorMessage { framework_id, executor_id }.into())
        }
        // A driver is welcomed in words of its own, and never sent a group.
        event::Type::Subscribed
        | event::Type::LaunchGroup
        | event::Type::Unknown
        | event::Type::Error
        | event::Type::Heartbeat => None,
    }
}
