//! A framework that this master knows only because the registry names it, an agent runs it, or it says its id. What the
//! registry knows of frameworks is kept here too.

use model::FrameworkId;
use proto::v1;
use registry::Operation;

use super::{
    disconnect::failover_timeout,
    subscribe::{Subscription, new_framework},
};
use crate::{
    Master, Step,
    pending::{Continuation, Pending},
    state::State,
    timers::Timer,
};

impl Master {
    /// Makes rows for the frameworks that an agent reports and nobody else has. The ones that are over stay over.
    pub(crate) fn recover_frameworks(&mut self, reported: &[v1::FrameworkInfo], step: &mut Step<'_>) {
        for info in reported {
            let Some(id) = &info.id else { continue };
            let known = self.state.frameworks.contains(id.value.as_str());
            if !known && !self.state.is_over(&FrameworkId::from(id)) {
                self.recover_framework(info, step);
            }
        }
    }

    /// After an election, the frameworks of the registry have their failover timeout to come back, and at least as long
    /// as agents have.
    pub(crate) fn recover_registered_frameworks(&mut self, step: &mut Step<'_>) {
        let infos: Vec<v1::FrameworkInfo> = self.state.registry.frameworks.values().cloned().collect();
        for info in &infos {
            let Some(id) = info.id.as_ref().map(FrameworkId::from) else { continue };
            if self.state.frameworks.contains(&id) {
                continue;
            }
            self.recover_framework(info, step);
            let timeout = failover_timeout(info.failover_timeout()).max(self.config.agent_reregister_timeout);
            let timer = self.timers.set(step.now, timeout, Timer::Failover(id.clone()));
            if let Some(framework) = self.state.frameworks.get_mut(&id) {
                framework.failover_timer = Some(timer);
            }
        }
    }

    pub(crate) fn recover_framework(&mut self, info: &v1::FrameworkInfo, step: &mut Step<'_>) {
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else { return };
        let subscription = Subscription { info: info.clone(), suppressed: Default::default(), constraints: None };
        let framework = new_framework(&id, subscription, step.wall);
        tracing::info!(framework = %framework.label(), "recovered");
        self.add_framework(framework, step);
    }
}

impl Pending {
    /// Has the registry know that a framework is over, so that no later master takes it for one that is away.
    pub(crate) fn record_removal(&mut self, id: &FrameworkId, step: &mut Step<'_>) {
        let operation = Operation::RemoveFramework { framework: id.clone(), at: step.wall };
        self.persist(vec![operation], Continuation::Noted, step);
    }

    /// Has the registry know a framework as it is now. Nothing waits for it: a framework that is lost with its master
    /// says itself who it is.
    pub(crate) fn record_framework(&mut self, state: &State, id: &FrameworkId, step: &mut Step<'_>) {
        let Some(framework) = state.frameworks.get(id) else { return };
        if state.registry.frameworks.get(id) != Some(&*framework.info) {
            let info = Box::new(v1::FrameworkInfo::clone(&framework.info));
            self.persist(vec![Operation::RecordFramework(info)], Continuation::Noted, step);
        }
    }
}
