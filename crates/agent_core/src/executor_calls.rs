//! Calls on the executor API: the checks they share, in Mesos's order; `subscribe` and `update` have files of their
//! own.

mod subscribe;
mod update;

use crate::{
    agent::Agent,
    effect::{Effect, Effects, Reply},
    event::Caller,
    recovery::{Record, record},
    state::{ExecutorPhase, Phase},
    timers::Timer,
};
use bytes::Bytes;
use model::{ExecutorId, FrameworkId};
use proto::{
    internal,
    upid::Upid,
    v1::{
        self,
        executor::{Call, call, event},
    },
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
        if let Err(why) = model::parse::executor_call(&call) {
            let text = format!("Failed to validate Executor::Call: {why}");
            return self.reply(req, Reply::BadRequest(text), out);
        }
        let kind = call.r#type();
        let framework = FrameworkId::from(&call.framework_id);
        let executor = ExecutorId::from(&call.executor_id);
        // An executor that is back already may go on; what it says would be lost otherwise.
        let row = self.state.find_executor(&framework, &executor);
        let is_back = row.is_some_and(|row| row.phase == ExecutorPhase::Running);
        if self.state.phase == Phase::Recovering && kind != call::Type::Subscribe && !is_back {
            return self.reply(req, Reply::Unavailable("Agent has not finished recovery".into()), out);
        }
        // Heartbeats only keep a connection busy, whoever sends them.
        if kind == call::Type::Heartbeat {
            return self.reply(req, Reply::Accepted, out);
        }
        if !self.state.frameworks.contains_key(&framework) {
            return self.reply(req, Reply::BadRequest("Framework cannot be found".into()), out);
        }
        let Some(row) = self.state.find_executor(&framework, &executor) else {
            return self.reply(req, Reply::BadRequest("Executor cannot be found".into()), out);
        };
        if let Err(refusal) = self.check_speaks_for(caller, row) {
            return self.reply(req, refusal, out);
        }
        if row.phase == ExecutorPhase::Registering && kind != call::Type::Subscribe {
            return self.reply(req, Reply::Forbidden("Executor is not subscribed".into()), out);
        }
        match (kind, call) {
            (call::Type::Subscribe, Call { subscribe: Some(subscribe), .. }) => {
                let Some(conn) = conn else {
                    stdx::never!("a subscription came without a stream");
                    return self.reply(req, Reply::Internal("There is no stream to subscribe with".into()), out);
                };
                self.on_subscribe(req, conn, framework, executor, subscribe, out);
            }
            (call::Type::Update, Call { update: Some(update), .. }) => {
                self.reply(req, Reply::Accepted, out);
                self.on_update(framework, executor, update.status, out);
            }
            (call::Type::Message, Call { message: Some(message), .. }) => {
                self.reply(req, Reply::Accepted, out);
                self.on_executor_message(&framework, &executor, message.data, out);
            }
            _ => self.reply(req, Reply::NotImplemented("501 Not Implemented.".into()), out),
        }
    }

    /// Where a v0 executor is, so that it can be asked back after our restart.
    pub(crate) fn on_executor_address(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        address: Upid,
        out: &mut Effects,
    ) {
        let checkpoints = self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints());
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        if row.address.as_ref() == Some(&address) {
            return;
        }
        if checkpoints {
            let record = record::ExecutorAddress {
                framework: framework.as_str().into(),
                executor: id.as_str().into(),
                address: address.to_string(),
            };
            out.push(Effect::Checkpoint { ticket: None, record: Box::new(Record::ExecutorAddress(record)) });
        }
        row.address = Some(address);
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
        match row.filter(|row| row.phase == ExecutorPhase::Running).and_then(|row| row.conn) {
            Some(conn) => {
                self.state.metrics.valid_framework_messages += 1;
                let event = v1::executor::Event {
                    r#type: Some(event::Type::Message as i32),
                    message: Some(event::Message { data: message.data }),
                    ..Default::default()
                };
                out.push(Effect::ToExecutor { conn, event: Box::new(event) });
            }
            None => {
                tracing::warn!(%framework, %executor, "dropping a message to an executor that does not listen");
                self.state.metrics.invalid_framework_messages += 1;
            }
        }
    }

    pub(crate) fn on_heartbeat_timer(&mut self, out: &mut Effects) {
        for row in self.state.executors() {
            if let Some(conn) = row.conn {
                let event = v1::executor::Event { r#type: Some(event::Type::Heartbeat as i32), ..Default::default() };
                out.push(Effect::ToExecutor { conn, event: Box::new(event) });
            }
        }
        self.timers.set(self.now, crate::config::EXECUTOR_HEARTBEAT_INTERVAL, Timer::ExecutorHeartbeat);
    }
}
