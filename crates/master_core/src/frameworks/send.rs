//! Sends events to frameworks, as events or, to v0 drivers, as messages (`driver/message`).

use model::{AgentId, FrameworkId};
use proto::v1::scheduler::Event;

use super::driver::message::message;
use crate::{
    Step,
    effect::Effect,
    state::{Agent, Framework, Link, Table},
};

/// Sends `event` if the framework is connected; whether it was. It changes only what is counted of the framework.
pub(crate) fn send_event(
    frameworks: &mut Table<FrameworkId, Framework>,
    agents: &Table<AgentId, Agent>,
    id: &FrameworkId,
    event: Event,
    step: &mut Step<'_>,
) -> bool {
    let Some(framework) = frameworks.get_mut(id) else { return false };
    if !framework.is_connected() {
        return false;
    }
    *framework.counters.events.entry(event.r#type().into()).or_default() += 1;
    match (&framework.link, &framework.pid) {
        (Link::Subscribed { conn, .. }, _) => {
            step.out.push(Effect::ToScheduler { conn: *conn, event: Box::new(event) });
        }
        (_, Some(to)) => {
            if let Some(message) = message(agents, framework, event) {
                step.out.push(Effect::ToDriver { to: to.clone(), message });
            }
        }
        (_, None) => stdx::never!("framework {id} is connected, but nobody knows where"),
    }
    true
}
