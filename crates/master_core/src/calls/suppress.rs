//! SUPPRESS and REVIVE: a framework wants no offers in some of its roles, or wants them again. One wrong role spoils
//! the call; without roles it means all of them.

use model::FrameworkId;

use crate::{Master, Step, counters::Counter};

impl Master {
    pub(crate) fn on_suppress(&mut self, id: &FrameworkId, roles: Vec<String>, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesSuppressOffers);
        let Some(roles) = self.check_roles(id, roles) else { return };
        self.allocator.suppress(step.now, id, &roles);
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            framework.suppressed.extend(roles);
        }
    }

    pub(crate) fn on_revive(&mut self, id: &FrameworkId, roles: Vec<String>, step: &mut Step<'_>) {
        self.state.counters.add(Counter::MessagesReviveOffers);
        let Some(roles) = self.check_roles(id, roles) else { return };
        self.allocator.revive(step.now, id, &roles);
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            framework.suppressed.retain(|role| !roles.contains(role));
        }
    }

    fn check_roles(&self, id: &FrameworkId, roles: Vec<String>) -> Option<Vec<String>> {
        let framework = self.state.frameworks.get(id)?;
        if roles.is_empty() {
            return Some(framework.roles.iter().cloned().collect());
        }
        if let Some(wrong) = roles.iter().find(|role| !framework.roles.contains(*role)) {
            tracing::warn!(framework = %id, role = wrong, "dropping a call for a role the framework is not in");
            return None;
        }
        Some(roles)
    }
}
