//! v0 drivers, which speak libprocess: their messages become the calls of `calls`, and the events of `events` become
//! messages to them. A driver is known by its address; what comes from another in its framework's name is dropped.

pub(super) mod message;

use std::sync::Arc;

use model::FrameworkId;
use proto::{
    driver::FromDriver,
    internal::{self, FrameworkErrorMessage},
    link::ToDriver,
    scheduler_v0::CallV0,
    upid::Upid,
    v1::{self, scheduler::call::Type},
};

use super::subscribe::{Subscriber, Subscription, id_of};
use crate::{
    Master, Step,
    counters::{Counter, Counters},
    effect::Effect,
    effect::Reply,
    state::Link,
};

impl Step<'_> {
    pub(crate) fn tell_driver(&mut self, to: &Upid, message: impl Into<ToDriver>) {
        self.out.push(Effect::ToDriver { to: to.clone(), message: message.into() });
    }

    pub(crate) fn refuse_driver(&mut self, to: &Upid, why: impl Into<String>) {
        self.tell_driver(to, FrameworkErrorMessage { message: why.into() });
    }
}

impl Master {
    pub(crate) fn on_driver_message(&mut self, from: Upid, message: FromDriver, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            self.state.counters.add(Counter::DroppedMessages);
            return;
        }
        let framework = self.by_driver.get(&from).and_then(|id| self.state.frameworks.get(id));
        if let Some(principal) = framework.and_then(|framework| framework.info.principal.as_deref()) {
            self.state.counters.add_message(principal);
        }
        match message {
            FromDriver::Call(call) => self.on_driver_call(from, *call, step),
            FromDriver::Register(info) => {
                if id_of(&info).is_some() {
                    return step.refuse_driver(&from, "Registering with 'id' already set");
                }
                self.on_driver_subscribe(from, Subscription::of_info(*info), false, step);
            }
            FromDriver::Reregister { info, failover } => {
                if id_of(&info).is_none() {
                    return step.refuse_driver(&from, "Re-registering without an 'id'");
                }
                self.on_driver_subscribe(from, Subscription::of_info(*info), failover, step);
            }
            FromDriver::Deactivate(id) => self.on_deactivate(&from, &FrameworkId::from(&id), step),
            FromDriver::Submit { name } => {
                tracing::info!(%from, name, "refusing to take in a scheduler");
                step.tell_driver(&from, internal::SubmitSchedulerResponse { okay: false });
            }
        }
    }

    fn on_driver_call(&mut self, from: Upid, CallV0 { mut call, force }: CallV0, step: &mut Step<'_>) {
        if let Err(why) = model::parse::scheduler_call(&call) {
            self.state.counters.count_invalid(call.r#type());
            return self.state.counters.drop_call(&from, call.r#type(), &why);
        }
        if let (Type::Subscribe, Some(subscribe)) = (call.r#type(), call.subscribe.take()) {
            return self.on_driver_subscribe(from, Subscription::of_call(*subscribe), force, step);
        }
        let kind = call.r#type();
        let id = FrameworkId::from(call.framework_id.as_ref().map(|id| id.value.as_str()).unwrap_or_default());
        let Some(framework) = self.state.frameworks.get_mut(&id) else {
            return self.state.counters.drop_call(&from, kind, "Framework cannot be found");
        };
        if framework.pid.as_ref() != Some(&from) {
            return self.state.counters.drop_call(&from, kind, "Call is not from registered framework");
        }
        if !framework.is_connected() {
            // A driver has no heartbeats by which to learn that our link to it broke.
            return step.refuse_driver(&from, "Framework disconnected");
        }
        *framework.counters.calls.entry(kind.into()).or_default() += 1;
        let outcome = self.perform(&id, call, None, step);
        if let Some(Reply::BadRequest(why) | Reply::Forbidden(why) | Reply::Conflict(why)) = outcome {
            step.refuse_driver(&from, why);
        }
    }

    fn on_driver_subscribe(&mut self, from: Upid, subscription: Subscription, force: bool, step: &mut Step<'_>) {
        self.state.counters.count_subscribe(&subscription.info);
        if let Err(why) = self.check_driver_authentic(&from, &subscription.info) {
            tracing::warn!(%from, why, "refusing a subscription");
            return step.refuse_driver(&from, why);
        }
        self.subscribe(Subscriber::Driver { pid: from, force }, subscription, step);
    }

    /// The driver has aborted. Its framework goes on until the link breaks.
    fn on_deactivate(&mut self, from: &Upid, id: &FrameworkId, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesDeactivateFramework);
        let Some(framework) = self.state.frameworks.get_mut(id).filter(|row| row.pid.as_ref() == Some(from)) else {
            return self.state.counters.drop_call(from, Type::Unknown, "Framework cannot be found");
        };
        if framework.link == (Link::Driver { active: true }) {
            framework.link = Link::Driver { active: false };
            self.end_offers(id, step);
        }
    }

    pub(crate) fn on_driver_exited(&mut self, pid: &Upid, step: &mut Step<'_>) {
        let Some(id) = self.by_driver.remove(pid) else { return };
        // As of a stream that ends, see `on_closed`.
        if self.state.is_leading() {
            self.disconnect_framework(&id, step);
        }
    }

    /// The driver that has just subscribed hears so, in other words if it goes on where it was.
    pub(crate) fn welcome_driver(&self, pid: &Upid, id: &FrameworkId, goes_on: bool, step: &mut Step<'_>) {
        let (framework_id, master_info) = (id.to_proto(), v1::MasterInfo::clone(&self.state.info));
        if goes_on {
            step.tell_driver(pid, internal::FrameworkReregisteredMessage { framework_id, master_info });
        } else {
            step.tell_driver(pid, internal::FrameworkRegisteredMessage { framework_id, master_info });
        }
    }

    /// The framework is no longer this driver's.
    pub(crate) fn let_go_of_driver(&mut self, pid: &Upid, step: &mut Step<'_>) {
        if self.by_driver.remove(pid).is_some() {
            self.authentication.forget(pid);
            step.out.push(Effect::Unlink { peer: pid.clone() });
        }
    }
}

impl Counters {
    fn drop_call(&mut self, from: &Upid, kind: Type, why: &str) {
        tracing::warn!(%from, call = kind.as_str_name(), why, "dropping a driver's call");
        self.add(Counter::DroppedMessages);
    }
}

impl Subscription {
    fn of_info(info: v1::FrameworkInfo) -> Subscription {
        Subscription { info, suppressed: Default::default(), constraints: None }
    }

    pub(crate) fn of_call(call: v1::scheduler::call::Subscribe) -> Subscription {
        Subscription {
            info: call.framework_info,
            suppressed: call.suppressed_roles.into_iter().collect(),
            constraints: call.offer_constraints.filter(|c| !c.role_constraints.is_empty()).map(Arc::new),
        }
    }
}
