//! What a master waits for: one continuation per ticket, named after what goes on when the write is durable. Beside it
//! the agents in transition, so that nothing is decided twice meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use model::AgentId;
use proto::{internal, upid::Upid, v1};
use registry::{MachineKey, Operation};
use stdx::WallTime;

use crate::{
    Step,
    effect::Effect,
    event::{RequestId, Ticket},
};

#[derive(Debug)]
pub(crate) enum Continuation {
    /// The registry names this master; lead.
    Lead,
    Register {
        from: Upid,
        info: Box<v1::AgentInfo>,
        message: Box<internal::RegisterSlaveMessage>,
        replaces: Option<AgentId>,
    },
    Reregister {
        from: Upid,
        agent: AgentId,
        message: Box<internal::ReregisterSlaveMessage>,
        was: Was,
    },
    /// A registered agent fell silent.
    Unreachable {
        agent: AgentId,
        since: WallTime,
        why: String,
    },
    /// Agents that never came back after the election.
    Unrecovered {
        agents: Vec<AgentId>,
    },
    Gone {
        agent: AgentId,
    },
    /// The agent shall be emptied.
    Draining {
        req: RequestId,
        agent: AgentId,
    },
    /// It is empty.
    Drained {
        agent: AgentId,
    },
    Deactivated {
        req: RequestId,
        agent: AgentId,
    },
    Reactivated {
        req: RequestId,
        agent: AgentId,
    },
    /// Nothing waits for it.
    Noted,
    Unregistered {
        agent: AgentId,
    },
    Pruned {
        unreachable: BTreeSet<AgentId>,
    },
    /// The quotas of these roles changed.
    Quotas {
        req: RequestId,
        roles: Vec<String>,
    },
    /// The resource groups changed.
    Groups {
        req: RequestId,
    },
    Weights {
        req: RequestId,
        roles: Vec<String>,
    },
    /// The maintenance schedule changed.
    Schedule {
        req: RequestId,
    },
    /// Machines go out of service, and these agents with them.
    MachinesDown {
        req: RequestId,
        agents: Vec<AgentId>,
    },
    MachinesUp {
        req: RequestId,
        machines: Vec<MachineKey>,
    },
}

/// What the master knew of a reregistering agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    /// Registered, and back with other info.
    Registered,
    /// In the registry when this master was elected.
    Recovered,
    Unreachable,
    /// On no list: the registry's clean-up may have dropped it.
    Forgotten,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// How many writes were asked for.
    tickets: u64,
    writes: BTreeMap<Ticket, (Vec<Operation>, Continuation)>,
    pub(crate) registering: BTreeSet<Upid>,
    /// The ids that the registering agents will have.
    pub(crate) admitting: BTreeSet<AgentId>,
    pub(crate) reregistering: BTreeSet<AgentId>,
    pub(crate) marking_unreachable: BTreeSet<AgentId>,
    /// With the operator request that waits for it, unless it is the end of a drain.
    pub(crate) marking_gone: BTreeMap<AgentId, Option<RequestId>>,
    pub(crate) removing: BTreeSet<AgentId>,
    /// Unreachable for so long that they are forgotten.
    pub(crate) pruning: BTreeSet<AgentId>,
    /// The registry is being told that these are drained.
    pub(crate) draining: BTreeSet<AgentId>,
    /// Draining agents that may have become empty in this step.
    pub(crate) emptied: BTreeSet<AgentId>,
}

impl Pending {
    /// Asks for a durable write; `then` goes on when it is there.
    pub(crate) fn persist(&mut self, operations: Vec<Operation>, then: Continuation, step: &mut Step<'_>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.writes.insert(ticket, (operations.clone(), then));
        step.out.push(Effect::Persist { ticket, operations });
    }

    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<(Vec<Operation>, Continuation)> {
        self.writes.remove(&ticket)
    }

    /// What is being written, in the order of asking: the registry will say it before it says what is asked now.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.writes.values().flat_map(|(operations, _)| operations)
    }

    /// What an agent said that waits to be let in again, and from where.
    pub(crate) fn find_reregistration(
        &mut self,
        id: &AgentId,
    ) -> Option<(&mut Upid, &mut internal::ReregisterSlaveMessage)> {
        if !self.reregistering.contains(id) {
            return None;
        }
        self.writes.values_mut().find_map(|(_, then)| match then {
            Continuation::Reregister { from, agent, message, .. } if agent == id => Some((from, &mut **message)),
            _ => None,
        })
    }

    /// Whether a write is under way that ends with `agent` gone from the table of agents, or changes what it is.
    pub(crate) fn is_in_transition(&self, agent: &AgentId) -> bool {
        self.transition_of(agent).is_some()
    }

    /// The transition of `agent` that is under way, in words.
    pub(crate) fn transition_of(&self, agent: &AgentId) -> Option<&'static str> {
        if self.reregistering.contains(agent) {
            Some("reregistering")
        } else if self.marking_unreachable.contains(agent) {
            Some("being transitioned to unreachable")
        } else if self.marking_gone.contains_key(agent) {
            Some("already being transitioned to gone")
        } else if self.admitting.contains(agent) {
            Some("registering")
        } else if self.removing.contains(agent) {
            Some("being transitioned to removed")
        } else if self.pruning.contains(agent) {
            Some("being forgotten")
        } else {
            None
        }
    }
}
