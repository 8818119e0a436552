//! The pings that tell whether an agent still answers. What follows when it does not is in `unreachable`.

use model::AgentId;
use proto::{internal::PingSlaveMessage, upid::Upid};

use crate::{
    Master, Step,
    counters::Counter,
    effect::{Actor, Effect},
    timers::Timer,
};

impl Master {
    /// Sends a ping and gives the agent its time.
    pub(crate) fn ping(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let timer = self.timers.set(step.now, self.config.agent_ping_timeout, Timer::Ping(id.clone()));
        let Some(agent) = self.state.agents.get_mut(id) else {
            self.timers.cancel(timer);
            return;
        };
        agent.observer.answered = false;
        agent.observer.timer = Some(timer);
        // Whoever is at its address now would answer for it.
        if agent.displaced {
            return;
        }
        step.out.push(Effect::ToAgent {
            from_actor: Actor::Observer(agent.observer.number),
            to: agent.pid.clone(),
            message: PingSlaveMessage { connected: agent.connected }.into(),
        });
    }

    /// The agent that is at `from` answers its own pings; `senders` has seen to that.
    pub(crate) fn on_pong(&mut self, from: &Upid) {
        let Some(agent) = self.by_pid.get(from).and_then(|id| self.state.agents.get_mut(id)) else { return };
        agent.observer.answered = true;
        agent.observer.timeouts = 0;
        if let Some(removal) = agent.observer.removal.take() {
            self.timers.cancel(removal);
            self.state.counters.add(Counter::AgentUnreachableCanceled);
            tracing::info!(agent = %agent.id, "answers again; not removed");
        }
    }

    /// An agent that is about to be given up is pinged on: its answer still saves it.
    pub(crate) fn on_ping_timer(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let max = self.config.max_agent_ping_timeouts;
        let Some(agent) = self.state.agents.get_mut(id) else { return };
        let mut silent = false;
        if !agent.observer.answered {
            agent.observer.timeouts = agent.observer.timeouts.saturating_add(1);
            silent = agent.observer.timeouts >= max;
        }
        if silent {
            self.schedule_removal(id, step);
        }
        self.ping(id, step);
    }
}
