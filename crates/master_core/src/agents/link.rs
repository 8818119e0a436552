//! The link to an agent breaks. The agent is not lost yet: it has its time to come back, and its tasks go on.

use allocator::Allocator;
use model::{AgentId, FrameworkId, Refusal};
use proto::{internal, upid::Upid};
use stdx::Tick;

use crate::{
    Master, Step,
    effect::{Actor, Effect},
    tasks::Tasks,
    tasks::status::News,
    timers::Timer,
};

impl Master {
    pub(crate) fn on_exited(&mut self, peer: &Upid, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            return;
        }
        let Some(id) = self.by_pid.get(peer).cloned() else { return };
        let timeout = self.config.agent_reregister_timeout;
        let Some(agent) = self.state.agents.get_mut(&id) else { return };
        if !agent.connected {
            return;
        }
        tracing::warn!(agent = %id, "disconnected");
        agent.connected = false;
        agent.reregister_timer = Some(self.timers.set(step.now, timeout, Timer::Reregister(id.clone())));
        stop_offering(&mut self.allocator, step.now, &id);
        // If only the link broke, the agent reregisters as soon as it hears that.
        step.out.push(Effect::ToAgent {
            from_actor: Actor::Observer(agent.observer.number),
            to: agent.pid.clone(),
            message: internal::PingSlaveMessage { connected: false }.into(),
        });
        let offers = agent.offers.clone();
        let frameworks = agent.frameworks();
        for offer in offers {
            self.offers().rescind(&offer, None, step);
        }
        self.offers().rescind_inverse_on(&id, step);
        for framework in frameworks {
            let checkpoints = self.state.frameworks.get(&framework).is_some_and(|f| f.info.checkpoint());
            if !checkpoints {
                self.tasks().end_framework_on(&id, &framework, step);
            }
        }
    }
}

impl Tasks<'_> {
    /// What a framework without checkpoints had on the agent dies with the agent's process.
    fn end_framework_on(&mut self, id: &AgentId, framework: &FrameworkId, step: &mut Step<'_>) {
        let Some(agent) = self.agents.get(id) else { return };
        // The agent may bring the tasks back, and then they are still to be killed.
        let killed = agent.killed.clone();
        let message = format!("Agent {} disconnected", agent.info.hostname);
        let tasks: Vec<_> = agent.tasks.iter().filter(|(f, _)| f == framework).map(|(_, t)| t.clone()).collect();
        let executors: Vec<_> = agent.executors_of(framework).map(|(e, _)| e.clone()).collect();
        for task in tasks {
            let news = News::of(Refusal::AgentDisconnected, false, message.as_str());
            self.end(framework, &task, news, false, step);
        }
        if let Some(agent) = self.agents.get_mut(id).filter(|_| !killed.is_empty()) {
            agent.killed = killed;
        }
        for executor in executors {
            self.remove_executor(id, framework, &executor, step);
        }
    }
}

fn stop_offering(allocator: &mut Allocator, now: Tick, agent: &AgentId) {
    stdx::bug!("disconnected_agent_offered", return);
    allocator.deactivate_agent(now, agent);
}
