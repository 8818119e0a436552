//! SUBSCRIBE: an executor opens its stream, for the first time or again, and both sides learn what the other has.

use crate::{
    agent::Agent,
    effect::{Effect, Effects},
    end::undelivered_with,
    listener::Listener,
    state::{Connection, ExecutorPhase, FrameworkPhase, Phase, Progress, TaskPhase},
    timers::cancel,
};
use model::{ExecutorId, FrameworkId, TaskId};
use proto::v1::{
    self,
    executor::{call, event},
};
use std::collections::BTreeSet;

impl Agent {
    /// Takes a SUBSCRIBE that was checked, of an executor that listens here from now on.
    pub(super) fn on_subscribe(&mut self, connection: Connection, call: v1::executor::Call, out: &mut Effects) {
        let (framework, id) = (FrameworkId::from(&call.framework_id), ExecutorId::from(&call.executor_id));
        let subscribe = call.subscribe.unwrap_or_default();
        let terminating = self.state.phase == Phase::Terminating
            || self.state.frameworks.get(&framework).is_some_and(|row| row.phase == FrameworkPhase::Terminating);
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        let former = row.connection.replace(connection.clone());
        if row.phase == ExecutorPhase::Terminated {
            row.connection = None;
            if let Connection::Stream(conn) = connection {
                out.push(Effect::ToExecutor { conn, event: Box::new(crate::end::shutdown_event()) });
                out.push(Effect::Close { conn });
            }
            return;
        }
        let returning = row.phase == ExecutorPhase::Running;
        let ending = terminating || row.phase == ExecutorPhase::Terminating;
        let timer = if ending { None } else { row.timer.take() };
        if !ending {
            row.phase = ExecutorPhase::Running;
        }
        cancel(&mut self.timers, timer);
        if let Some(former) = former.filter(|former| *former != connection) {
            tracing::info!(%framework, executor = %id, "the executor subscribed again; closing its older connection");
            self.close_connection(former, out);
        }
        match connection {
            Connection::Stream(conn) => {
                self.conns.insert(conn, Listener::Executor(framework.clone(), id.clone()));
            }
            Connection::Driver(address) => self.let_in_driver(address, &framework, &id),
        }
        self.welcome(&framework, &id, out);

        self.note_held(&framework, &id, &subscribe.unacknowledged_tasks);
        for update in subscribe.unacknowledged_updates {
            if self.is_sound(&framework, &id, &update) {
                self.on_update(framework.clone(), id.clone(), update.status, out);
            } else {
                self.state.metrics.invalid_status_updates += 1;
            }
        }
        if ending {
            self.ask_to_shut_down(&framework, &id, out);
        } else {
            self.redeliver(&framework, &id, out);
            self.flush(&framework, &id, out);
            self.flush_kills(&framework, &id, out);
            if !returning {
                self.end_if_never_used(&framework, &id, out);
            }
        }
        self.finish_recovery_early(out);
    }

    /// What both sides know of each other.
    fn welcome(&self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(framework_row) = self.state.frameworks.get(framework) else { return };
        let Some(row) = framework_row.executors.get(id) else { return };
        let event = v1::executor::Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(Box::new(event::Subscribed {
                executor_info: (*row.info).clone(),
                framework_info: (*framework_row.info).clone(),
                agent_info: (*self.state.info).clone(),
                container_id: Some(row.container.to_proto()),
            })),
            ..Default::default()
        };
        self.tell_executor(framework, id, event, out);
    }

    /// An update inside SUBSCRIBE is held to what an UPDATE is held to.
    fn is_sound(&self, framework: &FrameworkId, id: &ExecutorId, update: &call::Update) -> bool {
        let alone = v1::executor::Call {
            executor_id: id.to_proto(),
            framework_id: framework.to_proto(),
            r#type: Some(call::Type::Update as i32),
            update: Some(update.clone()),
            ..Default::default()
        };
        model::parse::executor_call(&alone).is_ok()
    }

    /// The executor says which tasks it has and has had no acknowledgement for.
    fn note_held(&mut self, framework: &FrameworkId, id: &ExecutorId, held: &[v1::TaskInfo]) {
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        for task in held {
            let task = TaskId::from(&task.task_id);
            if let Some(known) = row.tasks.get_mut(&task) {
                row.used = true;
                if known.phase == TaskPhase::Queued {
                    known.phase = TaskPhase::Launched;
                }
                row.forget_delivery(&task);
            }
        }
    }

    /// What was sent on an older stream and is not with the executor is sent again, unless it is to be killed.
    fn redeliver(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        let mut unwanted = BTreeSet::new();
        for delivery in row.deliveries.iter_mut().filter(|delivery| delivery.sent == Progress::Sent) {
            delivery.sent = Progress::Ready;
            for task in &delivery.tasks {
                if let Some(known) = row.tasks.get_mut(task) {
                    known.phase = TaskPhase::Queued;
                    if known.kill.take().is_some() {
                        unwanted.insert(task.clone());
                    }
                }
            }
        }
        for task in unwanted {
            let queued = self.state.find_executor(framework, id).and_then(|row| undelivered_with(row, &task));
            if let Some(tasks) = queued {
                self.kill_undelivered(framework, id, tasks, out);
            }
        }
    }
}
