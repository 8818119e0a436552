//! DECLINE: offers go back, and their like is not offered for a while.

use allocator::{Settlement, refusal_duration};
use model::{FrameworkId, OfferId};
use proto::v1::scheduler::call::Decline;

use crate::{Step, offers::Offers};

impl Offers<'_> {
    pub(crate) fn on_decline(&mut self, id: &FrameworkId, call: &Decline, step: &mut Step<'_>) {
        let filter = refusal_duration(call.filters.as_ref().and_then(|filters| filters.refuse_seconds));
        let mut declined = 0;
        for offer in call.offer_ids.iter().map(OfferId::from) {
            if self.offers.get(&offer).is_none_or(|offer| offer.framework != *id) {
                continue;
            }
            if let Some(offer) = self.take(&offer) {
                let settlement = Settlement { offered: offer.resources.clone(), filter, ..Default::default() };
                self.allocator.settle(step.now, id, &offer.agent, settlement);
                declined += 1;
            }
        }
        if let Some(framework) = self.frameworks.get_mut(id) {
            framework.counters.offers_declined += declined;
        }
    }
}
