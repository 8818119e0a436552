//! An agent returns whose row stands: what it reports is compared with what the master believes.

use std::{collections::BTreeSet, sync::Arc};

use model::{AgentCapabilities, AgentId, ExecutorId, FrameworkId, TaskId};
use proto::{
    internal::{self, ReregisterSlaveMessage},
    upid::Upid,
    v1::{self, task_status::Reason},
};

use super::reported::Reported;
use crate::{
    Master, Step,
    agents::membership::{leave_address, take_address, total_resources},
    state::Agent,
    tasks::Tasks,
};

/// Whether the agent named this task.
fn is_among(reported: &BTreeSet<(&str, &str)>, framework: &FrameworkId, task: &TaskId) -> bool {
    stdx::bug!("lost_launches_forgotten", return true);
    reported.contains(&(framework.as_str(), task.as_str()))
}

/// Whether a task that the agent runs is one that its row lacks.
fn is_news(agent: &Agent, key: &(FrameworkId, TaskId), task: &v1::Task) -> bool {
    stdx::bug!("unknown_tasks_left_out", return false);
    !agent.tasks.contains(key) && !model::task_state::is_terminal(task.state())
}

impl Master {
    pub(super) fn resume_agent(&mut self, from: Upid, id: &AgentId, m: ReregisterSlaveMessage, step: &mut Step<'_>) {
        self.recover_frameworks(&m.frameworks, step);
        let Some(agent) = self.state.agents.get_mut(id) else { return };
        let old_pid = std::mem::replace(&mut agent.pid, from.clone());
        agent.info = Arc::new(m.agent);
        agent.version = m.version.unwrap_or_default();
        agent.capabilities = AgentCapabilities::from_protos(&m.agent_capabilities);
        agent.capability_list = m.agent_capabilities;
        agent.resource_version = m.resource_version_uuid;
        agent.reregistered = Some(step.wall);
        agent.observer.answered = true;
        agent.observer.timeouts = 0;
        agent.displaced = false;
        let was_connected = std::mem::replace(&mut agent.connected, true);
        let oversubscribed = agent.total.revocable();
        let total = total_resources(&agent.info.resources, &m.checkpointed_resources) + oversubscribed;
        let changed = total != agent.total;
        agent.total = total.clone();
        let timers = [agent.reregister_timer.take(), agent.observer.removal.take()];
        for timer in timers.into_iter().flatten() {
            self.timers.cancel(timer);
        }
        if old_pid != from {
            leave_address(&mut self.by_pid, &old_pid, id, step);
        }
        take_address(&mut self.by_pid, &mut self.state.agents, &from, id, step);
        tracing::info!(agent = %id, %from, was_connected, "reregistered");

        self.send_reconciled(&from, id, &m.tasks, step);
        self.tasks().drop_unreported_executors(id, &m.executor_infos, step);
        self.tasks().forget_kills_of_the_ended(id, &m.tasks);
        self.resend_kills(&from, id, &m.tasks, step);
        self.readd_unknown(id, m.tasks, m.executor_infos, step);

        let Some(agent) = self.state.agents.get(id) else { return };
        let profile = self.profile_of(agent);
        let active = agent.is_active();
        if changed {
            self.offers().rescind_on(id, step);
        }
        self.allocator.update_agent_profile(step.now, id, profile);
        self.allocator.update_agent_total(step.now, id, total);
        if !was_connected && active {
            self.allocator.activate_agent(step.now, id);
        }
        if !was_connected && let Some(unavailability) = self.allocator.unavailability(id).copied() {
            self.allocator.set_unavailability(step.now, id, Some(unavailability));
        }
        self.pending.resend_drain(&mut self.state.agents, id, step);
        self.tell_frameworks(&from, &m.frameworks, step);
    }

    /// Tells the agent which tasks the master believes it has and it did not name: it answers with updates.
    fn send_reconciled(&self, to: &Upid, id: &AgentId, reported: &[v1::Task], step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
        let reported: BTreeSet<(&str, &str)> =
            reported.iter().map(|t| (t.framework_id.value.as_str(), t.task_id.value.as_str())).collect();
        let mut reconciliations: Vec<internal::ReconcileTasksMessage> = Vec::new();
        for (framework, task) in &agent.tasks {
            if is_among(&reported, framework, task) {
                continue;
            }
            let (Some(row), Some(task)) = (self.state.frameworks.get(framework), self.state.find_task(framework, task))
            else {
                continue;
            };
            let status = v1::TaskStatus {
                task_id: task.id.to_proto(),
                state: task.forwarded().map_or(task.state(), |(state, _)| state).into(),
                agent_id: Some(id.to_proto()),
                source: Some(v1::task_status::Source::Master.into()),
                reason: Some(Reason::Reconciliation.into()),
                message: Some("Reconciliation request".to_owned()),
                timestamp: Some(step.wall.as_secs_f64()),
                ..Default::default()
            };
            match reconciliations.last_mut().filter(|last| *framework == last.framework_id) {
                Some(last) => last.statuses.push(status),
                None => reconciliations.push(internal::ReconcileTasksMessage {
                    framework_id: framework.to_proto(),
                    framework: Some(v1::FrameworkInfo::clone(&row.info)),
                    statuses: vec![status],
                }),
            }
        }
        let connection = Some(self.connection());
        step.send(to, internal::SlaveReregisteredMessage { agent_id: id.to_proto(), reconciliations, connection });
    }

    fn resend_kills(&self, to: &Upid, id: &AgentId, reported: &[v1::Task], step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id).filter(|agent| !agent.killed.is_empty()) else { return };
        for task in reported {
            let key = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
            if !model::task_state::is_terminal(task.state()) && agent.killed.contains(&key) {
                let (framework_id, task_id) = (task.framework_id.clone(), task.task_id.clone());
                step.send(to, internal::KillTaskMessage { framework_id, task_id, kill_policy: None });
            }
        }
    }

    /// What the agent runs and the master had given up (the tasks of frameworks without checkpoints, after a broken
    /// link) is back.
    fn readd_unknown(
        &mut self,
        id: &AgentId,
        tasks: Vec<v1::Task>,
        executors: Vec<v1::ExecutorInfo>,
        step: &mut Step<'_>,
    ) {
        let Some(row) = self.state.agents.get(id) else { return };
        let mut agent = row.clone();
        let before = self.state.used_on(&agent);
        for executor in executors {
            self.tasks().add_reported_executor(&mut agent, executor);
        }
        let mut doubles = Vec::new();
        for task in tasks {
            let key = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
            if !is_news(&agent, &key, &task) {
                continue;
            }
            match self.tasks().add_reported_task(&mut agent, task, step) {
                Reported::TakenIn => self.tasks().tell_reregistered(&key.0, &key.1, "Unknown agent reregistered", step),
                Reported::Double(..) => doubles.push(key),
                Reported::Homeless => {}
            }
        }
        for (framework, task) in doubles {
            self.tasks().end_double(id, &framework, &task, step);
            agent.killed.insert((framework, task));
        }
        let after = self.state.used_on(&agent);
        if after == before {
            return;
        }
        let total = agent.total.clone();
        let offers = agent.offers.clone();
        let profile = self.profile_of(&agent);
        self.state.agents.insert(id.clone(), agent);
        for offer in offers {
            self.offers().rescind(&offer, None, step);
        }
        // The allocator learns what is used by taking the agent in anew.
        let unavailability = self.allocator.unavailability(id).copied();
        self.allocator.remove_agent(step.now, id);
        self.allocator.add_agent(step.now, id, profile, total, &after);
        self.offers().rescind_inverse_on(id, step);
        self.allocator.set_unavailability(step.now, id, unavailability);
    }
}

impl Tasks<'_> {
    fn drop_unreported_executors(&mut self, id: &AgentId, reported: &[v1::ExecutorInfo], step: &mut Step<'_>) {
        let Some(agent) = self.agents.get(id) else { return };
        let is_reported = |framework: &FrameworkId, executor: &ExecutorId| {
            reported.iter().any(|info| {
                info.executor_id.value == executor.as_str()
                    && info.framework_id.as_ref().is_some_and(|f| f.value == framework.as_str())
            })
        };
        let gone: Vec<_> = agent.executors.keys().filter(|(f, e)| !is_reported(f, e)).cloned().collect();
        for (framework, executor) in gone {
            self.remove_executor(id, &framework, &executor, step);
        }
    }

    /// A task that neither side has any more needs no kill.
    fn forget_kills_of_the_ended(&mut self, id: &AgentId, reported: &[v1::Task]) {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| !agent.killed.is_empty()) else { return };
        let runs = |(framework, task): &(FrameworkId, TaskId)| {
            let named =
                |row: &&v1::Task| row.framework_id.value == framework.as_str() && row.task_id.value == task.as_str();
            reported.iter().any(|row| named(&row))
        };
        let tasks = agent.tasks.clone();
        agent.killed.retain(|key| tasks.contains(key) || runs(key));
    }
}
