//! A scheduler's stream ends, or the link to its driver: no more offers, and the clock for its return runs.

use std::time::Duration;

use allocator::Allocator;
use model::FrameworkId;
use stdx::Tick;

use crate::{Master, Step, event::ConnectionId, state::Link, timers::Timer};

impl Master {
    pub(crate) fn on_closed(&mut self, conn: ConnectionId, step: &mut Step<'_>) {
        let Some(id) = self.by_conn.remove(&conn) else { return };
        // Who leads no longer ends nobody's framework: the next leader knows whether it came back.
        if self.state.is_leading() {
            self.disconnect_framework(&id, step);
        }
    }

    pub(crate) fn disconnect_framework(&mut self, id: &FrameworkId, step: &mut Step<'_>) {
        let Some(framework) = self.state.frameworks.get_mut(id) else { return };
        framework.link = Link::Disconnected;
        let timeout = failover_timeout(framework.info.failover_timeout());
        tracing::info!(framework = %framework.label(), ?timeout, "disconnected");
        self.end_offers(id, step);
        if timeout.is_zero() {
            self.remove_framework(id, step);
            return;
        }
        let timer = self.timers.set(step.now, timeout, Timer::Failover(id.clone()));
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            framework.failover_timer = Some(timer);
        }
    }

    /// The framework gets no more offers, and those it has hold no longer.
    pub(crate) fn end_offers(&mut self, id: &FrameworkId, step: &mut Step<'_>) {
        stop_offering(&mut self.allocator, step.now, id);
        self.offers().rescind_of(id, step);
    }

    pub(crate) fn on_failover_timeout(&mut self, id: &FrameworkId, step: &mut Step<'_>) {
        let away = |link: &Link| matches!(link, Link::Disconnected | Link::Recovered);
        if self.state.frameworks.get(id).is_some_and(|framework| away(&framework.link)) {
            tracing::info!(framework = %id, "failover timeout");
            self.remove_framework(id, step);
        }
    }
}

/// Subscription checks that the value is a duration.
pub(super) fn failover_timeout(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::ZERO)
}

fn stop_offering(allocator: &mut Allocator, now: Tick, framework: &FrameworkId) {
    stdx::bug!("disconnected_framework_offered", return);
    allocator.deactivate_framework(now, framework);
}
