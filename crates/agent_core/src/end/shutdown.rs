//! Shutting down an executor, a framework, or the agent: asked first, killed after a grace period.

use crate::{
    agent::Agent,
    container_id::ContainerId,
    effect::{Effect, Effects},
    launch::environment::shutdown_grace,
    recovery::{Record, record},
    state::{ExecutorPhase, FrameworkPhase, Phase, Stage},
    timers::{Timer, cancel},
};
use model::{ExecutorId, FrameworkId};
use proto::{
    internal,
    v1::{self, executor::event},
};

impl Agent {
    pub(crate) fn on_shutdown_executor(&mut self, message: internal::ShutdownExecutorMessage, out: &mut Effects) {
        if let (Some(framework), Some(executor)) = (message.framework_id, message.executor_id) {
            self.shutdown_executor(&(&framework).into(), &(&executor).into(), out);
        }
    }

    pub(crate) fn shutdown_executor(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let checkpoints = self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints());
        let Some(row) = self.state.executor_mut(framework, id).filter(|row| !row.is_ending()) else { return };
        if checkpoints {
            let name = record::ExecutorName { framework: framework.as_str().into(), executor: id.as_str().into() };
            out.push(Effect::Checkpoint { ticket: None, record: Box::new(Record::ExecutorShutdown(name)) });
        }
        let subscribed = row.phase == ExecutorPhase::Running;
        row.phase = ExecutorPhase::Terminating;
        let timer = row.timer.take();
        let (stage, container) = (row.stage, row.container.clone());
        cancel(&mut self.timers, timer);
        match stage {
            // The write that its launch waits for ends it.
            Stage::Checkpointing | Stage::Gone => {}
            // Nobody is there to be asked.
            Stage::Launching | Stage::Up if !subscribed => out.push(Effect::Destroy { container }),
            Stage::Launching | Stage::Up => self.ask_to_shut_down(framework, id, out),
        }
    }

    /// Tells the executor to end, and grants it its grace period.
    pub(crate) fn ask_to_shut_down(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        self.tell_executor(framework, id, shutdown_event(), out);
        let Some(row) = self.state.find_executor(framework, id) else { return };
        if row.timer.is_none() {
            let timer = Timer::ShutdownGrace { container: row.container.clone() };
            let key = self.timers.set(self.now, shutdown_grace(&self.config, &row.info), timer);
            if let Some(row) = self.state.executor_mut(framework, id) {
                row.timer = Some(key);
            }
        }
    }

    pub(crate) fn on_grace_over(&mut self, container: &ContainerId, out: &mut Effects) {
        let Some((framework, id)) = self.roots.get(container).cloned() else { return };
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        row.timer = None;
        if row.phase == ExecutorPhase::Terminating {
            tracing::info!(%framework, executor = %id, "the grace period is over; destroying the executor's container");
            out.push(Effect::Destroy { container: container.clone() });
        }
    }

    pub(crate) fn on_shutdown_framework(&mut self, message: internal::ShutdownFrameworkMessage, out: &mut Effects) {
        self.shutdown_framework(&FrameworkId::from(&message.framework_id), out);
    }

    pub(crate) fn shutdown_framework(&mut self, id: &FrameworkId, out: &mut Effects) {
        let Some(row) = self.state.framework_mut(id).filter(|row| row.phase == FrameworkPhase::Active) else { return };
        tracing::info!(framework = %id, "shutting down");
        row.phase = FrameworkPhase::Terminating;
        let executors: Vec<(ExecutorId, bool)> =
            row.executors.values().map(|row| (row.id.clone(), row.phase == ExecutorPhase::Terminated)).collect();
        if row.checkpoints() {
            let name = record::FrameworkName { framework: id.as_str().into() };
            self.record(Record::FrameworkShutdown(name), out);
        }
        self.updates().drop_of(id);
        for (executor, gone) in executors {
            if gone {
                self.complete_executor(id, &executor, out);
            } else {
                self.shutdown_executor(id, &executor, out);
            }
        }
        self.retire_framework_if_idle(id, out);
    }

    /// Ends everything, then the agent. The next start is the same agent, unless a master says that this one is gone:
    /// no master would take it again.
    pub(crate) fn on_shutdown(&mut self, why: &str, unregister: bool, out: &mut Effects) {
        if self.state.phase == Phase::Terminating {
            return;
        }
        tracing::warn!("shutting down: {why}");
        if unregister && self.is_registered() {
            self.to_master(internal::UnregisterSlaveMessage { agent_id: self.agent_id() }, out);
        }
        self.state.phase = Phase::Terminating;
        self.gone = why == GONE;
        self.attempts().stop();
        let ids: Vec<FrameworkId> = self.state.frameworks.keys().cloned().collect();
        for id in ids {
            self.shutdown_framework(&id, out);
        }
        let standalone: Vec<ContainerId> = self.state.containers.keys().filter(|id| !id.is_nested()).cloned().collect();
        for container in standalone {
            out.push(Effect::Destroy { container });
        }
        if self.state.frameworks.is_empty() {
            self.on_idle(out);
        }
    }
}

/// What masters say to an agent that was marked gone, Mesos's in the same words.
const GONE: &str = "Agent has been marked gone";

pub(crate) fn shutdown_event() -> v1::executor::Event {
    v1::executor::Event { r#type: Some(event::Type::Shutdown as i32), ..Default::default() }
}
