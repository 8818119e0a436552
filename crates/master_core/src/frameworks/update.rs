//! A framework says something new about itself, by SUBSCRIBE or by UPDATE_FRAMEWORK.

use std::sync::Arc;

use model::{FrameworkCapabilities, FrameworkId, OfferId, capabilities::roles_of};

use super::subscribe::Subscription;
use crate::{Master, Step};

impl Master {
    /// Takes on checked changes. Offers in roles the framework left are rescinded; its tasks there run on.
    pub(crate) fn update_framework(&mut self, id: &FrameworkId, subscription: Subscription, step: &mut Step<'_>) {
        let Some(framework) = self.state.frameworks.get_mut(id) else { return };
        let Subscription { info, suppressed, constraints } = subscription;
        framework.roles = roles_of(&info).into_iter().collect();
        framework.capabilities = FrameworkCapabilities::of(&info);
        framework.info = Arc::new(info);
        framework.suppressed = suppressed;
        framework.offer_constraints = constraints;
        let roles = framework.roles.clone();
        if let Some(framework) = self.state.frameworks.get(id) {
            self.allocator.update_framework(step.now, id, self.framework_profile(framework));
        }
        let offers = self.state.frameworks.get(id).map(|f| f.offers.clone()).unwrap_or_default();
        let left = |offer: &OfferId| self.state.offers.get(offer).is_some_and(|offer| !roles.contains(&*offer.role));
        let left: Vec<OfferId> = offers.into_iter().filter(left).collect();
        for offer in left {
            self.offers().rescind(&offer, None, step);
        }
    }
}
