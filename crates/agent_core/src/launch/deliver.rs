//! Handing tasks to an executor that is there, in launch order, and learning which it has.

use super::{
    limits,
    spec::{ExecutorKind, VolumeLink},
};
use crate::{
    agent::Agent,
    container_id::ContainerId,
    effect::{Effect, Effects},
    operations::volumes::links_of,
    pending::Pending,
    recovery::{Record, record},
    state::{Connection, Delivery, ExecutorPhase, Progress, Stage, TaskPhase},
    updates::Verdict,
};
use model::{ExecutorId, FrameworkId, Refusal, TaskId};
use proto::v1::{self, executor::event};
use stdx::Ticket;

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
            sent = Progress::Checkpointing(self.tickets.record_then(record, Pending::Deliver { container }, out));
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
        let waits = |delivery: &Delivery| matches!(delivery.sent, Progress::Ready | Progress::Linked);
        let listens = row.phase == ExecutorPhase::Running && row.connection.is_some();
        if !listens || !row.deliveries.iter().any(waits) {
            return;
        }
        // Room first, then the tasks. The container of a command task was made for its one task.
        if row.kind != ExecutorKind::Command {
            self.update_limits(framework, id, out);
        }
        self.link_volumes(framework, id, out);
        let Some(row) = self.state.executor_mut(framework, id) else { return };
        let knows_groups = matches!(row.connection, Some(Connection::Stream(_)));
        let (mut events, mut unknown) = (Vec::new(), Vec::new());
        for delivery in &mut row.deliveries {
            match delivery.sent {
                Progress::Checkpointing(_) | Progress::Ready | Progress::Linking(_) => break,
                Progress::Sent => continue,
                Progress::Linked if delivery.group && !knows_groups => {
                    unknown.extend(delivery.tasks.iter().cloned());
                    continue;
                }
                Progress::Linked => delivery.sent = Progress::Sent,
            }
            row.used = true;
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
            events.push(event);
        }
        for event in events {
            self.tell_executor(framework, id, event, out);
        }
        if !unknown.is_empty() {
            self.refuse_groups(framework, id, unknown, out);
        }
    }

    /// A v0 executor knows single tasks only.
    fn refuse_groups(&mut self, framework: &FrameworkId, id: &ExecutorId, tasks: Vec<TaskId>, out: &mut Effects) {
        let aware = self.state.frameworks.get(framework).is_some_and(|row| row.is_partition_aware());
        for task in tasks {
            let why = "The executor speaks the v0 API, which has no task groups";
            let verdict = Verdict::refused(Refusal::TaskGroupInvalid, aware, why);
            self.tell(framework, Some(id.clone()), &task, verdict, out);
        }
        self.end_if_never_used(framework, id, out);
    }

    /// Tasks that come to a running container bring their volumes along.
    fn link_volumes(&mut self, framework: &FrameworkId, id: &ExecutorId, out: &mut Effects) {
        let Some(row) = self.state.find_executor(framework, id) else { return };
        let (container, made_for_it) = (row.container.clone(), row.kind == ExecutorKind::Command);
        let volumes_of = |delivery: &Delivery| -> Vec<VolumeLink> {
            let tasks = delivery.tasks.iter().filter_map(|task| row.tasks.get(task)).filter(|_| !made_for_it);
            tasks.flat_map(|task| links_of(&self.config.work_dir, &task.info.resources)).collect()
        };
        let ready = row.deliveries.iter().enumerate().filter(|(_, delivery)| delivery.sent == Progress::Ready);
        let ready: Vec<_> = ready.map(|(position, delivery)| (position, volumes_of(delivery))).collect();
        for (position, volumes) in ready {
            let sent = if volumes.is_empty() {
                Progress::Linked
            } else {
                let ticket = self.tickets.issue(Pending::LinkVolumes { container: container.clone() });
                out.push(Effect::LinkVolumes { ticket, container: container.clone(), volumes });
                Progress::Linking(ticket)
            };
            if let Some(row) = self.state.executor_mut(framework, id)
                && let Some(delivery) = row.deliveries.get_mut(position)
            {
                delivery.sent = sent;
            }
        }
    }

    /// The volumes of a delivery are there, or its tasks cannot run.
    pub(crate) fn on_volumes_linked(&mut self, ticket: Ticket, outcome: Result<(), String>, out: &mut Effects) {
        let Some(Pending::LinkVolumes { container }) = self.tickets.take(ticket) else { return };
        let Some((framework, id)) = self.roots.get(&container).cloned() else { return };
        let aware = self.state.frameworks.get(&framework).is_some_and(|row| row.is_partition_aware());
        let Some(row) = self.state.executor_mut(&framework, &id) else { return };
        let linking = row.deliveries.iter_mut().find(|delivery| delivery.sent == Progress::Linking(ticket));
        // Its tasks may have been killed meanwhile, or be sent on another stream.
        let Some(delivery) = linking else { return };
        match outcome {
            Ok(()) => {
                delivery.sent = Progress::Linked;
                self.flush(&framework, &id, out);
            }
            Err(why) => {
                let message = format!("Failed to update resources for container: {why}");
                for task in delivery.tasks.clone() {
                    let verdict = Verdict::refused(Refusal::ContainerUpdateFailed, aware, message.clone());
                    self.tell(&framework, Some(id.clone()), &task, verdict, out);
                }
                self.end_if_never_used(&framework, &id, out);
                self.flush(&framework, &id, out);
            }
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
