//! Scheduler calls, one file each. This file asks in Mesos's order whether the caller may call at all, and passes on.

mod accept;
mod acknowledge;
mod decline;
mod kill;
mod message;
mod reconcile;
mod reconcile_operations;
mod shutdown;
mod suppress;
mod update_framework;

pub(crate) use accept::label;
use allocator::InverseAnswer;
use model::FrameworkId;
use proto::v1::scheduler::{Call, call::Type};

use crate::{
    Master, Step,
    counters::{Counter, Counters},
    effect::Reply,
    event::{ConnectionId, RequestId},
    state::{Framework, Link, Table},
};

/// What came with a call.
pub(crate) struct Request {
    pub(crate) req: RequestId,
    /// The stream that the reply to a SUBSCRIBE opens.
    pub(crate) conn: Option<ConnectionId>,
    pub(crate) principal: Option<String>,
    pub(crate) stream_id: Option<String>,
}

impl Master {
    pub(crate) fn on_scheduler_call(&mut self, request: Request, mut call: Call, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            step.reply(request.req, Reply::Unavailable("Master has not finished recovery".to_owned()));
            return;
        }
        let checked = model::parse::scheduler_call(&call)
            .and_then(|()| model::parse::scheduler_principal(&call, request.principal.as_deref()));
        if let Err(why) = checked {
            self.state.counters.count_invalid(call.r#type());
            step.reply(request.req, Reply::BadRequest(format!("Failed to validate scheduler::Call: {why}")));
            return;
        }
        if let (Type::Subscribe, Some(subscribe)) = (call.r#type(), call.subscribe.take()) {
            self.on_subscribe(request, *subscribe, step);
            return;
        }
        let id = match check_caller(&mut self.state.frameworks, &request, &call) {
            Ok(id) => id,
            Err(refusal) => {
                step.reply(request.req, refusal);
                return;
            }
        };
        if let Some(outcome) = self.perform(&id, call, Some(request.req), step) {
            step.reply(request.req, outcome);
        }
    }

    /// Does what a framework that may call asks for. Calls that say how they went come back with that; the others are
    /// replied to here, first of all: what follows from the call may close the stream.
    pub(crate) fn perform(
        &mut self,
        id: &FrameworkId,
        mut call: Call,
        req: Option<RequestId>,
        step: &mut Step<'_>,
    ) -> Option<Reply> {
        let reply = |step: &mut Step<'_>| {
            if let Some(req) = req {
                step.reply(req, Reply::Accepted);
            }
        };
        match call.r#type() {
            Type::Accept => {
                reply(step);
                self.on_accept(id, call.accept.take().unwrap_or_default(), step);
            }
            Type::Acknowledge => {
                reply(step);
                if let Some(acknowledge) = call.acknowledge.take() {
                    self.tasks().on_acknowledge(id, acknowledge, step);
                }
            }
            Type::Decline => {
                reply(step);
                self.state.counters.add(Counter::MessagesDeclineOffers);
                self.offers().on_decline(id, &call.decline.take().unwrap_or_default(), step);
            }
            Type::Revive => {
                reply(step);
                self.on_revive(id, call.revive.take().unwrap_or_default().roles, step);
            }
            Type::Suppress => {
                reply(step);
                self.on_suppress(id, call.suppress.take().unwrap_or_default().roles, step);
            }
            Type::Kill => {
                reply(step);
                if let Some(kill) = call.kill.take() {
                    self.state.on_kill(id, kill, step);
                }
            }
            Type::Shutdown => {
                reply(step);
                if let Some(shutdown) = call.shutdown.take() {
                    self.tasks().on_shutdown(id, shutdown, step);
                }
            }
            Type::Reconcile => {
                reply(step);
                self.state.on_reconcile(id, &call.reconcile.take().unwrap_or_default().tasks, step);
            }
            Type::ReconcileOperations => {
                reply(step);
                let operations = call.reconcile_operations.take().unwrap_or_default().operations;
                self.state.on_reconcile_operations(id, operations, step);
            }
            Type::Message => {
                reply(step);
                if let Some(message) = call.message.take() {
                    self.tasks().on_message(id, message, step);
                }
            }
            Type::Request => {
                self.state.counters.add(Counter::MessagesResourceRequest);
                reply(step);
            }
            Type::Teardown => {
                reply(step);
                self.state.counters.add(Counter::MessagesUnregisterFramework);
                self.remove_framework(id, step);
            }
            Type::UpdateFramework => {
                if let Some(update) = call.update_framework.take() {
                    return Some(self.on_update_framework(id, *update, step));
                }
            }
            Type::AcceptInverseOffers => {
                reply(step);
                let accept = call.accept_inverse_offers.take().unwrap_or_default();
                self.offers().on_inverse_answer(
                    id,
                    &accept.inverse_offer_ids,
                    InverseAnswer::Accept,
                    accept.filters,
                    step,
                );
            }
            Type::DeclineInverseOffers => {
                reply(step);
                let decline = call.decline_inverse_offers.take().unwrap_or_default();
                self.offers().on_inverse_answer(
                    id,
                    &decline.inverse_offer_ids,
                    InverseAnswer::Decline,
                    decline.filters,
                    step,
                );
            }
            Type::AcknowledgeOperationStatus => {
                reply(step);
                if let Some(acknowledge) = call.acknowledge_operation_status.take() {
                    self.operations().on_acknowledge_operation(id, *acknowledge, step);
                }
            }
            Type::Unknown | Type::Subscribe => {
                return Some(Reply::NotImplemented(
                    "the type of the call is unknown; scheduler::Call of Mesos 1.11 names those that are".to_owned(),
                ));
            }
        }
        None
    }
}

/// Whose call it is, if that framework may call now.
fn check_caller(
    frameworks: &mut Table<FrameworkId, Framework>,
    request: &Request,
    call: &Call,
) -> Result<FrameworkId, Reply> {
    let id = call.framework_id.as_ref().map(|id| id.value.as_str()).unwrap_or_default();
    let Some(framework) = frameworks.get_mut(id) else {
        return Err(Reply::BadRequest("Framework cannot be found".to_owned()));
    };
    *framework.counters.calls.entry(call.r#type().into()).or_default() += 1;
    if let Some(principal) = &request.principal {
        let expected = framework.info.principal.as_deref().unwrap_or_default();
        if principal != expected {
            return Err(Reply::BadRequest(format!(
                "Authenticated principal '{principal}' does not match principal '{expected}' set in \
                 `FrameworkInfo`"
            )));
        }
    }
    let stream_id = match &framework.link {
        Link::Subscribed { stream_id, .. } => stream_id,
        Link::Driver { .. } => return Err(Reply::Forbidden("Framework is not connected via HTTP".to_owned())),
        Link::Disconnected | Link::Recovered => {
            return Err(Reply::Forbidden("Framework is not subscribed".to_owned()));
        }
    };
    let Some(given) = &request.stream_id else {
        let why = "All non-subscribe calls should include the 'Mesos-Stream-Id' header";
        return Err(Reply::BadRequest(why.to_owned()));
    };
    if **given != **stream_id {
        return Err(Reply::BadRequest(format!(
            "The stream ID '{given}' included in this request didn't match the stream ID currently associated \
             with framework ID {id}"
        )));
    }
    Ok(framework.id.clone())
}

impl Counters {
    pub(crate) fn count_invalid(&mut self, kind: Type) {
        let counter = match kind {
            Type::Acknowledge => Counter::InvalidStatusUpdateAcknowledgements,
            Type::AcknowledgeOperationStatus => Counter::InvalidOperationStatusUpdateAcknowledgements,
            Type::Message => Counter::InvalidFrameworkToExecutorMessages,
            _ => return,
        };
        self.add(counter);
    }
}
