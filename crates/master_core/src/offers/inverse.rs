//! Inverse offers: frameworks are asked to leave an agent whose machine will be taken away. What they say is noted for
//! the operators; nothing is enforced.

use std::collections::BTreeMap;

use allocator::{InverseAnswer, InverseGrant, refusal_duration};
use model::{AgentId, FrameworkId, OfferId};
use proto::v1;

use super::{Offers, render::url};
use crate::{
    Master, Step,
    frameworks::{events, send::send_event},
    state::{InverseOffer, Link, State},
    timers::Timer,
};

impl Master {
    pub(super) fn make_inverse_offers(&mut self, step: &mut Step<'_>) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<v1::InverseOffer>> = BTreeMap::new();
        for grant in self.allocator.inverse_grants(step.now) {
            let framework = grant.framework.clone();
            if let Some(offer) = self.add_inverse_offer(grant, step) {
                by_framework.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in by_framework {
            send_event(
                &mut self.state.frameworks,
                &self.state.agents,
                &framework,
                events::inverse_offers(offers),
                step,
            );
        }
    }

    /// Drivers know no inverse offers: theirs stays unsent, and is not made again. Agents that are not there are asked
    /// about when they are back.
    fn add_inverse_offer(&mut self, grant: InverseGrant, step: &Step<'_>) -> Option<v1::InverseOffer> {
        let InverseGrant { framework, agent, unavailability } = grant;
        let row = self.state.frameworks.get_mut(&framework)?;
        let host = self.state.agents.get_mut(&agent)?;
        if !matches!(row.link, Link::Subscribed { .. }) || !host.connected {
            return None;
        }
        let id = self.ids.offer();
        row.inverse_offers.insert(id.clone());
        host.inverse_offers.insert(id.clone());
        let timeout = self.config.offer_timeout.map(|t| self.timers.set(step.now, t, Timer::InverseOffer(id.clone())));
        let offer = InverseOffer { id: id.clone(), framework, agent, unavailability, timeout };
        let rendered = self.state.inverse_offer_to_proto(&offer);
        self.state.inverse_offers.insert(id, offer);
        rendered
    }
}

impl Offers<'_> {
    /// A framework answers some of its inverse offers; the others it names are over already.
    pub(crate) fn on_inverse_answer(
        &mut self,
        id: &FrameworkId,
        offers: &[v1::OfferId],
        answer: InverseAnswer,
        filters: Option<v1::Filters>,
        step: &mut Step<'_>,
    ) {
        let filter = refusal_duration(filters.and_then(|filters| filters.refuse_seconds));
        for offer in offers.iter().map(OfferId::from) {
            if self.inverse_offers.get(&offer).is_none_or(|offer| offer.framework != *id) {
                tracing::warn!(framework = %id, %offer, "an answer to an inverse offer that is no longer valid");
                continue;
            }
            let Some(offer) = self.take_inverse(&offer) else { continue };
            if let Some(agent) = self.agents.get_mut(&offer.agent) {
                agent.inverse_answers.insert(id.clone(), (answer, step.wall));
            }
            self.allocator.settle_inverse_offer(step.now, &offer.agent, id, Some(answer), filter);
        }
    }

    fn take_inverse(&mut self, id: &OfferId) -> Option<std::sync::Arc<InverseOffer>> {
        let offer = self.inverse_offers.take(id)?;
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.inverse_offers.remove(id);
        }
        if let Some(agent) = self.agents.get_mut(&offer.agent) {
            agent.inverse_offers.remove(id);
        }
        if let Some(timeout) = offer.timeout {
            self.timers.cancel(timeout);
        }
        Some(offer)
    }

    /// Takes an inverse offer back and says so.
    pub(crate) fn rescind_inverse(&mut self, id: &OfferId, step: &mut Step<'_>) {
        let Some(offer) = self.take_inverse(id) else { return };
        self.allocator.settle_inverse_offer(step.now, &offer.agent, &offer.framework, None, None);
        send_event(self.frameworks, self.agents, &offer.framework, events::rescind_inverse(id), step);
    }

    pub(crate) fn rescind_inverse_on(&mut self, agent: &AgentId, step: &mut Step<'_>) {
        let offers = self.agents.get(agent).map(|agent| agent.inverse_offers.clone()).unwrap_or_default();
        for offer in offers {
            self.rescind_inverse(&offer, step);
        }
    }

    /// Nobody is there to be asked any more, or whoever comes is to be asked anew.
    pub(crate) fn discard_inverse_of(&mut self, framework: &FrameworkId, step: &Step<'_>) {
        let offers = self.frameworks.get(framework).map(|f| f.inverse_offers.clone()).unwrap_or_default();
        for offer in offers {
            if let Some(offer) = self.take_inverse(&offer) {
                self.allocator.settle_inverse_offer(step.now, &offer.agent, framework, None, None);
            }
        }
    }
}

impl State {
    /// An inverse offer as its framework and readers see it.
    pub fn inverse_offer_to_proto(&self, offer: &InverseOffer) -> Option<v1::InverseOffer> {
        let agent = self.agents.get(&offer.agent)?;
        Some(v1::InverseOffer {
            id: offer.id.to_proto(),
            url: Some(url(agent)),
            framework_id: offer.framework.to_proto(),
            agent_id: Some(offer.agent.to_proto()),
            unavailability: offer.unavailability,
            resources: Vec::new(),
        })
    }
}
