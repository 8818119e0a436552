//! Builds the events a scheduler gets.

use bytes::Bytes;
use model::{AgentId, ExecutorId, FrameworkId, OfferId};
use proto::v1::{
    self,
    scheduler::{Event, event},
};

fn of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}

pub(crate) fn subscribed(id: &FrameworkId, heartbeat_secs: f64, master: &v1::MasterInfo) -> Event {
    let subscribed = event::Subscribed {
        framework_id: id.to_proto(),
        heartbeat_interval_seconds: Some(heartbeat_secs),
        master_info: Some(master.clone()),
    };
    Event { subscribed: Some(Box::new(subscribed)), ..of(event::Type::Subscribed) }
}

pub(crate) fn heartbeat() -> Event {
    of(event::Type::Heartbeat)
}

pub(crate) fn offers(offers: Vec<v1::Offer>) -> Event {
    Event { offers: Some(event::Offers { offers }), ..of(event::Type::Offers) }
}

pub(crate) fn rescind(id: &OfferId) -> Event {
    Event { rescind: Some(event::Rescind { offer_id: id.to_proto() }), ..of(event::Type::Rescind) }
}

pub(crate) fn inverse_offers(inverse_offers: Vec<v1::InverseOffer>) -> Event {
    let offers = event::InverseOffers { inverse_offers };
    Event { inverse_offers: Some(offers), ..of(event::Type::InverseOffers) }
}

pub(crate) fn rescind_inverse(id: &OfferId) -> Event {
    let rescind = event::RescindInverseOffer { inverse_offer_id: id.to_proto() };
    Event { rescind_inverse_offer: Some(rescind), ..of(event::Type::RescindInverseOffer) }
}

pub(crate) fn update(status: v1::TaskStatus) -> Event {
    Event { update: Some(event::Update { status }), ..of(event::Type::Update) }
}

pub(crate) fn update_operation_status(status: v1::OperationStatus) -> Event {
    let update = event::UpdateOperationStatus { status };
    Event { update_operation_status: Some(Box::new(update)), ..of(event::Type::UpdateOperationStatus) }
}

pub(crate) fn message(agent_id: v1::AgentId, executor_id: v1::ExecutorId, data: Bytes) -> Event {
    Event { message: Some(event::Message { agent_id, executor_id, data }), ..of(event::Type::Message) }
}

pub(crate) fn failure_of_agent(id: &AgentId) -> Event {
    let failure = event::Failure { agent_id: Some(id.to_proto()), ..Default::default() };
    Event { failure: Some(failure), ..of(event::Type::Failure) }
}

pub(crate) fn failure_of_executor(agent: &AgentId, executor: &ExecutorId, status: i32) -> Event {
    let failure = event::Failure {
        agent_id: Some(agent.to_proto()),
        executor_id: Some(executor.to_proto()),
        status: Some(status),
    };
    Event { failure: Some(failure), ..of(event::Type::Failure) }
}

pub(crate) fn error(message: impl Into<String>) -> Event {
    Event { error: Some(event::Error { message: message.into() }), ..of(event::Type::Error) }
}
