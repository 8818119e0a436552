//! Grants become offers, and offers end: taken, discarded in silence, or rescinded. Their opposite is in `inverse`.

mod inverse;
pub(crate) mod render;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use allocator::{Allocator, Budget, Grant};
use model::{AgentId, FrameworkId, OfferId};
use proto::v1;

use crate::{
    Master, Step,
    frameworks::{events, send::send_event},
    state::{Agent, Framework, InverseOffer, Offer, Table},
    timers::{Timer, Timers},
};

/// How much the allocator may do in one step; the next one goes on.
const BUDGET: Budget = Budget { steps: 20_000 };

/// The end of offers, and all that it may change.
pub(crate) struct Offers<'a> {
    pub(crate) frameworks: &'a mut Table<FrameworkId, Framework>,
    pub(crate) agents: &'a mut Table<AgentId, Agent>,
    pub(crate) offers: &'a mut Table<OfferId, Offer>,
    pub(crate) inverse_offers: &'a mut Table<OfferId, InverseOffer>,
    pub(crate) timers: &'a mut Timers<Timer>,
    pub(crate) allocator: &'a mut Allocator,
}

impl Master {
    pub(crate) fn offers(&mut self) -> Offers<'_> {
        Offers {
            frameworks: &mut self.state.frameworks,
            agents: &mut self.state.agents,
            offers: &mut self.state.offers,
            inverse_offers: &mut self.state.inverse_offers,
            timers: &mut self.timers,
            allocator: &mut self.allocator,
        }
    }

    /// Lets the allocator run if it wants to, and sends what it grants.
    pub(crate) fn make_offers(&mut self, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            return;
        }
        let Some(due) = self.allocator.next_deadline().map(|(tick, _)| tick).filter(|due| *due <= step.now) else {
            return;
        };
        let mut by_framework: BTreeMap<FrameworkId, Vec<v1::Offer>> = BTreeMap::new();
        let now = step.now;
        for grant in self.timed_allocation(now, due, |allocator| allocator.allocate(now, BUDGET)) {
            let framework = grant.framework.clone();
            if let Some(offer) = self.add_offer(grant, step) {
                by_framework.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in by_framework {
            if let Some(row) = self.state.frameworks.get_mut(&framework) {
                row.counters.offers_sent += offers.len() as u64;
            }
            send_event(&mut self.state.frameworks, &self.state.agents, &framework, events::offers(offers), step);
        }
        self.make_inverse_offers(step);
        self.note_groups();
    }

    /// Makes an offer of a grant, unless its framework or agent cannot have one: then the grant goes back.
    fn add_offer(&mut self, grant: Grant, step: &mut Step<'_>) -> Option<v1::Offer> {
        let Grant { framework, role, agent, resources, group } = grant;
        let id = self.ids.offer();
        let there = self.state.frameworks.get_mut(&framework).filter(|row| row.is_active());
        let (Some(row), Some(host)) = (there, self.state.agents.get_mut(&agent).filter(|agent| agent.is_active()))
        else {
            stdx::never!("granted {agent} to {framework}, which cannot be");
            self.allocator.recover(step.now, &framework, &agent, &resources, None);
            return None;
        };
        row.offers.insert(id.clone());
        host.offers.insert(id.clone());
        let timeout = self.config.offer_timeout.map(|t| self.timers.set(step.now, t, Timer::Offer(id.clone())));
        let offer = Offer { id: id.clone(), framework, agent, role, resources, group, timeout };
        let rendered = render::for_framework(&self.state, &offer);
        self.state.offers.insert(id, offer);
        rendered
    }
}

impl Offers<'_> {
    /// Takes an offer out of the tables. What becomes of its resources is the caller's to tell the allocator.
    pub(crate) fn take(&mut self, id: &OfferId) -> Option<Arc<Offer>> {
        let offer = self.offers.take(id)?;
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.offers.remove(id);
        }
        if let Some(agent) = self.agents.get_mut(&offer.agent) {
            forget_offer(agent, id);
        }
        if let Some(timeout) = offer.timeout {
            self.timers.cancel(timeout);
        }
        Some(offer)
    }

    /// Takes an offer back without a word.
    pub(crate) fn discard(&mut self, id: &OfferId, filter: Option<Duration>, step: &mut Step<'_>) {
        if let Some(offer) = self.take(id) {
            self.allocator.recover(step.now, &offer.framework, &offer.agent, &offer.resources, filter);
        }
    }

    pub(crate) fn discard_of(&mut self, framework: &FrameworkId, step: &mut Step<'_>) {
        let offers = self.frameworks.get(framework).map(|f| f.offers.clone()).unwrap_or_default();
        for offer in offers {
            self.discard(&offer, None, step);
        }
        self.discard_inverse_of(framework, step);
    }

    /// Takes an offer back and says so.
    pub(crate) fn rescind(&mut self, id: &OfferId, filter: Option<Duration>, step: &mut Step<'_>) {
        let Some(offer) = self.take(id) else { return };
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.counters.offers_rescinded += 1;
        }
        send_event(self.frameworks, self.agents, &offer.framework, events::rescind(id), step);
        self.allocator.recover(step.now, &offer.framework, &offer.agent, &offer.resources, filter);
    }

    pub(crate) fn rescind_of(&mut self, framework: &FrameworkId, step: &mut Step<'_>) {
        let offers = self.frameworks.get(framework).map(|f| f.offers.clone()).unwrap_or_default();
        for offer in offers {
            self.rescind(&offer, None, step);
        }
        self.discard_inverse_of(framework, step);
    }

    /// Takes back every offer of the agent: what they promise may not be there any more.
    pub(crate) fn rescind_on(&mut self, id: &AgentId, step: &mut Step<'_>) {
        let offers = self.agents.get(id).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            self.rescind(&offer, None, step);
        }
    }
}

fn forget_offer(agent: &mut Agent, id: &OfferId) {
    stdx::bug!("offer_stays_with_agent", return);
    agent.offers.remove(id);
}
