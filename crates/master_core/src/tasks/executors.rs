//! Executors end, and speak to their frameworks.

use model::{AgentId, ExecutorId, FrameworkId};
use proto::internal::{ExecutorToFrameworkMessage, ExitedExecutorMessage};

use super::Tasks;
use crate::{
    Step,
    counters::Counter,
    frameworks::{events, send::send_event},
};

impl Tasks<'_> {
    /// The tasks of an ended executor are the agent's to report.
    pub(crate) fn on_exited_executor(&mut self, message: &ExitedExecutorMessage, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesExitedExecutor);
        let agent = AgentId::from(&message.agent_id);
        let framework = FrameworkId::from(&message.framework_id);
        let executor = ExecutorId::from(&message.executor_id);
        if self.agents.get(&agent).is_none_or(|row| row.find_executor(&framework, &executor).is_none()) {
            return;
        }
        self.remove_executor(&agent, &framework, &executor, step);
        send_event(
            self.frameworks,
            self.agents,
            &framework,
            events::failure_of_executor(&agent, &executor, message.status),
            step,
        );
    }

    /// Takes an executor out of the tables; its resources come free.
    pub(crate) fn remove_executor(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        step: &mut Step<'_>,
    ) {
        if let Some(row) = self.frameworks.get_mut(framework) {
            row.executors.remove(&(agent.clone(), executor.clone()));
        }
        let key = (framework.clone(), executor.clone());
        let Some(row) = self.agents.get_mut(agent).and_then(|agent| agent.executors.remove(&key)) else { return };
        self.allocator.recover(step.now, framework, agent, &row.resources, None);
    }

    pub(crate) fn on_executor_message(&mut self, message: ExecutorToFrameworkMessage, step: &mut Step<'_>) {
        self.counters.add(Counter::MessagesExecutorToFramework);
        let framework = FrameworkId::from(&message.framework_id);
        let sent = self.agents.contains(message.agent_id.value.as_str())
            && send_event(
                self.frameworks,
                self.agents,
                &framework,
                events::message(message.agent_id, message.executor_id, message.data),
                step,
            );
        self.counters.add(if sent {
            Counter::ValidExecutorToFrameworkMessages
        } else {
            Counter::InvalidExecutorToFrameworkMessages
        });
    }
}
