//! Calls on the executor API: the checks they share, in Mesos's order, and what is said to executors. `subscribe` and
//! `update` have files of their own; what v0 executors say becomes calls in `driver`.

mod driver;
mod subscribe;
mod update;

use crate::{
    agent::Agent,
    effect::{Effect, Effects, Reply},
    event::Caller,
    state::{Connection, ExecutorPhase, Phase},
    timers::Timer,
};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId};
use proto::{
    internal,
    v1::executor::{Call, Event, call, event},
};
use stdx::{ConnectionId, RequestId};

impl Agent {
    pub(crate) fn on_executor_call(
        &mut self,
        req: RequestId,
        conn: Option<ConnectionId>,
        caller: &Caller,
        call: Call,
        out: &mut Effects,
    ) {
        if let Err(refusal) = self.check_executor_call(caller, &call) {
            return self.reply(req, refusal, out);
        }
        match (call.r#type(), conn) {
            (call::Type::Subscribe, Some(conn)) => {
                self.reply(req, Reply::Stream, out);
                self.on_subscribe(Connection::Stream(conn), call, out);
            }
            (call::Type::Subscribe, None) => {
                stdx::never!("a subscription came without a stream");
                self.reply(req, Reply::Internal("There is no stream to subscribe with".into()), out);
            }
            (call::Type::Update | call::Type::Message | call::Type::Heartbeat | call::Type::Unknown, _) => {
                self.reply(req, Reply::Accepted, out);
                self.take_executor_call(call, out);
            }
        }
    }

    /// Whether an executor may say this now.
    fn check_executor_call(&self, caller: &Caller, call: &Call) -> Result<(), Reply> {
        model::parse::executor_call(call)
            .map_err(|why| Reply::BadRequest(format!("Failed to validate Executor::Call: {why}")))?;
        let kind = call.r#type();
        let framework = FrameworkId::from(&call.framework_id);
        let executor = ExecutorId::from(&call.executor_id);
        // An executor that is back already may go on; what it says would be lost otherwise.
        let row = self.state.find_executor(&framework, &executor);
        let is_back = row.is_some_and(|row| row.phase == ExecutorPhase::Running);
        if self.state.phase == Phase::Recovering && kind != call::Type::Subscribe && !is_back {
            return Err(Reply::Unavailable("Agent has not finished recovery".into()));
        }
        // Heartbeats only keep a connection busy, whoever sends them.
        if kind == call::Type::Heartbeat {
            return Ok(());
        }
        if !self.state.frameworks.contains_key(&framework) {
            return Err(Reply::BadRequest("Framework cannot be found".into()));
        }
        let Some(row) = row else { return Err(Reply::BadRequest("Executor cannot be found".into())) };
        self.check_speaks_for(caller, row)?;
        if row.phase == ExecutorPhase::Registering && kind != call::Type::Subscribe {
            return Err(Reply::Forbidden("Executor is not subscribed".into()));
        }
        match kind {
            call::Type::Subscribe | call::Type::Update | call::Type::Message | call::Type::Heartbeat => Ok(()),
            call::Type::Unknown => Err(Reply::NotImplemented("501 Not Implemented.".into())),
        }
    }

    /// Does what a call says that was checked and is no SUBSCRIBE.
    fn take_executor_call(&mut self, call: Call, out: &mut Effects) {
        let framework = FrameworkId::from(&call.framework_id);
        let executor = ExecutorId::from(&call.executor_id);
        if let Some(update) = call.update {
            self.on_update(framework, executor, update.status, out);
        } else if let Some(message) = call.message {
            self.on_executor_message(&framework, &executor, message.data, out);
        }
    }

    /// Says this to an executor, if it listens; whether it does.
    pub(crate) fn tell_executor(
        &self,
        framework: &FrameworkId,
        id: &ExecutorId,
        event: Event,
        out: &mut Effects,
    ) -> bool {
        let Some(framework) = self.state.frameworks.get(framework) else { return false };
        let Some(row) = framework.executors.get(id) else { return false };
        match &row.connection {
            None => return false,
            Some(Connection::Stream(conn)) => out.push(Effect::ToExecutor { conn: *conn, event: Box::new(event) }),
            Some(Connection::Driver(to)) => {
                if let Some(message) = driver::message(framework, row, self.agent_id(), event) {
                    out.push(Effect::ToDriver { to: to.clone(), message });
                }
            }
        }
        true
    }

    /// Ends what an executor has listened on.
    pub(crate) fn close_connection(&mut self, connection: Connection, out: &mut Effects) {
        match connection {
            Connection::Stream(conn) => {
                self.conns.remove(&conn);
                out.push(Effect::Close { conn });
            }
            Connection::Driver(peer) => {
                self.drivers.remove(&peer);
                out.push(Effect::Unlink { peer });
            }
        }
    }

    fn on_executor_message(&mut self, framework: &FrameworkId, executor: &ExecutorId, data: Bytes, out: &mut Effects) {
        if !self.is_registered() {
            tracing::warn!(%framework, %executor, "dropping a message to the framework: no master listens");
            self.state.metrics.invalid_framework_messages += 1;
            return;
        }
        self.state.metrics.valid_framework_messages += 1;
        let message = internal::ExecutorToFrameworkMessage {
            agent_id: self.agent_id(),
            framework_id: framework.to_proto(),
            executor_id: executor.to_proto(),
            data,
        };
        self.to_master(message, out);
    }

    pub(crate) fn on_framework_message(&mut self, message: internal::FrameworkToExecutorMessage, out: &mut Effects) {
        let (framework, executor) = (FrameworkId::from(&message.framework_id), ExecutorId::from(&message.executor_id));
        let row = self.state.find_executor(&framework, &executor);
        let event = Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message { data: message.data }),
            ..Default::default()
        };
        if row.is_some_and(|row| row.phase == ExecutorPhase::Running)
            && self.tell_executor(&framework, &executor, event, out)
        {
            self.state.metrics.valid_framework_messages += 1;
        } else {
            tracing::warn!(%framework, %executor, "dropping a message to an executor that does not listen");
            self.state.metrics.invalid_framework_messages += 1;
        }
    }

    pub(crate) fn on_heartbeat_timer(&mut self, out: &mut Effects) {
        for row in self.state.executors() {
            let event = Event { r#type: Some(event::Type::Heartbeat as i32), ..Default::default() };
            self.tell_executor(&row.framework, &row.id, event, out);
        }
        self.timers.set(self.now, crate::config::EXECUTOR_HEARTBEAT_INTERVAL, Timer::ExecutorHeartbeat);
    }
}
