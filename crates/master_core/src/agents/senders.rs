//! Who may say what. A task can reach the master as well as an agent can, so a message counts only if it comes from the
//! agent that it speaks for: the one whose row has the sender's address.

use model::AgentId;
use proto::{link::ToMaster, upid::Upid, v1};

use crate::{
    Master,
    counters::{Counter, Counters},
    effect::Actor,
};

/// Who a message has to come from.
#[derive(Debug, PartialEq, Eq)]
enum Sender<'m> {
    /// Whoever wants to become an agent. What it must prove is `authentication`'s.
    Anybody,
    /// The agent that the message names.
    Agent(Option<&'m v1::AgentId>),
    /// The agent that the observer pings.
    Pinged,
}

fn sender(message: &ToMaster) -> Sender<'_> {
    match message {
        ToMaster::RegisterSlave(_) | ToMaster::ReregisterSlave(_) => Sender::Anybody,
        ToMaster::UnregisterSlave(m) => Sender::Agent(Some(&m.agent_id)),
        ToMaster::StatusUpdate(m) => Sender::Agent(m.update.agent_id.as_ref()),
        ToMaster::ExecutorToFramework(m) => Sender::Agent(Some(&m.agent_id)),
        ToMaster::ExitedExecutor(m) => Sender::Agent(Some(&m.agent_id)),
        ToMaster::UpdateSlave(m) => Sender::Agent(Some(&m.agent_id)),
        ToMaster::UpdateOperationStatus(m) => Sender::Agent(m.agent_id.as_ref()),
        ToMaster::PongSlave(_) => Sender::Pinged,
    }
}

impl Master {
    /// Whether `from` may send this to the actor `to`. What names an agent that nobody knows is left to who reacts to
    /// it.
    pub(crate) fn check_sender(&self, from: &Upid, to: Actor, message: &ToMaster) -> Result<(), &'static str> {
        let sender = sender(message);
        match (to, &sender) {
            (Actor::Master, Sender::Anybody) => Ok(()),
            (Actor::Master, Sender::Agent(id)) => {
                let named = id.and_then(|id| self.state.agents.get(&AgentId::from(id)));
                match named {
                    Some(agent) if agent.pid != *from || agent.displaced => Err("it speaks for an agent elsewhere"),
                    Some(_) | None => Ok(()),
                }
            }
            (Actor::Observer(number), Sender::Pinged) => {
                let watched = self.by_pid.get(from).and_then(|id| self.state.agents.get(id));
                match watched.is_some_and(|agent| agent.observer.number == number) {
                    true => Ok(()),
                    false => Err("its sender was not pinged"),
                }
            }
            (Actor::Master, Sender::Pinged) | (Actor::Observer(_), Sender::Anybody | Sender::Agent(_)) => {
                Err("it is for another actor")
            }
        }
    }
}

impl Counters {
    /// Counts a message that came from elsewhere as Mesos counts those from agents that it does not know.
    pub(crate) fn count_foreign(&mut self, message: &ToMaster) {
        self.add(Counter::DroppedMessages);
        let counted: &[Counter] = match message {
            ToMaster::StatusUpdate(_) => &[Counter::MessagesStatusUpdate, Counter::InvalidStatusUpdates],
            ToMaster::ExecutorToFramework(_) => {
                &[Counter::MessagesExecutorToFramework, Counter::InvalidExecutorToFrameworkMessages]
            }
            ToMaster::UpdateOperationStatus(_) => {
                &[Counter::MessagesOperationStatusUpdate, Counter::InvalidOperationStatusUpdates]
            }
            ToMaster::ExitedExecutor(_) => &[Counter::MessagesExitedExecutor],
            ToMaster::UpdateSlave(_) => &[Counter::MessagesUpdateAgent],
            ToMaster::UnregisterSlave(_) => &[Counter::MessagesUnregisterAgent],
            ToMaster::RegisterSlave(_) | ToMaster::ReregisterSlave(_) | ToMaster::PongSlave(_) => &[],
        };
        for counter in counted {
            self.add(*counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::internal;

    use super::*;

    /// Every message that an agent can send, in the name of the agent `a`.
    fn messages() -> Vec<ToMaster> {
        let agent_id = v1::AgentId { value: "a".into() };
        vec![
            internal::RegisterSlaveMessage::default().into(),
            internal::ReregisterSlaveMessage::default().into(),
            internal::UnregisterSlaveMessage { agent_id: agent_id.clone() }.into(),
            internal::StatusUpdateMessage {
                update: internal::StatusUpdate { agent_id: Some(agent_id.clone()), ..Default::default() },
                ..Default::default()
            }
            .into(),
            internal::ExecutorToFrameworkMessage { agent_id: agent_id.clone(), ..Default::default() }.into(),
            internal::ExitedExecutorMessage { agent_id: agent_id.clone(), ..Default::default() }.into(),
            internal::UpdateSlaveMessage { agent_id: agent_id.clone(), ..Default::default() }.into(),
            internal::UpdateOperationStatusMessage { agent_id: Some(agent_id), ..Default::default() }.into(),
            internal::PongSlaveMessage {}.into(),
        ]
    }

    #[test]
    fn only_registrations_are_anybodys() {
        for message in messages() {
            let expected = match message.name() {
                "mesos.internal.RegisterSlaveMessage" | "mesos.internal.ReregisterSlaveMessage" => Sender::Anybody,
                "mesos.internal.PongSlaveMessage" => Sender::Pinged,
                _ => Sender::Agent(Some(&v1::AgentId { value: "a".into() })),
            };
            assert_eq!(sender(&message), expected, "{}", message.name());
        }
    }
}
