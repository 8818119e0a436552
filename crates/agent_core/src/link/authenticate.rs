//! Proving who we are before we register, where a credential is set. The proof itself, with its secret, is an
//! adapter's; here is when to ask for it, and again.

use super::Attempts;
use crate::{
    agent::Agent,
    effect::{Effect, Effects},
    event::Proof,
    state::Phase,
    timers::{Timer, cancel},
};
use proto::upid::Upid;
use std::time::Duration;

impl Agent {
    pub(crate) fn on_authenticated(&mut self, master: &Upid, proof: Proof, out: &mut Effects) {
        if self.state.master.as_ref() != Some(master)
            || self.link.authentication.is_none()
            || matches!(self.state.phase, Phase::Recovering | Phase::Terminating)
        {
            return;
        }
        match proof {
            Proof::Taken => {
                tracing::info!(%master, "authenticated");
                self.attempts().stop_authentication();
                self.attempts().begin();
            }
            Proof::Refused => {
                let why =
                    "the master refused our credential; set another --credential, or tell the master's --credentials";
                self.exit(1, why.to_owned(), out);
            }
            // The timer tries again.
            Proof::Failed(why) => tracing::warn!(%master, why, "authentication failed"),
        }
    }
}

impl Attempts<'_> {
    /// Begins anew; registration follows a success.
    pub(crate) fn authenticate_anew(&mut self, out: &mut Effects) {
        self.link.authentication_backoff = self.config.authentication_backoff_factor;
        self.authenticate(out);
    }

    /// Asks for one attempt; the next comes by itself if nothing is heard of it.
    fn authenticate(&mut self, out: &mut Effects) {
        let Some(master) = self.master.cloned() else { return };
        let (least, most) = (self.config.authentication_timeout_min, self.config.authentication_timeout_max);
        let wait = (least + self.link.authentication_backoff.mul_f64(self.rng.unit())).min(most.max(least));
        self.link.authentication_backoff = (self.link.authentication_backoff * 2).min(most);
        // A master that is asked again while it thinks would have to begin anew.
        let wait = wait.max(Duration::from_millis(100));
        cancel(self.timers, self.link.authentication.take());
        self.link.authentication = Some(self.timers.set(self.now, wait, Timer::Authenticate));
        out.push(Effect::Authenticate { master });
    }

    pub(crate) fn on_authentication_timer(&mut self, out: &mut Effects) {
        self.link.authentication = None;
        let Some(peer) = self.master.cloned() else { return };
        tracing::warn!(master = %peer, "authentication did not succeed in time; trying again");
        out.push(Effect::Link { peer });
        self.authenticate(out);
    }

    pub(crate) fn stop_authentication(&mut self) {
        cancel(self.timers, self.link.authentication.take());
    }
}
