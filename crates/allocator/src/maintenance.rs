//! Agents that will be unavailable: every framework that holds something there is asked to leave, one inverse offer at
//! a time for each. Answers and refusals are kept per agent, and end when its unavailability changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentId, FrameworkId};
use proto::v1;
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator},
    directory::Idx,
    schedule::Urgency,
};

/// A framework is asked to leave an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct InverseGrant {
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub unavailability: v1::Unavailability,
}

/// What a framework said to an inverse offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InverseAnswer {
    Accept,
    Decline,
}

/// The agents that will be unavailable, and which of them want to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    agents: BTreeMap<Idx<Agent>, Announced>,
    pending: BTreeSet<Idx<Agent>>,
    /// When agents are to be looked at again.
    later: BTreeSet<(Tick, Idx<Agent>)>,
}

#[derive(Debug)]
struct Announced {
    unavailability: v1::Unavailability,
    frameworks: BTreeMap<FrameworkId, Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    outstanding: bool,
    /// When the framework may be asked again.
    refused_until: Option<Tick>,
    answer: Option<InverseAnswer>,
}

impl Maintenance {
    /// When inverse offers want to be made next.
    pub fn deadline(&self) -> Option<Tick> {
        match self.pending.is_empty() {
            false => Some(Tick::ZERO),
            true => self.later.first().map(|(at, _)| *at),
        }
    }

    /// Somebody got hold of something on an agent, or somebody who holds something came back.
    pub fn look_at(&mut self, a: Idx<Agent>) {
        if !self.agents.is_empty() && self.agents.contains_key(&a) {
            self.pending.insert(a);
        }
    }

    pub fn look_at_all(&mut self) {
        self.pending.extend(self.agents.keys());
    }

    pub fn forget_agent(&mut self, a: Idx<Agent>) {
        self.agents.remove(&a);
        self.pending.remove(&a);
    }

    /// A framework may be asked again at once to leave the agents that it refused to leave.
    pub fn forget_refusals(&mut self, framework: &FrameworkId) {
        for (a, announced) in &mut self.agents {
            if let Some(asked) = announced.frameworks.get_mut(framework)
                && asked.refused_until.take().is_some()
            {
                self.pending.insert(*a);
            }
        }
    }

    /// A framework that was removed answers no more.
    pub fn forget_framework(&mut self, framework: &FrameworkId) {
        for announced in self.agents.values_mut() {
            announced.frameworks.remove(framework);
        }
    }
}

impl Allocator {
    /// An agent will be unavailable, or no longer so. What was asked, answered and refused before is forgotten.
    pub fn set_unavailability(&mut self, now: Tick, id: &AgentId, unavailability: Option<v1::Unavailability>) {
        let Some(a) = self.agents.find(id) else { return };
        self.maintenance.forget_agent(a);
        if let Some(unavailability) = unavailability {
            self.maintenance.agents.insert(a, Announced { unavailability, frameworks: BTreeMap::new() });
            self.maintenance.pending.insert(a);
        }
        self.timing().mark_agent(now, a, Urgency::Event);
    }

    /// What was announced for an agent.
    pub fn unavailability(&self, agent: &AgentId) -> Option<&v1::Unavailability> {
        Some(&self.maintenance.agents.get(&self.agents.find(agent)?)?.unavailability)
    }

    /// An inverse offer is over: answered, or with `answer` of `None` timed out or rescinded. The next one comes with
    /// the batch after `filter`, if the framework still holds something there.
    pub fn settle_inverse_offer(
        &mut self,
        now: Tick,
        agent: &AgentId,
        framework: &FrameworkId,
        answer: Option<InverseAnswer>,
        filter: Option<Duration>,
    ) {
        let Some(a) = self.agents.find(agent) else { return };
        let until = self.config.tick_after(now + filter.unwrap_or_default());
        let announced = self.maintenance.agents.get_mut(&a);
        let Some(asked) = announced.and_then(|announced| announced.frameworks.get_mut(framework)) else { return };
        if std::mem::take(&mut asked.outstanding) && answer.is_some() {
            asked.answer = answer;
        }
        asked.refused_until = asked.refused_until.max(Some(until));
        self.maintenance.later.insert((until, a));
    }

    /// The last answer of each framework that gave one since the agent's unavailability was announced.
    pub fn inverse_answers(&self, agent: &AgentId) -> BTreeMap<FrameworkId, InverseAnswer> {
        let announced = self.agents.find(agent).and_then(|a| self.maintenance.agents.get(&a));
        let asked = announced.into_iter().flat_map(|announced| &announced.frameworks);
        asked.filter_map(|(id, asked)| Some((id.clone(), asked.answer?))).collect()
    }

    /// Whom to ask to leave now: every active framework that holds something on an agent that will be unavailable,
    /// unless it is being asked already or refused not long ago. To be called after `allocate`; when nothing changed it
    /// costs nothing.
    pub fn inverse_grants(&mut self, now: Tick) -> Vec<InverseGrant> {
        let mut grants = Vec::new();
        if self.is_recovering() {
            return grants;
        }
        while let Some(&(at, a)) = self.maintenance.later.first()
            && at <= now
        {
            self.maintenance.later.pop_first();
            self.maintenance.look_at(a);
        }
        for a in std::mem::take(&mut self.maintenance.pending) {
            let (Some(agent), Some(announced)) = (self.agents.get(a), self.maintenance.agents.get_mut(&a)) else {
                continue;
            };
            for (c, _) in &agent.held {
                let framework = self.clients.get(*c).and_then(|client| self.frameworks.get(client.framework));
                let Some(framework) = framework.filter(|framework| framework.known && framework.active) else {
                    continue;
                };
                let asked = announced.frameworks.entry(framework.id.clone()).or_default();
                if asked.outstanding || asked.refused_until.is_some_and(|until| until > now) {
                    continue;
                }
                asked.outstanding = true;
                grants.push(InverseGrant {
                    framework: framework.id.clone(),
                    agent: agent.id.clone(),
                    unavailability: announced.unavailability,
                });
            }
        }
        grants
    }
}

#[cfg(test)]
mod tests {
    use model::AgentCapabilities;
    use resources::Resources;
    use stdx::Rng;

    use super::*;
    use crate::{AgentProfile, AllocatorConfig, Budget, FrameworkProfile};

    #[test]
    fn holders_are_asked_once_and_again_after_their_filter() {
        let mut allocator = Allocator::new(AllocatorConfig::default(), Rng::new(1));
        let (framework, agent) = (FrameworkId::from("f"), AgentId::from("s"));
        let roles = BTreeSet::from(["a".to_owned()]);
        let profile = FrameworkProfile { roles, active: true, ..Default::default() };
        let mut now = Tick::ZERO;
        allocator.add_framework(now, &framework, profile, &BTreeMap::new());
        let profile = AgentProfile {
            hostname: "host".into(),
            attributes: Vec::new(),
            domain: None,
            capabilities: AgentCapabilities::ALL,
            active: true,
        };
        let total = Resources::parse("cpus:4;mem:512", "*").unwrap();
        allocator.add_agent(now, &agent, profile, total, &BTreeMap::new());
        allocator.set_unavailability(now, &agent, Some(v1::Unavailability::default()));
        assert_eq!(allocator.inverse_grants(now), [], "nobody holds anything yet");
        now = now + Duration::from_millis(5);
        assert_eq!(allocator.allocate(now, Budget::UNLIMITED).len(), 1);
        assert_eq!(allocator.inverse_grants(now).len(), 1);
        assert_eq!(allocator.inverse_grants(now), [], "one at a time");
        let refuse = Some(Duration::from_secs(5));
        allocator.settle_inverse_offer(now, &agent, &framework, Some(InverseAnswer::Decline), refuse);
        assert_eq!(allocator.inverse_answers(&agent), BTreeMap::from([(framework.clone(), InverseAnswer::Decline)]));
        now = now + Duration::from_secs(4);
        assert_eq!(allocator.inverse_grants(now), []);
        now = now + Duration::from_secs(2);
        assert!(allocator.next_deadline().is_some_and(|(at, _)| at <= now));
        assert_eq!(allocator.inverse_grants(now).len(), 1);
        allocator.settle_inverse_offer(now, &agent, &framework, Some(InverseAnswer::Decline), refuse);
        assert_eq!(allocator.inverse_grants(now), []);
        allocator.revive(now, &framework, &[]);
        assert_eq!(allocator.inverse_grants(now).len(), 1, "who revives is asked again");
        allocator.set_unavailability(now, &agent, Some(v1::Unavailability::default()));
        assert_eq!(allocator.inverse_grants(now).len(), 1, "a new plan asks anew");
        assert_eq!(allocator.inverse_answers(&agent), BTreeMap::new());
        allocator.set_unavailability(now, &agent, None);
        assert_eq!(allocator.inverse_grants(now), []);
    }
}
