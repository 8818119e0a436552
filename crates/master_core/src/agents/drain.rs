//! Operators take an agent out of the offers (deactivate), have it emptied too (drain), and put it back (reactivate).
//! All of it stands in the registry, so that an agent that is away, or a later master, finds it. The killing is the
//! agent's.

use model::AgentId;
use proto::{
    internal::DrainSlaveMessage,
    v1::{DrainState, DurationInfo, MachineId, master::call::DrainAgent},
};
use registry::Operation;

use crate::{
    Master, Step,
    effect::Reply,
    event::RequestId,
    offers::Offers,
    pending::{Continuation, Pending},
    state::{Agent, Table},
};

impl Master {
    pub(crate) fn on_drain_agent(&mut self, req: RequestId, call: DrainAgent, step: &mut Step<'_>) {
        let id = AgentId::from(&call.agent_id);
        if let Some(agent) = self.state.agents.get(&id)
            && let Err(why) = self.check_drainable(agent)
        {
            step.reply(req, Reply::BadRequest(why));
            return;
        }
        if let Err(reply) = self.check_stays(&id) {
            step.reply(req, reply);
            return;
        }
        let mark_gone = call.mark_gone();
        tracing::info!(agent = %id, mark_gone, "draining");
        let max_grace_period = call.max_grace_period.map(|period| DurationInfo {
            nanoseconds: period.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(period.nanos)).max(0),
        });
        let operation = Operation::DrainAgent { agent: id.clone(), max_grace_period, mark_gone };
        self.pending.persist(vec![operation], Continuation::Draining { req, agent: id }, step);
    }

    /// An agent that is away is looked at when it is back: what it can do is not known.
    fn check_drainable(&self, agent: &Agent) -> Result<(), String> {
        if let Some(machine) = self.state.registry.machines.get(&agent.machine()) {
            let machine = machine_text(&machine.id);
            return Err(format!("Agent {} is part of a maintenance schedule under Machine {machine}", agent.id));
        }
        if !agent.capabilities.agent_draining {
            return Err(format!("Agent {} is not capable of draining", agent.id));
        }
        Ok(())
    }

    /// Whether the registry has the agent, and still will have it once everything under way is written.
    fn check_stays(&self, id: &AgentId) -> Result<(), Reply> {
        let registry = &self.state.registry;
        if !registry.agents.contains_key(id) && !registry.unreachable.contains_key(id) {
            return Err(Reply::BadRequest("Unknown agent".to_owned()));
        }
        if self.pending.marking_gone.contains_key(id) {
            return Err(Reply::Conflict("Agent is currently being marked gone".to_owned()));
        }
        if self.pending.removing.contains(id) || self.pending.pruning.contains(id) {
            return Err(Reply::Conflict("Agent is currently being removed".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn on_draining(&mut self, req: RequestId, id: &AgentId, step: &mut Step<'_>) {
        self.take_standing(id, step);
        let wall = step.wall;
        if let Some(agent) = self.state.agents.get_mut(id)
            && let Some(drain) = agent.drain_info
        {
            agent.drain_started = Some(wall);
            step.tell(agent, DrainSlaveMessage { config: drain.config });
        }
        self.pending.emptied.insert(id.clone());
        step.reply(req, Reply::Ok(None));
    }

    pub(crate) fn on_deactivate_agent(&mut self, req: RequestId, id: AgentId, step: &mut Step<'_>) {
        if let Err(reply) = self.check_stays(&id) {
            step.reply(req, reply);
            return;
        }
        tracing::info!(agent = %id, "deactivating");
        self.pending.persist(
            vec![Operation::DeactivateAgent(id.clone())],
            Continuation::Deactivated { req, agent: id },
            step,
        );
    }

    pub(crate) fn on_deactivated(&mut self, req: RequestId, id: &AgentId, step: &mut Step<'_>) {
        self.take_standing(id, step);
        step.reply(req, Reply::Ok(None));
    }

    pub(crate) fn on_reactivate_agent(&mut self, req: RequestId, id: AgentId, step: &mut Step<'_>) {
        let registry = &self.state.registry;
        let admitted = registry.agents.get(&id).map(|row| (row.deactivated, row.drain_info));
        let standing = admitted.or_else(|| registry.unreachable.get(&id).map(|row| (row.deactivated, row.drain_info)));
        let refusal = match standing {
            Some((true, Some(drain))) if drain.state() == DrainState::Draining => {
                Some(Reply::BadRequest("Agent is still in the DRAINING state".to_owned()))
            }
            Some((true, _)) => self.check_stays(&id).err(),
            Some((false, _)) | None => Some(Reply::BadRequest("Agent is not deactivated".to_owned())),
        };
        if let Some(reply) = refusal {
            step.reply(req, reply);
            return;
        }
        tracing::info!(agent = %id, "reactivating");
        self.pending.persist(
            vec![Operation::ReactivateAgent(id.clone())],
            Continuation::Reactivated { req, agent: id },
            step,
        );
    }

    pub(crate) fn on_reactivated(&mut self, req: RequestId, id: &AgentId, step: &mut Step<'_>) {
        self.take_standing(id, step);
        match self.state.agents.get_mut(id) {
            Some(agent) => {
                agent.drain_started = None;
                step.reply(req, Reply::Ok(None));
            }
            // It is done all the same, and holds when the agent returns.
            None => step.reply(req, Reply::Conflict("Agent removed while processing the call".to_owned())),
        }
    }

    /// Brings an agent's row to what the registry says of it, and its offers along.
    fn take_standing(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let Some((deactivated, drain)) =
            self.state.registry.agents.get(id).map(|admitted| (admitted.deactivated, admitted.drain_info))
        else {
            return;
        };
        let Some(agent) = self.state.agents.get_mut(id) else { return };
        let was_active = agent.is_active();
        agent.deactivated = deactivated;
        agent.drain_info = drain;
        match (was_active, agent.is_active()) {
            (true, false) => self.offers().withdraw(id, step),
            (false, true) => self.allocator.activate_agent(step.now, id),
            (true, true) | (false, false) => {}
        }
    }

    pub(crate) fn on_drained(&mut self, id: &AgentId, step: &mut Step<'_>) {
        self.pending.draining.remove(id);
        self.take_standing(id, step);
        let Some(drain) = self.state.agents.get(id).and_then(|agent| agent.drain_info) else { return };
        tracing::info!(agent = %id, "drained");
        // Somebody may have asked for more while this was being written.
        if drain.config.mark_gone() && !self.pending.is_in_transition(id) {
            self.pending.mark_gone(id.clone(), None, step);
        }
    }
}

impl Pending {
    /// Tells a returning agent that it drains. One that is drained may have been given tasks back that it could not end
    /// before: it hears it as well.
    pub(crate) fn resend_drain(&mut self, agents: &mut Table<AgentId, Agent>, id: &AgentId, step: &mut Step<'_>) {
        let Some(agent) = agents.get_mut(id) else { return };
        let Some(drain) = agent.drain_info else { return };
        step.tell(agent, DrainSlaveMessage { config: drain.config });
        // Its operations are not known before it has told of them.
        agent.awaits_operations = agent.capabilities.resource_provider;
        self.emptied.insert(id.clone());
    }

    /// Draining agents that lost a task or an operation in this step: those that have none left are drained.
    pub(crate) fn settle_drains(&mut self, agents: &Table<AgentId, Agent>, step: &mut Step<'_>) {
        for id in std::mem::take(&mut self.emptied) {
            let Some(agent) = agents.get(&id).filter(|agent| agent.is_draining()) else { continue };
            // Whatever ends the transition leads here again, or away with the agent.
            if !agent.is_empty() || self.is_in_transition(&id) || self.draining.contains(&id) {
                continue;
            }
            if agent.drain_info.is_some_and(|drain| drain.config.mark_gone()) {
                self.mark_gone(id, None, step);
            } else {
                self.draining.insert(id.clone());
                self.persist(vec![Operation::MarkDrained(id.clone())], Continuation::Drained { agent: id }, step);
            }
        }
    }
}

impl Offers<'_> {
    /// Nobody is offered anything of this agent any more.
    fn withdraw(&mut self, id: &AgentId, step: &mut Step<'_>) {
        stdx::bug!("deactivated_agent_offered", return);
        self.allocator.deactivate_agent(step.now, id);
        self.rescind_on(id, step);
        self.rescind_inverse_on(id, step);
    }
}

/// A machine as this one refusal names it.
fn machine_text(machine: &MachineId) -> String {
    match (machine.hostname(), machine.ip()) {
        ("", ip) => format!("({ip})"),
        (hostname, "") => hostname.to_owned(),
        (hostname, ip) => format!("{hostname} ({ip})"),
    }
}
