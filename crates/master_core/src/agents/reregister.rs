//! An agent comes back: after its own restart or a broken link (its row stands), or to a master that has no row of it
//! (recovered from the registry, unreachable, forgotten). What it runs is the truth.
//!
//! Here it is let in or not. `standing` and `absent` go on for the two kinds, with `reported` for what it brings along.

mod absent;
mod reported;
mod standing;

use model::AgentId;
use proto::{internal::ReregisterSlaveMessage, upid::Upid};
use registry::Operation;

use super::membership::{GONE, shutdown};
use crate::{
    Master, Step,
    counters::Counter,
    pending::{Continuation, Pending, Was},
    state::{Agent, Table},
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
            self.pending.renew_reregistration(&self.state.agents, from, &id, message);
            return;
        }
        if self.state.registry.gone.contains_key(&id) {
            self.tasks().tell_of_gone_tasks(&id, &message.tasks, step);
            step.send(&from, shutdown(GONE));
            return;
        }
        upgrade(&mut message);
        if let Err(why) = model::parse::registration::reregister(&message) {
            tracing::warn!(agent = %id, %from, why, "dropping an invalid reregistration");
            return;
        }
        if self.is_machine_down(&message.agent.hostname, &from.host) {
            step.send(&from, shutdown("Machine is `DOWN`"));
            return;
        }
        let compatible = validate::agent::check_compatible(
            &message.agent,
            message.version.as_deref(),
            &self.state.info,
            self.config.require_agent_domain,
        );
        if let Err(why) = compatible {
            tracing::warn!(agent = %id, %from, why, "ignoring a reregistration");
            return;
        }
        // An address belongs to who is connected.
        let there = self.by_pid.get(&from).filter(|there| **there != id);
        if let Some(there) = there.and_then(|there| self.state.agents.get(there)).filter(|there| there.connected) {
            tracing::warn!(agent = %id, %from, there = %there.id, "ignoring a reregistration from another agent's address");
            return;
        }
        let (was, known) = if let Some(agent) = self.state.agents.get(&id) {
            if agent.pid.host != from.host || agent.info.hostname != message.agent.hostname {
                step.send(&from, shutdown("Agent attempted to reregister with different IP / hostname"));
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
        self.pending.persist(vec![operation], Continuation::Reregister { from, agent: id, message, was }, step);
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
        self.shut_down_if_late(id, step);
    }
}

impl Pending {
    /// An agent that waits to be let in says anew what it runs: it may have restarted meanwhile, at another address,
    /// too. If it counted as being at the former one, and another agent is there by now, neither would be heard.
    fn renew_reregistration(
        &mut self,
        agents: &Table<AgentId, Agent>,
        from: Upid,
        id: &AgentId,
        mut message: Box<ReregisterSlaveMessage>,
    ) {
        upgrade(&mut message);
        // One whose row stands keeps its host, see `on_reregister`.
        let bound = agents.get(id).map(|agent| agent.pid.host.clone());
        let Some((waits_at, waiting)) = self.find_reregistration(id) else { return };
        if waiting.agent == message.agent
            && bound.is_none_or(|host| host == from.host)
            && model::parse::registration::reregister(&message).is_ok()
        {
            *waits_at = from;
            *waiting = *message;
        }
    }
}

fn upgrade(message: &mut ReregisterSlaveMessage) {
    let infos = message.agent.resources.iter_mut().chain(&mut message.checkpointed_resources);
    let tasks = message.tasks.iter_mut().flat_map(|task| &mut task.resources);
    let executors = message.executor_infos.iter_mut().flat_map(|executor| &mut executor.resources);
    infos.chain(tasks).chain(executors).for_each(resources::format::upgrade);
}
