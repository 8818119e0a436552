//! Which libprocess peers have proved who they are. The proving itself, with mechanisms and secrets, is an adapter's;
//! here its outcome counts. A registration that comes while its sender is proving itself waits for that.
//!
//! A master that does not lead yet takes outcomes, too, and keeps them until it does: whoever proved itself to this
//! process does not do it again when the process begins to lead. An agent is never told to end for want of a proof: its
//! tasks go on, and its next attempt may succeed.

use std::collections::BTreeMap;

use proto::{
    driver::FromDriver,
    link::ToMaster,
    upid::Upid,
    v1::{self, scheduler::call::Type},
};

use crate::{
    Config, Event, Master, Step,
    agents::membership::shutdown,
    counters::{Counter, Counters},
    effect::Effect,
    state::Phase,
};

#[derive(Debug, Default)]
pub(crate) struct Authentication {
    /// Whoever is at it, with the last registration that came meanwhile.
    under_way: BTreeMap<Upid, Option<Event>>,
    proved: BTreeMap<Upid, String>,
}

impl Authentication {
    pub(crate) fn principal(&self, peer: &Upid) -> Option<&str> {
        self.proved.get(peer).map(String::as_str)
    }

    /// Keeps a registration back while its sender is proving itself; gives back everything else.
    pub(crate) fn hold(&mut self, event: Event) -> Option<Event> {
        let held = registrant(&event).and_then(|from| self.under_way.get_mut(from));
        match held {
            Some(held) => {
                *held = Some(event);
                None
            }
            None => Some(event),
        }
    }

    /// The peer's process is gone; whoever comes from there next must prove itself anew.
    pub(crate) fn forget(&mut self, peer: &Upid) {
        self.proved.remove(peer);
    }
}

/// Who registers or subscribes by this, if anybody does.
fn registrant(event: &Event) -> Option<&Upid> {
    match event {
        Event::FromAgent { from, message: ToMaster::RegisterSlave(_) | ToMaster::ReregisterSlave(_), .. } => Some(from),
        Event::FromDriver { from, message: FromDriver::Call(call) } => {
            (call.call.r#type() == Type::Subscribe).then_some(from)
        }
        Event::FromDriver { from, message: FromDriver::Register(_) | FromDriver::Reregister { .. } } => Some(from),
        _ => None,
    }
}

impl Master {
    pub(crate) fn check_driver_authentic(&self, from: &Upid, info: &v1::FrameworkInfo) -> Result<(), String> {
        let proved = self.authentication.principal(from);
        if self.config.authenticate_frameworks && proved.is_none() {
            return Err(format!("Framework at {from} is not authenticated"));
        }
        match (info.principal.as_deref(), proved) {
            (Some(claimed), Some(proved)) if claimed != proved => {
                Err(format!("Framework principal '{claimed}' does not match authenticated principal '{proved}'"))
            }
            _ => Ok(()),
        }
    }
}

impl Authentication {
    /// What the peer proved before holds no longer.
    pub(crate) fn on_authenticating(&mut self, peer: Upid, phase: Phase, counters: &mut Counters) {
        counters.add(Counter::MessagesAuthenticate);
        if phase != Phase::Deposed {
            self.proved.remove(&peer);
            self.under_way.entry(peer).or_default();
        }
    }

    /// Gives back the registration that waited. A driver's is dropped if its sender proved nothing: an attempt that
    /// timed out is followed by another, and an error would end the driver.
    pub(crate) fn on_authenticated(
        &mut self,
        peer: Upid,
        principal: Option<String>,
        counters: &mut Counters,
        step: &mut Step<'_>,
    ) -> Option<Event> {
        let held = self.under_way.remove(&peer)?;
        if principal.is_none() && matches!(held, Some(Event::FromDriver { .. })) {
            tracing::warn!(%peer, "dropping the subscription of a driver whose authentication failed");
            counters.add(Counter::DroppedMessages);
            return None;
        }
        if let Some(principal) = principal {
            tracing::info!(%peer, principal, "authenticated");
            // Its end must be heard of, whether or not it registers.
            step.out.push(Effect::Link { peer: peer.clone() });
            self.proved.insert(peer, principal);
        }
        held
    }

    /// Whether this agent may register. One that may not hears nothing: it tries again.
    pub(crate) fn is_agent_authentic(
        &self,
        from: &Upid,
        config: &Config,
        counters: &mut Counters,
        step: &mut Step<'_>,
    ) -> bool {
        let may = !config.authenticate_agents || self.principal(from).is_some();
        if !may {
            drop_registration(counters, from, step);
        }
        may
    }
}

fn drop_registration(counters: &mut Counters, from: &Upid, step: &mut Step<'_>) {
    stdx::bug!("unproved_agents_ended", step.send(from, shutdown("Agent is not authenticated")));
    tracing::warn!(%from, "refusing the registration of an agent that is not authenticated");
    counters.add(Counter::DroppedMessages);
}
