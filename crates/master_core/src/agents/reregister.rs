//! An agent comes back: after its own restart or a broken link (registered), after this master's election (recovered),
//! or from the unreachable and the forgotten (away). What it runs is the truth; what the master believed is reconciled.

use std::{collections::BTreeSet, sync::Arc};

use model::{AgentCapabilities, AgentId, ExecutorId, FrameworkId, TaskId, status::Build};
use proto::{
    internal::{self, ReregisterSlaveMessage},
    upid::Upid,
    v1::{self, task_status::Reason},
};
use registry::Operation;
use resources::Resources;

use super::membership::{GONE, Newcomer, total_resources};
use crate::{
    Master, Step,
    counters::Counter,
    effect::Effect,
    pending::{Continuation, Was},
    publish,
    state::{Agent, Executor, Task},
    validate,
};

impl Master {
    pub(crate) fn on_reregister(&mut self, from: Upid, mut message: Box<ReregisterSlaveMessage>, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesReregisterAgent);
        let Some(id) = message.agent.id.as_ref().map(AgentId::from) else {
            tracing::warn!(%from, "dropping a reregistration without an agent id");
            return;
        };
        if self.pending.is_in_transition(&id) {
            return;
        }
        if self.state.registry.gone.contains_key(&id) {
            self.shut_down_agent(&from, GONE, step);
            return;
        }
        upgrade(&mut message);
        if let Err(why) = model::parse::registration::reregister(&message) {
            tracing::warn!(agent = %id, %from, why, "dropping an invalid reregistration");
            return;
        }
        if self.is_machine_down(&message.agent.hostname, &from.host) {
            self.shut_down_agent(&from, "Machine is `DOWN`", step);
            return;
        }
        let compatible =
            validate::agent::check_compatible(&message.agent, message.version.as_deref(), &self.state.info);
        if let Err(why) = compatible {
            tracing::warn!(agent = %id, %from, why, "ignoring a reregistration");
            return;
        }
        if self.by_pid.get(&from).is_some_and(|there| *there != id) {
            tracing::warn!(agent = %id, %from, "ignoring a reregistration from another agent's address");
            return;
        }
        let (was, known) = if let Some(agent) = self.state.agents.get(&id) {
            if agent.pid.host != from.host || agent.info.hostname != message.agent.hostname {
                self.shut_down_agent(&from, "Agent attempted to reregister with different IP / hostname", step);
                return;
            }
            (Was::Registered, *agent.info == message.agent)
        } else if let Some(info) = self.state.recovered_agents.get(&id) {
            (Was::Recovered, *info == message.agent)
        } else if self.state.registry.unreachable.contains_key(&id) {
            (Was::Unreachable, false)
        } else {
            (Was::Forgotten, false)
        };
        if known {
            self.readmit(from, &id, *message, was, step);
            return;
        }
        let info = Box::new(message.agent.clone());
        let operation = match was {
            Was::Registered | Was::Recovered => Operation::UpdateAgent(info),
            Was::Unreachable | Was::Forgotten => Operation::MarkReachable(info),
        };
        self.pending.reregistering.insert(id.clone());
        self.persist(vec![operation], Continuation::Reregister { from, agent: id, message, was }, step);
    }

    pub(crate) fn on_readmitted(
        &mut self,
        from: Upid,
        id: &AgentId,
        message: ReregisterSlaveMessage,
        was: Was,
        step: &mut Step<'_>,
    ) {
        self.pending.reregistering.remove(id);
        self.readmit(from, id, message, was, step);
    }

    fn readmit(&mut self, from: Upid, id: &AgentId, m: ReregisterSlaveMessage, was: Was, step: &mut Step<'_>) {
        match was {
            Was::Registered => self.resume_agent(from, id, m, step),
            Was::Recovered | Was::Unreachable | Was::Forgotten => self.return_agent(from, id, m, was, step),
        }
    }

    /// An agent that this master had no row of: its tasks and executors come with it.
    fn return_agent(&mut self, from: Upid, id: &AgentId, m: ReregisterSlaveMessage, was: Was, step: &mut Step<'_>) {
        let news = match was {
            Was::Registered | Was::Recovered => None,
            Was::Unreachable => Some("Unreachable agent re-reregistered"),
            Was::Forgotten => Some("Unknown agent reregistered"),
        };
        self.recover_frameworks(&m.frameworks, step);
        self.forget_unreachable_tasks(id);
        self.state.recovered_agents.take(id);
        let newcomer = Newcomer {
            pid: from.clone(),
            info: m.agent,
            version: m.version.unwrap_or_default(),
            capabilities: m.agent_capabilities,
            resource_version: m.resource_version_uuid,
            checkpointed: m.checkpointed_resources,
            reregistered: Some(step.wall),
        };
        let mut agent = self.new_agent(id, newcomer, step);
        for executor in m.executor_infos {
            self.add_reported_executor(&mut agent, executor);
        }
        for task in m.tasks {
            let (framework, task_id) = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
            if self.add_reported_task(&mut agent, task, step)
                && let Some(why) = news
            {
                self.tell_reregistered(&framework, &task_id, why, step);
            }
        }
        self.state.counters.add(Counter::AgentReregistrations);
        tracing::info!(agent = %id, %from, ?was, tasks = agent.tasks.len(), "reregistered");
        let drain = agent.drain_info;
        self.add_agent(agent, step);
        self.add_completed(m.completed_frameworks);
        if let Some(drain) = drain {
            step.send(&from, internal::DrainSlaveMessage { config: drain.config });
        }
        let connection = Some(self.connection());
        let reply = internal::SlaveReregisteredMessage { agent_id: id.to_proto(), reconciliations: vec![], connection };
        step.send(&from, reply);
        self.tell_frameworks(&from, &m.frameworks, step);
        self.ping(id, step);
    }

    /// An agent whose row stands: its answer is compared with what the master believes.
    fn resume_agent(&mut self, from: Upid, id: &AgentId, m: ReregisterSlaveMessage, step: &mut Step<'_>) {
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
            self.by_pid.remove(&old_pid);
            self.by_pid.insert(from.clone(), id.clone());
            step.out.push(Effect::Unlink { peer: old_pid });
        }
        step.out.push(Effect::Link { peer: from.clone() });
        tracing::info!(agent = %id, %from, was_connected, "reregistered");

        self.send_reconciled(&from, id, &m.tasks, step);
        self.drop_unreported_executors(id, &m.executor_infos, step);
        self.resend_kills(&from, id, &m.tasks, step);
        self.readd_unknown(id, m.tasks, m.executor_infos, step);

        let Some(agent) = self.state.agents.get(id) else { return };
        let (profile, drain) = (self.profile_of(agent), agent.drain_info);
        let active = agent.is_active();
        if changed {
            self.rescind_all_on(id, step);
        }
        self.allocator.update_agent_profile(step.now, id, profile);
        self.allocator.update_agent_total(step.now, id, total);
        if !was_connected && active {
            self.allocator.activate_agent(step.now, id);
        }
        if let Some(drain) = drain {
            step.send(&from, internal::DrainSlaveMessage { config: drain.config });
        }
        self.tell_frameworks(&from, &m.frameworks, step);
    }

    /// Tells the agent which tasks the master believes it has and it did not name: it answers with updates.
    fn send_reconciled(&self, to: &Upid, id: &AgentId, reported: &[v1::Task], step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
        let reported: BTreeSet<(&str, &str)> =
            reported.iter().map(|t| (t.framework_id.value.as_str(), t.task_id.value.as_str())).collect();
        let mut reconciliations: Vec<internal::ReconcileTasksMessage> = Vec::new();
        for (framework, task) in &agent.tasks {
            if reported.contains(&(framework.as_str(), task.as_str())) {
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

    fn drop_unreported_executors(&mut self, id: &AgentId, reported: &[v1::ExecutorInfo], step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
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
            self.add_reported_executor(&mut agent, executor);
        }
        for task in tasks {
            let key = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
            if agent.tasks.contains(&key) || model::task_state::is_terminal(task.state()) {
                continue;
            }
            if self.add_reported_task(&mut agent, task, step) {
                self.tell_reregistered(&key.0, &key.1, "Unknown agent reregistered", step);
            }
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
            self.rescind_offer(&offer, None, step);
        }
        // The allocator learns what is used by taking the agent in anew.
        self.allocator.remove_agent(step.now, id);
        self.allocator.add_agent(step.now, id, profile, total, &after);
    }

    fn forget_unreachable_tasks(&mut self, id: &AgentId) {
        let frameworks: Vec<FrameworkId> = self.state.frameworks.keys().cloned().collect();
        for framework in frameworks {
            let Some(row) = self.state.frameworks.get(&framework) else { continue };
            let tasks: Vec<TaskId> =
                row.unreachable_tasks.iter().filter(|task| task.agent == *id).map(|task| task.id.clone()).collect();
            if let Some(row) = self.state.frameworks.get_mut(&framework).filter(|_| !tasks.is_empty()) {
                for task in &tasks {
                    row.unreachable_tasks.take(task);
                }
            }
        }
    }

    /// Takes in an executor the agent reports, unless it is known or its framework is not.
    fn add_reported_executor(&mut self, agent: &mut Agent, info: v1::ExecutorInfo) {
        let Some(framework) = info.framework_id.as_ref().map(FrameworkId::from) else { return };
        let executor = ExecutorId::from(&info.executor_id);
        let key = (framework, executor);
        if agent.executors.contains_key(&key) {
            return;
        }
        let Some(row) = self.state.frameworks.get_mut(&key.0) else { return };
        let role = only_role(row);
        let resources = allocated(&info.resources, role.as_deref());
        row.executors.insert((agent.id.clone(), key.1.clone()));
        agent.executors.insert(key, Arc::new(Executor { info, resources }));
    }

    /// Takes in a task the agent reports. Not if its framework is gone, or has a task of this name elsewhere.
    fn add_reported_task(&mut self, agent: &mut Agent, task: v1::Task, step: &mut Step<'_>) -> bool {
        let (framework, id) = (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id));
        let Some(row) = self.state.frameworks.get_mut(&framework) else { return false };
        if row.tasks.contains(&id) {
            tracing::warn!(%framework, task = %id, agent = %agent.id, "reported, but runs elsewhere too");
            return false;
        }
        row.unreachable_tasks.take(&id);
        row.completed_tasks.remove(|done| done.id == id);
        let role = only_role(row);
        let task = Task {
            resources: allocated(&task.resources, role.as_deref()),
            id: id.clone(),
            framework: framework.clone(),
            agent: agent.id.clone(),
            executor: task.executor_id.as_ref().map(ExecutorId::from),
            proto: task,
        };
        publish::task_added(&self.config, &task, step);
        row.tasks.insert(id.clone(), task);
        agent.tasks.insert((framework, id));
        true
    }

    fn tell_reregistered(&mut self, framework: &FrameworkId, task: &TaskId, why: &str, step: &mut Step<'_>) {
        let Some(task) = self.state.find_task(framework, task) else { return };
        let status = model::status::reconciled(&task.proto, task.state(), why, step.wall);
        let status = status.with_reason(Reason::AgentReregistered);
        self.forward(framework, status, step);
    }

    /// The ended tasks that the agent still remembers, of frameworks that are known.
    fn add_completed(&mut self, archives: Vec<internal::archive::Framework>) {
        let cap = self.config.max_completed_tasks_per_framework;
        for archive in archives {
            let Some(id) = archive.framework_info.id.as_ref().map(FrameworkId::from) else { continue };
            let Some(row) = self.state.frameworks.get_mut(&id) else { continue };
            for task in archive.tasks {
                let task_id = TaskId::from(&task.task_id);
                if row.tasks.contains(&task_id) || row.completed_tasks.iter().any(|done| done.id == task_id) {
                    continue;
                }
                let resources = Resources::from_protos(&task.resources).unwrap_or_default();
                let done = Task {
                    id: task_id,
                    framework: id.clone(),
                    agent: AgentId::from(&task.agent_id),
                    executor: task.executor_id.as_ref().map(ExecutorId::from),
                    resources,
                    proto: task,
                };
                row.completed_tasks.push(done.into(), cap);
            }
        }
    }

    /// The agent learns of each framework it reported: how it is now, or that it is over.
    fn tell_frameworks(&self, to: &Upid, reported: &[v1::FrameworkInfo], step: &mut Step<'_>) {
        for info in reported {
            let Some(id) = &info.id else { continue };
            if let Some(row) = self.state.frameworks.get(id.value.as_str()) {
                let info = v1::FrameworkInfo::clone(&row.info);
                let message = internal::UpdateFrameworkMessage {
                    framework_id: id.clone(),
                    pid: None,
                    framework_info: Some(info),
                };
                step.send(to, message);
            } else {
                step.send(to, internal::ShutdownFrameworkMessage { framework_id: id.clone() });
            }
        }
    }
}

/// The role that resources of a framework with one role are allocated to when an old agent does not say.
fn only_role(framework: &crate::state::Framework) -> Option<String> {
    framework.roles.first().filter(|_| framework.roles.len() == 1).cloned()
}

fn allocated(protos: &[v1::Resource], role: Option<&str>) -> Resources {
    let resources = Resources::from_protos(protos).unwrap_or_default();
    match role {
        Some(role) if protos.iter().any(|r| r.allocation_info.is_none()) => resources.allocate(role),
        _ => resources,
    }
}

fn upgrade(message: &mut ReregisterSlaveMessage) {
    let infos = message.agent.resources.iter_mut().chain(&mut message.checkpointed_resources);
    let tasks = message.tasks.iter_mut().flat_map(|task| &mut task.resources);
    let executors = message.executor_infos.iter_mut().flat_map(|executor| &mut executor.resources);
    infos.chain(tasks).chain(executors).for_each(resources::format::upgrade);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_agents_resources_get_the_only_role() {
        let cpus = Resources::from_protos(&[v1::Resource {
            name: "cpus".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 1.0 }),
            ..Default::default()
        }])
        .expect("valid");
        assert_eq!(allocated(&cpus.to_protos(), Some("a")), cpus.allocate("a"));
        assert_eq!(allocated(&cpus.allocate("b").to_protos(), Some("a")), cpus.allocate("b"));
        assert_eq!(allocated(&cpus.to_protos(), None), cpus);
    }
}
