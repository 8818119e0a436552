//! Handing tasks to an executor that is there, in launch order, and learning which it has.

use super::{limits, spec::ExecutorKind};
use crate::{
    agent::Agent,
    container_id::ContainerId,
    effect::{Effect, Effects},
    event::Ticket,
    pending::Pending,
    recovery::{Record, record},
    state::{ExecutorPhase, Progress, Stage, TaskPhase},
};
use model::{ExecutorId, FrameworkId};
use proto::v1::{self, executor::event};

impl Agent {
    /// Queues more tasks for an executor that exists.
    pub(crate) fn deliver_more(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        tasks: Vec<v1::TaskInfo>,
        group: bool,
        out: &mut Effects,
    ) {
        let checkpoints = self.state.frameworks.get(framework).is_some_and(|row| row.checkpoints());
        let Some(container) = self.state.find_executor(framework, id).map(|row| row.container.clone()) else { return };
        let mut sent = Progress::Ready;
        if checkpoints {
            let record = Record::Tasks(record::TasksRecord {
                framework: framework.as_str().to_owned(),
                executor: id.as_str().to_owned(),
                delivery: record::DeliveryRecord { tasks: tasks.clone(), group },
            });
            sent = Progress::Checkpointing(self.record_then(record, Pending::Deliver { container }, out));
        }
        if let Some(row) = self.state.executor_mut(framework, id) {
            row.queue(tasks, group, sent);
        }
        self.flush(framework, id, out);
    }

    pub(crate) fn on_delivery_durable(&mut self, container: &ContainerId, ticket: Ticket, out: &mut Effects) {
        let Some((framework, id)) = self.roots.get(container).cloned() else { return };
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        for delivery in row.deliveries.iter_mut().filter(|delivery| delivery.sent == Progress::Checkpointing(ticket)) {
            delivery.sent = Progress::Ready;
        }
        self.flush(&framework, &id, out);
    }

    /// Sends what is ready to an executor that listens.
    pub(crate) fn flush(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.find_executor(framework, id) else { return };
        let ready = row.deliveries.iter().any(|delivery| delivery.sent == Progress::Ready);
        let (Some(conn), ExecutorPhase::Running, true) = (row.conn, row.phase, ready) else { return };
        // Room first, then the tasks. The container of a command task was made for its one task.
        if row.kind != ExecutorKind::Command {
            self.update_limits(framework, id, out);
            self.link_volumes(framework, id, out);
        }
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        row.used = true;
        for delivery in &mut row.deliveries {
            match delivery.sent {
                Progress::Checkpointing(_) => break,
                Progress::Sent => continue,
                Progress::Ready => delivery.sent = Progress::Sent,
            }
            let mut infos = Vec::with_capacity(delivery.tasks.len());
            for task in &delivery.tasks {
                if let Some(task) = row.tasks.get_mut(task) {
                    task.phase = TaskPhase::Launched;
                    infos.push((*task.info).clone());
                }
            }
            let event = if delivery.group {
                v1::executor::Event {
                    r#type: Some(event::Type::LaunchGroup as i32),
                    launch_group: Some(Box::new(event::LaunchGroup { task_group: v1::TaskGroupInfo { tasks: infos } })),
                    ..Default::default()
                }
            } else {
                let Some(task) = infos.pop() else { continue };
                v1::executor::Event {
                    r#type: Some(event::Type::Launch as i32),
                    launch: Some(event::Launch { task }),
                    ..Default::default()
                }
            };
            out.push(Effect::ToExecutor { conn, event: Box::new(event) });
        }
    }

    /// Tasks that come to a running container bring their volumes along.
    fn link_volumes(&self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.find_executor(framework, id) else { return };
        let ready = row.deliveries.iter().filter(|delivery| delivery.sent == Progress::Ready);
        let tasks = ready.flat_map(|delivery| &delivery.tasks).filter_map(|task| row.tasks.get(task));
        let volumes: Vec<_> = tasks.flat_map(|task| self.links_of(&task.info.resources)).collect();
        if !volumes.is_empty() {
            out.push(Effect::LinkVolumes { container: row.container.clone(), volumes });
        }
    }

    /// Fits the container to what its executor and tasks may use.
    pub(crate) fn update_limits(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        if let Some(row) = self.state.executor_mut(framework, id)
            && matches!(row.stage, Stage::Launching | Stage::Up)
        {
            let limits = limits::of_executor(row);
            if row.limits.replace(limits) != Some(limits) {
                out.push(Effect::UpdateLimits { container: row.container.clone(), limits });
            }
        }
    }
}
