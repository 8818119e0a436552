//! The master: finding it, registering and staying registered. What its messages about tasks do: `launch`, `updates`,
//! `end`, `drain`, `operations`; here they are only told apart.

mod authenticate;
mod ping;
mod register;
mod reregister;
pub(crate) mod standing;

use crate::{
    agent::Agent,
    config::Config,
    effect::{Effect, Effects},
    state::Phase,
    timers::{Timers, cancel},
};
use proto::{
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1,
};
use standing::Link;
use stdx::{Rng, Tick};

/// Attempts to be known to a master, and all that they may change.
pub(crate) struct Attempts<'a> {
    pub link: &'a mut Link,
    pub timers: &'a mut Timers,
    pub rng: &'a mut Rng,
    pub config: &'a Config,
    pub master: Option<&'a Upid>,
    pub now: Tick,
}

impl Agent {
    pub(crate) fn attempts(&mut self) -> Attempts<'_> {
        Attempts {
            link: &mut self.link,
            timers: &mut self.timers,
            rng: &mut self.rng,
            config: &self.config,
            master: self.state.master.as_ref(),
            now: self.now,
        }
    }

    pub(crate) fn on_master_detected(&mut self, master: Option<Upid>, out: &mut Effects) {
        let former = std::mem::replace(&mut self.state.master, master);
        if former.is_some() && former != self.state.master && self.recovered {
            let peer = former.unwrap_or_else(|| self.config.upid.clone());
            out.push(Effect::Unlink { peer });
        }
        match (&self.state.master, self.state.phase) {
            (_, Phase::Recovering) => {}
            (Some(master), _) => {
                tracing::info!(%master, "master detected");
                self.start_registration(out);
            }
            (None, _) => {
                tracing::info!("no master is leading");
                self.disconnect();
                self.attempts().stop();
            }
        }
    }

    /// The link to the master broke: register again, so that it learns what we run.
    pub(crate) fn on_exited(&mut self, peer: &Upid, out: &mut Effects) {
        let ours =
            self.state.master.as_ref().is_some_and(|master| master.host == peer.host && master.port == peer.port);
        // While attempts are under way, the next one comes by itself.
        let trying = self.link.register.is_some() || self.link.authentication.is_some();
        if ours && !trying && self.state.phase != Phase::Recovering {
            tracing::warn!(master = %peer, "the link to the master broke");
            self.start_registration(out);
        }
    }

    /// No master hears us until we are registered anew: updates wait.
    pub(crate) fn disconnect(&mut self) {
        if self.state.phase == Phase::Running {
            self.state.phase = Phase::Disconnected;
        }
        cancel(&mut self.timers, self.link.ping.take());
        self.updates().pause();
        self.outcomes().pause();
    }

    pub(crate) fn to_master(&self, message: impl Into<ToMaster>, out: &mut Effects) {
        send(self.state.master.as_ref(), message, out);
    }

    /// Whether what we say now reaches a master that knows us.
    pub(crate) fn is_registered(&self) -> bool {
        self.link.ping.is_some() && self.state.master.is_some()
    }

    pub(crate) fn agent_id(&self) -> v1::AgentId {
        self.state.info.id.clone().unwrap_or_default()
    }

    pub(crate) fn on_master_message(&mut self, from: Upid, message: ToAgent, out: &mut Effects) {
        if !self.may_say(&from, &message) {
            tracing::warn!(%from, message = message.name(), "ignoring a message of somebody who has no business to say it");
            return;
        }
        match message {
            ToAgent::SlaveRegistered(message) => self.on_registered(*message, out),
            ToAgent::SlaveReregistered(message) => self.on_reregistered(*message, out),
            ToAgent::RunTask(_)
            | ToAgent::RunTaskGroup(_)
            | ToAgent::ApplyOperation(_)
            | ToAgent::CheckpointResources(_)
                if !self.is_registered() || self.state.phase != Phase::Running =>
            {
                // Once we are registered anew, the master learns what does not run here.
                tracing::warn!(message = message.name(), "ignoring a message while not registered");
            }
            // These may come from before an election. The next master may have been told of the update anew, and its
            // framework may be back; what is over after all, we hear of when we are registered.
            ToAgent::StatusUpdateAcknowledgement(_) | ToAgent::ShutdownFramework(_)
                if &*from.id == "master" && self.state.phase == Phase::Disconnected =>
            {
                tracing::warn!(message = message.name(), "ignoring a message while not registered");
            }
            ToAgent::PingSlave(ping) => self.on_ping(from, ping.connected, out),
            ToAgent::RunTask(message) => self.on_run_task(*message, out),
            ToAgent::RunTaskGroup(message) => self.on_run_task_group(*message, out),
            ToAgent::KillTask(message) => self.on_kill_task(*message, out),
            ToAgent::ShutdownExecutor(message) => self.on_shutdown_executor(*message, out),
            ToAgent::ShutdownFramework(message) => self.on_shutdown_framework(*message, out),
            ToAgent::FrameworkToExecutor(message) => self.on_framework_message(*message, out),
            ToAgent::UpdateFramework(message) => self.on_update_framework(*message, out),
            ToAgent::StatusUpdateAcknowledgement(message) => self.on_acknowledgement(*message, out),
            ToAgent::DrainSlave(message) => self.on_drain(message.config, out),
            ToAgent::Shutdown(message) => {
                let why = message.message.unwrap_or_else(|| "the master says so".into());
                self.on_shutdown(&why, false, out);
            }
            ToAgent::CheckpointResources(message) => self.on_checkpoint_resources(&message, out),
            ToAgent::ApplyOperation(message) => self.on_apply_operation(*message, out),
            ToAgent::ReconcileOperations(message) => self.outcomes().on_reconcile(*message, out),
            ToAgent::AcknowledgeOperationStatus(message) => self.outcomes().on_acknowledged(&message, out),
        }
    }

    /// Whose word counts: the leading master's, of pings its observer's, and of what v0 drivers say to an agent
    /// directly, the framework's own.
    fn may_say(&self, from: &Upid, message: &ToAgent) -> bool {
        stdx::bug!("any_master_obeyed", return true);
        let master = self.state.master.as_ref();
        let is_driver_of = |framework: &v1::FrameworkId| {
            let row = self.state.frameworks.get(framework.value.as_str());
            let pid = row.and_then(|row| row.pid.as_deref());
            pid.and_then(|pid| pid.parse::<Upid>().ok()).as_ref() == Some(from)
        };
        match message {
            ToAgent::PingSlave(_) => master.is_some_and(|master| master.host == from.host && master.port == from.port),
            ToAgent::FrameworkToExecutor(message) => master == Some(from) || is_driver_of(&message.framework_id),
            ToAgent::StatusUpdateAcknowledgement(message) => {
                master == Some(from) || is_driver_of(&message.framework_id)
            }
            ToAgent::SlaveRegistered(_)
            | ToAgent::SlaveReregistered(_)
            | ToAgent::RunTask(_)
            | ToAgent::RunTaskGroup(_)
            | ToAgent::KillTask(_)
            | ToAgent::ShutdownExecutor(_)
            | ToAgent::ShutdownFramework(_)
            | ToAgent::UpdateFramework(_)
            | ToAgent::CheckpointResources(_)
            | ToAgent::ApplyOperation(_)
            | ToAgent::ReconcileOperations(_)
            | ToAgent::AcknowledgeOperationStatus(_)
            | ToAgent::DrainSlave(_)
            | ToAgent::Shutdown(_) => master == Some(from),
        }
    }
}

/// Says something to the master, if there is one.
pub(crate) fn send(master: Option<&Upid>, message: impl Into<ToMaster>, out: &mut Effects) {
    if let Some(master) = master {
        out.push(Effect::ToMaster { to: master.clone(), message: message.into() });
    }
}
