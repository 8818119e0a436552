//! The master's pings: answered, and missed when they stay away.

use super::Attempts;
use crate::{
    agent::Agent,
    effect::{Effect, Effects},
    timers::{Timer, cancel},
};
use proto::{internal, upid::Upid};

impl Agent {
    pub(crate) fn on_ping(&mut self, from: Upid, connected: bool, out: &mut Effects) {
        // The observer pings, not the master: it is the observer who wants the answer.
        out.push(Effect::ToMaster { to: from, message: internal::PongSlaveMessage {}.into() });
        if !self.is_registered() {
            return;
        }
        if connected {
            self.attempts().expect_ping();
        } else {
            tracing::warn!("the master takes us for disconnected; registering again");
            self.start_registration(out);
        }
    }

    pub(crate) fn on_ping_timeout(&mut self, out: &mut Effects) {
        let timeout = stdx::units::print_duration(self.link.ping_timeout);
        tracing::warn!("no ping from the master for {timeout}; registering again");
        self.link.ping = None;
        self.start_registration(out);
    }
}

impl Attempts<'_> {
    /// Waits for the next ping.
    pub(crate) fn expect_ping(&mut self) {
        cancel(self.timers, self.link.ping.take());
        self.link.ping = Some(self.timers.set(self.now, self.link.ping_timeout, Timer::PingTimeout));
    }
}
