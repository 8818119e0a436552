//! Status updates: from agents on their way to frameworks, and the ones by which the master ends a task.

use std::sync::Arc;

use allocator::Allocator;
use model::{AgentId, FrameworkId, TaskId};
use proto::{
    internal::StatusUpdateMessage,
    v1::{self, TaskState, task_status::Source},
};
use resources::Resources;
use stdx::Tick;

use super::Tasks;
use super::status::{News, status_of};
use crate::{
    Step,
    counters::Counter,
    frameworks::{events, send::send_event},
    publish,
    state::Task,
};

impl Tasks<'_> {
    pub(crate) fn on_status_update(&mut self, message: StatusUpdateMessage, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesStatusUpdate);
        let update = message.update;
        let uuid = update.uuid.filter(|uuid| !uuid.is_empty());
        let agent = update.agent_id.as_ref().and_then(|id| self.agents.get(id.value.as_str()));
        let Some(agent) = agent.map(|row| row.id.clone()) else {
            tracing::warn!(task = %update.status.task_id.value, "ignoring a status update from an unknown agent");
            self.counters.add(Counter::InvalidStatusUpdates);
            return;
        };
        if uuid.as_ref().is_some_and(|uuid| model::parse::ids::uuid(uuid).is_err()) {
            tracing::warn!(%agent, "ignoring a status update whose uuid is none");
            self.counters.add(Counter::InvalidStatusUpdates);
            return;
        }
        let mut status = update.status;
        status.uuid.clone_from(&uuid);
        status.timestamp = Some(update.timestamp);
        status.agent_id = update.agent_id;
        if update.executor_id.is_some() {
            status.executor_id = update.executor_id;
        }
        let latest = update.latest_state.and_then(|state| TaskState::try_from(state).ok());

        let Some(row) = self.frameworks.get_mut(update.framework_id.value.as_str()) else {
            self.counters.add(Counter::InvalidStatusUpdates);
            return;
        };
        let (framework, connected) = (row.id.clone(), row.is_connected());
        let task = row.tasks.get_mut(status.task_id.value.as_str());
        let Some(task) = task.filter(|task| task.agent == agent) else {
            self.counters.add(Counter::InvalidStatusUpdates);
            if model::task_state::is_terminal(latest.unwrap_or(status.state()))
                && let Some(agent) = self.agents.get_mut(&agent)
            {
                agent.killed.remove(&(framework.clone(), TaskId::from(&status.task_id)));
            }
            send_event(self.frameworks, self.agents, &framework, events::update(status), step);
            return;
        };
        if connected && uuid.is_some() {
            model::history::note_forwarded(&mut task.proto, status.state, uuid.as_ref());
        }
        let applied = task.apply(&status, latest);
        if applied.notable {
            publish::task_updated(self.config, task, &status, step);
        }
        let (id, state) = (task.id.clone(), task.state());
        let is_over = is_over(task, uuid.is_some());
        if applied.released {
            let resources = task.resources.clone();
            let reason = status.reason.is_some().then(|| status.reason());
            *row.counters.terminal_tasks.entry(state.into()).or_default() += 1;
            self.counters.add_end(state, status.source(), reason);
            give_back(self.allocator, step.now, (&framework, &agent), &resources);
        }
        let counter = if connected { Counter::ValidStatusUpdates } else { Counter::InvalidStatusUpdates };
        self.counters.add(counter);
        send_event(self.frameworks, self.agents, &framework, events::update(status), step);
        if is_over {
            self.remove(&framework, &id, false, step);
        }
    }

    /// Sends a status of the master's to the framework, if it is there to hear it.
    pub(crate) fn forward(&mut self, framework: &FrameworkId, status: v1::TaskStatus, step: &mut Step<'_>) {
        send_event(self.frameworks, self.agents, framework, events::update(status), step);
    }

    /// Ends a task by the master's word and tells its framework.
    pub(crate) fn end(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        news: News,
        unreachable: bool,
        step: &mut Step<'_>,
    ) {
        if let Some(status) = self.conclude(framework, task, news, step) {
            self.remove(framework, task, unreachable, step);
            self.forward(framework, status, step);
        }
    }

    /// Ends a task whose framework need not hear of it.
    pub(crate) fn end_silently(&mut self, framework: &FrameworkId, task: &TaskId, news: News, step: &mut Step<'_>) {
        if self.conclude(framework, task, news, step).is_some() {
            self.remove(framework, task, false, step);
        }
    }

    fn conclude(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        news: News,
        step: &mut Step<'_>,
    ) -> Option<v1::TaskStatus> {
        let row = self.frameworks.get_mut(framework)?;
        let task = row.tasks.get_mut(task)?;
        let reason = news.reason;
        let status = status_of(task, news, step.wall);
        let applied = task.apply(&status, None);
        if applied.notable {
            publish::task_updated(self.config, task, &status, step);
        }
        if applied.released {
            let (agent, resources, state) = (task.agent.clone(), task.resources.clone(), task.state());
            if model::task_state::is_terminal(state) {
                *row.counters.terminal_tasks.entry(state.into()).or_default() += 1;
            }
            self.counters.add_end(state, Source::Master, Some(reason));
            self.allocator.recover(step.now, framework, &agent, &resources, None);
        }
        Some(status)
    }

    /// Takes a task out of the tables, into the history of the ended or of the unreachable.
    pub(crate) fn remove(&mut self, framework: &FrameworkId, id: &TaskId, unreachable: bool, step: &mut Step<'_>) {
        let Some(row) = self.frameworks.get_mut(framework) else { return };
        let Some(task) = row.tasks.take(id) else { return };
        if unreachable {
            let cap = self.config.max_unreachable_tasks_per_framework;
            row.unreachable_tasks.push(id.clone(), Arc::clone(&task), cap);
        } else {
            let cap = self.config.max_completed_tasks_per_framework;
            row.remember(Arc::clone(&task), cap);
        }
        if let Some(agent) = self.agents.get_mut(&task.agent) {
            let key = (framework.clone(), id.clone());
            agent.tasks.remove(&key);
            agent.killed.remove(&key);
            if agent.is_draining() {
                self.emptied.insert(task.agent.clone());
            }
        }
        if still_holds(&task) {
            self.allocator.recover(step.now, framework, &task.agent, &task.resources, None);
        }
    }
}

/// Whether nobody needs the task any more: it ended by a word that no framework acknowledges.
fn is_over(task: &Task, acknowledged: bool) -> bool {
    stdx::bug!("task_forgotten_at_its_first_update", return !acknowledged && task.is_terminal() || has_begun(task));
    !acknowledged && task.is_terminal()
}

fn has_begun(task: &Task) -> bool {
    task.state() == TaskState::TaskStarting
}

/// What a task held until its end is free.
fn give_back(allocator: &mut Allocator, now: Tick, (framework, agent): (&FrameworkId, &AgentId), held: &Resources) {
    stdx::bug!("ended_task_keeps_resources", return);
    allocator.recover(now, framework, agent, held, None);
}

/// Whether a task that leaves the tables has not given its resources back before.
fn still_holds(task: &Task) -> bool {
    stdx::bug!("resources_recovered_twice", return true);
    task.holds_resources()
}
