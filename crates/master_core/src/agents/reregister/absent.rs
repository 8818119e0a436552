//! An agent returns that this master has no row of: its tasks and executors come with it.

use model::{AgentId, FrameworkId, TaskId};
use proto::{
    internal::{self, ReregisterSlaveMessage},
    upid::Upid,
    v1,
};

use super::reported::Reported;
use crate::{Master, Step, agents::membership::Newcomer, counters::Counter, pending::Was, state::Agent, tasks::Tasks};

impl Master {
    pub(super) fn return_agent(
        &mut self,
        from: Upid,
        id: &AgentId,
        m: ReregisterSlaveMessage,
        was: Was,
        step: &mut Step<'_>,
    ) {
        let news = match was {
            Was::Registered | Was::Recovered => None,
            Was::Unreachable => Some("Unreachable agent re-reregistered"),
            Was::Forgotten => Some("Unknown agent reregistered"),
        };
        self.recover_frameworks(&m.frameworks, step);
        if was != Was::Recovered {
            self.tasks().forget_unreachable_tasks(id);
        }
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
            self.tasks().add_reported_executor(&mut agent, executor);
        }
        let doubles = self.tasks().take_in_tasks(&mut agent, m.tasks, news, step);
        // Whatever became of its agent meanwhile, a task that was to be killed is.
        let mut killed = self.absent_kills.remove(id).unwrap_or_default();
        killed.retain(|key| agent.tasks.contains(key));
        agent.killed.clone_from(&killed);
        self.state.counters.add(Counter::AgentReregistrations);
        tracing::info!(agent = %id, %from, ?was, tasks = agent.tasks.len(), "reregistered");
        self.add_agent(agent, step);
        self.tasks().add_completed(m.completed_frameworks);
        self.pending.resend_drain(&mut self.state.agents, id, step);
        let connection = Some(self.connection());
        let reply = internal::SlaveReregisteredMessage { agent_id: id.to_proto(), reconciliations: vec![], connection };
        step.send(&from, reply);
        self.tell_frameworks(&from, &m.frameworks, step);
        for (framework, task) in killed {
            let (framework_id, task_id) = (framework.to_proto(), task.to_proto());
            step.send(&from, internal::KillTaskMessage { framework_id, task_id, kill_policy: None });
        }
        for (framework, task) in doubles {
            self.tasks().end_double(id, &framework, &task, step);
        }
        self.ping(id, step);
    }
}

impl Tasks<'_> {
    /// Takes in the tasks that an agent reports, and tells their frameworks if they were given up. Gives back those
    /// that run elsewhere, too.
    fn take_in_tasks(
        &mut self,
        agent: &mut Agent,
        tasks: Vec<v1::Task>,
        news: Option<&str>,
        step: &mut Step<'_>,
    ) -> Vec<(FrameworkId, TaskId)> {
        stdx::bug!("failover_forgets_tasks", return Vec::new());
        let mut doubles = Vec::new();
        for task in tasks {
            let named = news.map(|why| (FrameworkId::from(&task.framework_id), TaskId::from(&task.task_id), why));
            let lives = !model::task_state::is_terminal(task.state());
            match (self.add_reported_task(agent, task, step), named) {
                (Reported::TakenIn, Some((framework, task, why))) => {
                    self.tell_reregistered(&framework, &task, why, step);
                }
                (Reported::Double(framework, task), _) if lives => doubles.push((framework, task)),
                (Reported::TakenIn | Reported::Double(..) | Reported::Homeless, _) => {}
            }
        }
        doubles
    }

    fn forget_unreachable_tasks(&mut self, id: &AgentId) {
        let frameworks: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            let Some(row) = self.frameworks.get(&framework) else { continue };
            let tasks: Vec<TaskId> =
                row.unreachable_tasks.iter().filter(|task| task.agent == *id).map(|task| task.id.clone()).collect();
            if let Some(row) = self.frameworks.get_mut(&framework).filter(|_| !tasks.is_empty()) {
                for task in &tasks {
                    row.unreachable_tasks.take(task);
                }
            }
        }
    }
}
