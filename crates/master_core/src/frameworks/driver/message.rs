//! What v0 drivers are told: the messages that say what events say.

use model::AgentId;
use proto::{
    internal::{self, FrameworkErrorMessage},
    link::ToDriver,
    v1::{
        self,
        scheduler::{Event, event},
    },
};

use crate::state::{Agent, Framework, Table};

/// The message that says `event` to a driver; `None` for what drivers know nothing of.
pub(crate) fn message(agents: &Table<AgentId, Agent>, framework: &Framework, event: Event) -> Option<ToDriver> {
    match event.r#type() {
        event::Type::Offers => {
            let offers = event.offers?.offers;
            let pid = |offer: &v1::Offer| Some(agents.get(&AgentId::from(&offer.agent_id))?.pid.to_string());
            let pids = offers.iter().map(|offer| pid(offer).unwrap_or_default()).collect();
            Some(internal::ResourceOffersMessage { offers, pids }.into())
        }
        event::Type::Rescind => {
            Some(internal::RescindResourceOfferMessage { offer_id: event.rescind?.offer_id }.into())
        }
        event::Type::Update => Some(update(agents, framework, event.update?.status).into()),
        event::Type::Message => {
            let event::Message { agent_id, executor_id, data } = event.message?;
            let framework_id = framework.id.to_proto();
            Some(internal::ExecutorToFrameworkMessage { agent_id, framework_id, executor_id, data }.into())
        }
        event::Type::Failure => {
            let event::Failure { agent_id, executor_id, status } = event.failure?;
            let agent_id = agent_id?;
            let Some(executor_id) = executor_id else { return Some(internal::LostSlaveMessage { agent_id }.into()) };
            let (framework_id, status) = (framework.id.to_proto(), status.unwrap_or_default());
            Some(internal::ExitedExecutorMessage { agent_id, framework_id, executor_id, status }.into())
        }
        event::Type::Error => Some(FrameworkErrorMessage { message: event.error?.message }.into()),
        event::Type::Unknown
        | event::Type::Subscribed
        | event::Type::Heartbeat
        | event::Type::InverseOffers
        | event::Type::RescindInverseOffer
        | event::Type::UpdateOperationStatus => None,
    }
}

/// An address in the message asks for an acknowledgement, which goes by way of the master.
fn update(
    agents: &Table<AgentId, Agent>,
    framework: &Framework,
    status: v1::TaskStatus,
) -> internal::StatusUpdateMessage {
    let agent = status.agent_id.as_ref().and_then(|id| agents.get(&AgentId::from(id)));
    let wants_answer = status.uuid.as_ref().is_some_and(|uuid| !uuid.is_empty());
    let pid = agent.filter(|_| wants_answer).map(|agent| agent.pid.to_string());
    let update = internal::StatusUpdate {
        framework_id: framework.id.to_proto(),
        executor_id: status.executor_id.clone(),
        agent_id: status.agent_id.clone(),
        timestamp: status.timestamp.unwrap_or_default(),
        uuid: status.uuid.clone(),
        latest_state: None,
        status,
    };
    internal::StatusUpdateMessage { update, pid }
}
