//! Registering: attempts with a random back-off until the master answers. A known agent says what it runs:
//! `reregister`.

use super::Attempts;
use crate::{
    agent::Agent,
    config::REGISTRATION_BACKOFF_MAX,
    effect::{Effect, Effects},
    recovery::{Record, record},
    state::Phase,
    timers::{Timer, cancel},
};
use bytes::Bytes;
use model::AgentId;
use proto::{internal, v1};
use std::{sync::Arc, time::Duration};

/// After so many registrations that nobody answered, who must prove who it is does so once more. A master that hears
/// late of a link that broke long ago forgets a newer proof with it, and says nothing to who has none.
const ATTEMPTS_ON_ONE_PROOF: u32 = 4;

impl Agent {
    /// Begins anew to register with the detected master.
    pub(crate) fn start_registration(&mut self, out: &mut Effects) {
        self.disconnect();
        self.attempts().stop();
        if matches!(self.state.phase, Phase::Recovering | Phase::Terminating) {
            return;
        }
        if let Some(peer) = self.state.master.clone() {
            out.push(Effect::Link { peer });
            if self.config.authenticate {
                self.attempts().authenticate_anew(out);
            } else {
                self.attempts().begin();
            }
        }
    }

    pub(crate) fn on_register_timer(&mut self, out: &mut Effects) {
        self.link.register = None;
        let Some(peer) = self.state.master.clone() else { return };
        // A broken link is made anew with every attempt.
        out.push(Effect::Link { peer });
        if self.config.authenticate && self.link.unanswered >= ATTEMPTS_ON_ONE_PROOF {
            tracing::warn!("the master does not answer; proving once more who we are");
            return self.attempts().authenticate_anew(out);
        }
        self.link.unanswered += 1;
        if self.state.agent_id.is_some() {
            let message = self.reregistration();
            self.to_master(message, out);
        } else {
            self.to_master(
                internal::RegisterSlaveMessage {
                    agent: (*self.state.info).clone(),
                    checkpointed_resources: self.state.checkpointed.to_protos(),
                    version: Some(self.config.version.clone()),
                    agent_capabilities: self.capabilities(),
                    resource_version_uuid: Some(self.resource_version()),
                },
                out,
            );
        }
        // An answer needs a moment even when the back-off is set to nothing.
        self.link.backoff = (self.link.backoff * 2).clamp(Duration::from_millis(100), REGISTRATION_BACKOFF_MAX);
        self.attempts().arm();
    }

    pub(crate) fn capabilities(&self) -> Vec<v1::agent_info::Capability> {
        let known = &self.config.capabilities;
        known.iter().map(|kind| v1::agent_info::Capability { r#type: Some(i32::from(*kind)) }).collect()
    }

    pub(crate) fn resource_version(&self) -> v1::Uuid {
        v1::Uuid { value: Bytes::copy_from_slice(&self.link.resource_version) }
    }

    pub(crate) fn on_registered(&mut self, message: internal::SlaveRegisteredMessage, out: &mut Effects) {
        let id = AgentId::from(&message.agent_id);
        if self.state.phase == Phase::Recovering {
            return;
        }
        if id.as_str().is_empty() || id.as_str().contains('/') || matches!(id.as_str(), "." | "..") {
            tracing::error!(%id, "the master gave an agent id that cannot name a directory; ignoring it");
            return;
        }
        match &self.state.agent_id {
            None => {
                tracing::info!(%id, "registered");
                let info = v1::AgentInfo { id: Some(message.agent_id), ..(*self.state.info).clone() };
                self.record(Record::Agent(record::AgentRecord { info: info.clone() }), out);
                self.state.info = Arc::new(info);
                self.state.agent_id = Some(id);
            }
            Some(known) if *known == id => {}
            Some(known) => {
                // A late repetition of our first registration was taken for a new agent at our address. Only the end of
                // this process tells the master that nobody of that name is here.
                let why = format!("the master calls us {id}, and we are {known}");
                return self.exit(1, why, out);
            }
        }
        self.on_accepted(message.connection, out);
    }

    /// The master knows us: pings are due, updates flow.
    pub(crate) fn on_accepted(&mut self, connection: Option<internal::MasterSlaveConnection>, out: &mut Effects) {
        let seconds = connection.and_then(|connection| connection.total_ping_timeout_seconds).unwrap_or(0.0);
        if let Ok(timeout) = Duration::try_from_secs_f64(seconds)
            && !timeout.is_zero()
        {
            self.link.ping_timeout = timeout;
        }
        self.attempts().stop();
        self.attempts().expect_ping();
        self.state.metrics.registrations += 1;
        if self.state.phase != Phase::Terminating {
            self.state.phase = Phase::Running;
        }
        self.to_master(
            internal::UpdateSlaveMessage {
                agent_id: self.agent_id(),
                operations: Some(self.reported_operations()),
                resource_version_uuid: Some(self.resource_version()),
                ..Default::default()
            },
            out,
        );
        self.updates().resume(out);
        self.outcomes().resume(out);
    }
}

impl Attempts<'_> {
    pub(crate) fn begin(&mut self) {
        self.link.backoff = self.config.registration_backoff_factor;
        self.link.unanswered = 0;
        self.arm();
    }

    pub(crate) fn stop(&mut self) {
        cancel(self.timers, self.link.register.take());
        self.stop_authentication();
    }

    fn arm(&mut self) {
        let wait = self.link.backoff.mul_f64(self.rng.unit());
        self.link.register = Some(self.timers.set(self.now, wait, Timer::Register));
    }
}
