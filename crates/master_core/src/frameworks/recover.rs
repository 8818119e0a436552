//! A framework that this master knows only because an agent runs it, or because it says its id.

use model::FrameworkId;
use proto::v1;

use super::subscribe::{Subscription, new_framework};
use crate::{Master, Step};

impl Master {
    /// Makes rows for the frameworks that an agent reports and nobody else has. The ones that are over stay over.
    pub(crate) fn recover_frameworks(&mut self, reported: &[v1::FrameworkInfo], step: &mut Step<'_>) {
        for info in reported {
            let Some(id) = info.id.as_ref().map(FrameworkId::from) else { continue };
            if !self.state.frameworks.contains(&id) && self.state.completed_frameworks.get(&id).is_none() {
                self.recover_framework(info, step);
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
