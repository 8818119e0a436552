//! A new agent registers: it gets an id, the registry admits it, and only then it is part of the cluster.

use model::AgentId;
use proto::{internal, upid::Upid, v1};
use registry::{Operation, Registry};

use super::membership::{Departure, Newcomer, shutdown};
use crate::{
    Master, Step,
    counters::Counter,
    ids::Ids,
    pending::{Continuation, Pending},
    validate,
};

impl Master {
    pub(crate) fn on_register(
        &mut self,
        from: Upid,
        message: Box<internal::RegisterSlaveMessage>,
        step: &mut Step<'_>,
    ) {
        self.state.counters.add(Counter::MessagesRegisterAgent);
        if let Err(why) = model::parse::registration::register(&message) {
            tracing::warn!(%from, why, "dropping an invalid registration");
            return;
        }
        if self.pending.registering.contains(&from) {
            return;
        }
        let mut info = message.agent.clone();
        if self.is_machine_down(&info.hostname, &from.host) {
            step.send(&from, shutdown("Machine is `DOWN`"));
            return;
        }
        if let Err(why) = validate::agent::check_compatible(
            &info,
            message.version.as_deref(),
            &self.state.info,
            self.config.require_agent_domain,
        ) {
            tracing::warn!(%from, why, "ignoring a registration");
            return;
        }
        let mut operations = Vec::new();
        let mut replaces = None;
        if let Some(old) = self.by_pid.get(&from).cloned() {
            if self.state.agents.get(&old).is_some_and(|agent| agent.connected) {
                self.send_registered(&from, &old, step);
                return;
            }
            if self.pending.is_in_transition(&old) {
                return;
            }
            self.pending.removing.insert(old.clone());
            operations.push(Operation::RemoveAgent(old.clone()));
            replaces = Some(old);
        }
        let id = new_agent_id(&mut self.ids, &self.state.registry, &self.pending);
        info.id = Some(id.to_proto());
        info.resources.iter_mut().for_each(resources::format::upgrade);
        operations.push(Operation::AdmitAgent(Box::new(info.clone())));
        self.pending.registering.insert(from.clone());
        self.pending.admitting.insert(id);
        self.pending.persist(
            operations,
            Continuation::Register { from, info: Box::new(info), message, replaces },
            step,
        );
    }

    pub(crate) fn on_admitted(
        &mut self,
        from: Upid,
        info: v1::AgentInfo,
        message: internal::RegisterSlaveMessage,
        replaces: Option<AgentId>,
        step: &mut Step<'_>,
    ) {
        self.pending.registering.remove(&from);
        if let Some(old) = replaces {
            self.pending.removing.remove(&old);
            self.state.counters.count_removal(Counter::AgentRemovalsRegistered);
            let why = "a new agent registered at the same address";
            self.remove_agent(&old, &Departure::Removed { why }, step);
        }
        let Some(id) = info.id.as_ref().map(AgentId::from) else { return };
        self.pending.admitting.remove(&id);
        let newcomer = Newcomer {
            pid: from.clone(),
            info,
            version: message.version.unwrap_or_default(),
            capabilities: message.agent_capabilities,
            resource_version: message.resource_version_uuid,
            checkpointed: message.checkpointed_resources,
            reregistered: None,
        };
        let agent = self.new_agent(&id, newcomer, step);
        self.state.counters.add(Counter::AgentRegistrations);
        tracing::info!(agent = %id, %from, total = %agent.total, "registered");
        self.add_agent(agent, step);
        self.send_registered(&from, &id, step);
        self.ping(&id, step);
        self.shut_down_if_late(&id, step);
    }

    /// The agent's machine went out of service while the agent was being let in.
    pub(super) fn shut_down_if_late(&self, id: &AgentId, step: &mut Step<'_>) {
        let Some(agent) = self.state.agents.get(id) else { return };
        if self.is_machine_down(&agent.info.hostname, &agent.pid.host) {
            step.tell(agent, shutdown("Machine is `DOWN`"));
        }
    }

    fn send_registered(&self, to: &Upid, id: &AgentId, step: &mut Step<'_>) {
        let connection = Some(self.connection());
        step.send(to, internal::SlaveRegisteredMessage { agent_id: id.to_proto(), connection });
    }
}

/// An id that nobody has, nor claims to have: an agent may come back with any.
fn new_agent_id(ids: &mut Ids, registry: &Registry, pending: &Pending) -> AgentId {
    loop {
        let id = ids.agent();
        let taken = registry.agents.contains_key(&id)
            || registry.unreachable.contains_key(&id)
            || registry.gone.contains_key(&id)
            || pending.is_in_transition(&id);
        if !taken {
            return id;
        }
    }
}
