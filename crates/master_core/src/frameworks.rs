//! Frameworks subscribe, fail over, leave and end. `events` builds what they are told, `validate/framework` judges what
//! they say about themselves, `send` sends.

mod disconnect;
mod driver;
pub(crate) mod events;
mod recover;
pub(crate) mod send;
mod subscribe;
mod teardown;
mod update;

pub(crate) use subscribe::Subscription;

use std::collections::BTreeMap;

use allocator::{FrameworkProfile, OfferConstraints};
use model::FrameworkId;
use proto::v1::{self, scheduler::Event};
use resources::{Name, Quantities, Quantity};
use send::send_event;

use crate::{Master, Step, event::ConnectionId, state::Framework, timers::Timer};

impl Master {
    /// Sends an event to every connected framework.
    pub(crate) fn broadcast(&mut self, event: impl Fn() -> Event, step: &mut Step<'_>) {
        let connected: Vec<FrameworkId> = self.by_conn.values().chain(self.by_driver.values()).cloned().collect();
        for id in connected {
            send_event(&mut self.state.frameworks, &self.state.agents, &id, event(), step);
        }
    }

    /// Sends the first heartbeat or the next, and sets the timer for the one after.
    pub(crate) fn heartbeat(&mut self, conn: ConnectionId, id: &FrameworkId, step: &mut Step<'_>) {
        self.timers.set(step.now, self.config.heartbeat_interval, Timer::Heartbeat(conn));
        send_event(&mut self.state.frameworks, &self.state.agents, id, events::heartbeat(), step);
    }

    pub(crate) fn on_heartbeat_timer(&mut self, conn: ConnectionId, step: &mut Step<'_>) {
        if let Some(id) = self.by_conn.get(&conn).cloned() {
            self.heartbeat(conn, &id, step);
        }
    }

    /// Every agent learns how the framework is now: it may have executors there without tasks.
    pub(crate) fn tell_agents(&self, id: &FrameworkId, step: &mut Step<'_>) {
        let Some(framework) = self.state.frameworks.get(id) else { return };
        for agent in self.state.agents.values() {
            let message = proto::internal::UpdateFrameworkMessage {
                framework_id: id.to_proto(),
                pid: framework.pid.as_ref().map(ToString::to_string),
                framework_info: Some(v1::FrameworkInfo::clone(&framework.info)),
            };
            step.tell(agent, message);
        }
    }

    pub(crate) fn framework_profile(&self, framework: &Framework) -> FrameworkProfile {
        FrameworkProfile {
            roles: framework.roles.clone(),
            suppressed: framework.suppressed.clone(),
            capabilities: framework.capabilities,
            min_allocatable: min_allocatable(&framework.info),
            constraints: framework
                .offer_constraints
                .as_ref()
                .and_then(|text| OfferConstraints::compile(text, self.config.constraint_limits).ok()),
            active: framework.is_active(),
        }
    }
}

/// Per role, what an offer must hold at least one of.
fn min_allocatable(info: &v1::FrameworkInfo) -> BTreeMap<String, Vec<Quantities>> {
    let of_role = |filters: &v1::OfferFilters| {
        let sets = filters.min_allocatable_resources.as_ref()?;
        let set = |quantities: &v1::offer_filters::ResourceQuantities| {
            let amount = |(name, scalar): (&String, &v1::value::Scalar)| {
                (Name::from(name.as_str()), Quantity::from_f64(scalar.value))
            };
            quantities.quantities.iter().map(amount).collect()
        };
        Some(sets.quantities.iter().map(set).collect())
    };
    info.offer_filters.iter().filter_map(|(role, filters)| Some((role.clone(), of_role(filters)?))).collect()
}
